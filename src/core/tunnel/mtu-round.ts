/**
 * One search for the largest packet that the outer path carries, by echo requests inside the tunnel. An answer is as large as its
 * question, so both directions are tried at once. All sizes are asked at once, and again what was not answered: what is lost by
 * chance once is answered the next time, what the path does not carry never is (RFC 8899 §5.1.2, MAX_PROBES is 3).
 */

import type { IpAddress } from '../base/address.ts';
import { after, elapsedMs, type Instant } from '../base/instant.ts';
import type { EchoReply, EchoRequest } from '../netstack/icmp.ts';

const MAX_VOLLEYS = 3;
/** For answers, while no round trip is known. RFC 8899 §5.1.1 asks for a second at least where nothing is known of the path. */
const FIRST_WAIT_MS = 1_000;
/** A shorter wait would take the jitter of a busy line for loss. */
const MIN_WAIT_MS = 300;
const WAITED_ROUND_TRIPS = 3;

export interface MtuRoundOptions {
  /** Lengths of IP packets to try, ascending. */
  readonly sizes: readonly number[];
  /** Asked alone before; if it is answered, the round is over. */
  readonly confirm?: number;
  /** Asked in turn until one answers. */
  readonly targets: readonly IpAddress[];
  /** 16 bits that nobody can guess. */
  readonly identifier: number;
}

export class MtuRound {
  /** The largest size that was answered; 0 if none was. */
  largest = 0;
  /** When the volley in hand has had its time. */
  until: Instant;
  over = false;
  /**
   * Whether a size that is missing is known to be too large: after two volleys, or when the first had a clean cut, several that arrived
   * below and several that did not above it. One alone may have been lost by chance.
   */
  conclusive = false;
  readonly #options: MtuRoundOptions;
  readonly #sentAt: Instant[] = [];
  /** 0 is the one that confirms. */
  #volley: number;
  #target = 0;
  #answers = 0;
  #rttMs = 0;
  /** No answer to a later volley counts: the system cuts into fragments what did not arrive whole. */
  #lastVolley = MAX_VOLLEYS;

  constructor(options: MtuRoundOptions, now: Instant) {
    this.#options = options;
    this.#volley = options.confirm === undefined ? 1 : 0;
    this.until = now;
  }

  /** The questions to send now, which begin a volley. */
  questions(now: Instant): EchoRequest[] {
    const { sizes, targets, identifier, confirm = 0 } = this.#options;
    const to = targets[this.#target % targets.length]!;
    this.#sentAt[this.#volley] = now;
    this.until = after(now, this.#waitMs());
    const asked = this.#volley === 0 ? [confirm] : this.#missing();
    const number = (size: number): number => (this.#volley << 8) | sizes.indexOf(size);
    return asked.map((length) => ({ to, length, ids: ((identifier << 16) | number(length)) >>> 0 }));
  }

  /** The volley has had its time. True if another follows. */
  endVolley(): boolean {
    if (this.largest === 0) this.#target++;
    this.over = this.#volley >= this.#lastVolley;
    const above = this.#options.sizes.filter((size) => size > this.largest).length;
    this.conclusive = this.over || this.#volley > 1 || (this.#answers > 1 && above > 1);
    this.#volley++;
    return !this.over;
  }

  /** An answer came. Returns the size that it proves, or 0 if it proves none; `undefined` if it is not one of this round's. */
  handleReply({ ids, length, from }: EchoReply, now: Instant): number | undefined {
    const { sizes, targets, identifier } = this.#options;
    const volley = (ids >>> 8) & 0xff;
    const size = sizes[ids & 0xff];
    const sentAt = this.#sentAt[volley];
    const target = targets.findIndex(({ bytes }) => bytes.every((byte, i) => byte === from.bytes[i]));
    if (ids >>> 16 !== identifier || size !== length || sentAt === undefined || target < 0) return undefined;
    this.#rttMs = Math.max(this.#rttMs, elapsedMs(sentAt, now));
    this.#target = target;
    if (volley > this.#lastVolley) return 0;
    this.#answers++;
    this.largest = Math.max(this.largest, size);
    if (size === sizes.at(-1) || volley === 0) this.over = true;
    const end = after(this.#sentAt[this.#volley]!, this.#waitMs());
    if (end < this.until) this.until = end;
    return size;
  }

  /**
   * The system has learnt that the path is narrower (EMSGSIZE): Linux sends in fragments from now on what is larger, so only what is on
   * its way already tells what passes whole.
   */
  handleTooLong(): void {
    this.#lastVolley = Math.max(1, this.#volley);
  }

  /** Until one was answered, all are asked once, and then the extremes. */
  #missing(): readonly number[] {
    const { sizes } = this.#options;
    if (this.largest > 0) return sizes.filter((size) => size > this.largest);
    return this.#volley === 1 ? sizes : [sizes[0]!, sizes.at(-1)!];
  }

  #waitMs(): number {
    return this.#rttMs === 0 ? FIRST_WAIT_MS : Math.max(MIN_WAIT_MS, WAITED_ROUND_TRIPS * this.#rttMs);
  }
}
