/**
 * The largest packet that the tunnel carries whole. Outside, it travels in a UDP datagram that is 60 to 80 bytes larger, and lines such
 * as PPPoE, mobile networks or tunnels in tunnels lose what is too large, mostly without a word: handshakes and small packets pass,
 * transfers hang. So it is found out (RFC 8899, DPLPMTUD), with the `MTU` of the `.conf` as the ceiling:
 *
 *  - A round of questions (`mtu-round.ts`) is asked on each new path. Who does not answer at all leaves the ceiling in force.
 *  - While packets of full size arrive, the path proves itself. When they cease, one question makes sure (§5.1.1, CONFIRMATION_TIMER),
 *    ever more seldom.
 *  - What looks like a black hole (§4.3) is a reason to make sure, too: TCP's timeouts, or the system's EMSGSIZE.
 *  - Below the ceiling, larger sizes are tried again after half a minute, then up to ten minutes (PMTU_RAISE_TIMER).
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { after, earliest, elapsedMs, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { randomU32 } from '../base/random.ts';
import type { EchoReply, EchoRequest } from '../netstack/icmp.ts';
import { MtuRound } from './mtu-round.ts';

/**
 * What is tried below the ceiling: what lines of 1492 (PPPoE), 1460, 1454, 1440, 1420, 1400 and 1280 bytes have left over IPv4 and
 * IPv6. Multiples of 16, since both ends pad packets to that (whitepaper §5.4.6).
 */
const SIZES = [1200, 1216, 1280, 1312, 1328, 1360, 1376, 1392, 1408];

/** A bulk transfer that pauses for so long is over, or in trouble. */
const FIRST_CONFIRM_MS = 5_000;
const FIRST_SUSPICION_MS = 10_000;
const FIRST_RAISE_MS = 30_000;
const LONGEST_MS = 600_000;
/** Linux forgets after ten minutes what a packet-too-big has told: then only, it sends larger ones whole again. */
const RAISE_AFTER_TOLD_MS = 660_000;

export type OuterMtuOutput =
  | { readonly kind: 'ask'; readonly question: EchoRequest }
  /** The tunnel carries this now, in bytes of IP packet. */
  | { readonly kind: 'mtu'; readonly mtu: number };

export interface OuterMtuOptions {
  readonly random: Random;
  readonly ceiling: number;
  /** Hosts inside the tunnel that are likely to answer. */
  readonly targets: readonly IpAddress[];
}

export class OuterMtu {
  readonly #random: Random;
  readonly #outputs: Queue<OuterMtuOutput> = new Queue(64);
  #sizes: readonly number[];
  #targets: readonly IpAddress[];
  #mtu: number;
  #round: MtuRound | undefined;
  /** The round in hand is the first on its path. */
  #judgesPath = false;
  /** The system has told of a narrower path (EMSGSIZE), and whom it believed may be right. */
  #told = false;
  /** The size that would pass then, if it said so. */
  #hint = Number.POSITIVE_INFINITY;
  /** Somebody has answered in the latest round. */
  #answering = false;
  /** When the size in force was last seen to pass. */
  #provenAt: Instant;
  /** Packets of full size have been arriving. */
  #bulk = false;
  #confirmMs = FIRST_CONFIRM_MS;
  #raiseAt: Instant | undefined;
  #raiseMs = FIRST_RAISE_MS;
  /** Before, a suspicion is not followed. */
  #suspectAt: Instant | undefined;
  #suspicionMs = FIRST_SUSPICION_MS;

  constructor({ random, ceiling, targets }: OuterMtuOptions, now: Instant) {
    this.#random = random;
    this.#sizes = sizesUpTo(ceiling);
    this.#targets = targets;
    this.#mtu = ceiling;
    this.#provenAt = now;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get #ceiling(): number {
    return this.#sizes.at(-1)!;
  }

  /** Another configuration; nothing is known of its path. */
  configure({ ceiling, targets }: Omit<OuterMtuOptions, 'random'>): void {
    this.#sizes = sizesUpTo(ceiling);
    this.#targets = targets;
    this.stop();
    this.#forgetTold();
    this.#set(ceiling);
  }

  /** A new path can carry traffic: after the first handshake, another server address, another network. */
  handlePath(now: Instant): void {
    this.#forgetTold();
    this.#raiseMs = FIRST_RAISE_MS;
    this.#suspicionMs = FIRST_SUSPICION_MS;
    this.#raiseAt = undefined;
    this.#start(now, { sizes: this.#sizes });
    this.#judgesPath = true;
  }

  /** No traffic may flow; `handlePath` follows when it may again. */
  stop(): void {
    this.#round = undefined;
    this.#bulk = false;
    this.#answering = false;
    this.#raiseAt = undefined;
  }

  /** Packets arrived, the largest of so many bytes. */
  handleReceived(largest: number, now: Instant): void {
    if (!this.#answering || this.#round || largest === 0) return;
    if (largest >= this.#mtu) {
      this.#bulk = true;
      this.#provenAt = now;
      this.#confirmMs = FIRST_CONFIRM_MS;
      // Somebody has sent more than we take, and it arrived.
      if (largest > this.#mtu && this.#raiseAt !== undefined && !this.#told)
        this.#raiseAt = earliest(this.#raiseAt, after(now, this.#raiseMs / 4));
    } else if (elapsedMs(this.#provenAt, now) >= this.#confirmMs) this.#confirm(now);
  }

  /** Something looks as if large packets got lost. */
  handleSuspicion(now: Instant): void {
    if (!this.#round && this.#maySuspect(now)) this.#confirm(now);
  }

  /**
   * The system refused a datagram as too long for the outer path (EMSGSIZE). If it says that packets of `limit` bytes are all, it sends
   * larger ones all the same, and answers decide (RFC 8899 §4.6.2); what would leave less than any line carries is a lie (RFC 5927 §7).
   * If it does not say, it sends in fragments what is larger.
   */
  handleTooLong(limit: number | undefined, now: Instant): void {
    if (limit === undefined) {
      this.#told = true;
      if (this.#round) this.#round.handleTooLong();
      else this.handleSuspicion(now);
      return;
    }
    const hint = this.#sizes.filter((size) => size <= limit).at(-1) ?? this.#mtu;
    if (hint >= this.#mtu) return;
    this.#told = true;
    this.#hint = hint;
    if (this.#targets.length === 0) {
      this.#set(hint);
      this.#raiseLater(now);
    } else if (!this.#round && this.#maySuspect(now)) this.#start(now, { sizes: this.#sizes });
  }

  /** False if the answer is to nothing that was asked here. */
  handleReply(reply: EchoReply, now: Instant): boolean {
    const size = this.#round?.handleReply(reply, now);
    if (size === undefined) return false;
    if (this.#round!.over) this.#end(now);
    return true;
  }

  handleTimeout(now: Instant): void {
    // A round that ends may leave due what had to wait for it.
    for (let due = this.nextTimeout(); due !== undefined && due <= now; due = this.nextTimeout()) {
      if (this.#round) this.#endVolley(this.#round, now);
      else if (this.#raiseAt === due) this.#raise(now);
      else this.#confirm(now);
    }
  }

  nextTimeout(): Instant | undefined {
    if (this.#round) return this.#round.until;
    return earliest(this.#raiseAt, this.#bulk ? after(this.#provenAt, FIRST_CONFIRM_MS) : undefined);
  }

  nextOutput(): OuterMtuOutput | undefined {
    return this.#outputs.shift();
  }

  #forgetTold(): void {
    this.#told = false;
    this.#hint = Number.POSITIVE_INFINITY;
  }

  /** Suspicions that come to nothing are followed ever more seldom. */
  #maySuspect(now: Instant): boolean {
    if (this.#suspectAt !== undefined && now < this.#suspectAt) return false;
    this.#suspectAt = after(now, this.#suspicionMs);
    this.#suspicionMs = Math.min(LONGEST_MS, 2 * this.#suspicionMs);
    return true;
  }

  /** Larger sizes are tried. Where nobody answers, what the system told is forgotten when the system does. */
  #raise(now: Instant): void {
    this.#raiseAt = undefined;
    if (this.#told && !this.#answering) this.#set(this.#ceiling);
    else this.#start(now, { sizes: this.#sizes.filter((size) => size >= this.#mtu) });
    this.#forgetTold();
  }

  /** Makes sure that the size in force passes. */
  #confirm(now: Instant): void {
    this.#bulk = false;
    this.#provenAt = now;
    this.#confirmMs = Math.min(LONGEST_MS, 2 * this.#confirmMs);
    this.#start(now, { sizes: this.#sizes, confirm: this.#mtu });
  }

  #start(now: Instant, what: { readonly sizes: readonly number[]; readonly confirm?: number }): void {
    this.#judgesPath = false;
    if (this.#targets.length === 0 || this.#sizes.length === 1) return;
    const identifier = randomU32(this.#random) >>> 16;
    this.#round = new MtuRound({ ...what, targets: this.#targets, identifier }, now);
    this.#ask(this.#round, now);
  }

  #ask(round: MtuRound, now: Instant): void {
    for (const question of round.questions(now)) this.#outputs.push({ kind: 'ask', question });
  }

  #endVolley(round: MtuRound, now: Instant): void {
    const more = round.endVolley();
    if (!more) this.#end(now);
    else {
      this.#follow(round);
      this.#ask(round, now);
    }
  }

  /** What arrived is proven; what did not may only be late. */
  #follow({ largest, conclusive }: MtuRound): void {
    if (largest > this.#mtu || (conclusive && largest > 0)) this.#set(largest);
  }

  #end(now: Instant): void {
    const round = this.#round!;
    this.#round = undefined;
    this.#answering = round.largest > 0;
    this.#follow(round);
    if (this.#answering) this.#provenAt = now;
    // What was found on another path is no guide.
    else this.#set(Math.min(this.#hint, this.#judgesPath ? this.#ceiling : this.#mtu));
    this.#judgesPath = false;
    if (this.#mtu === this.#ceiling) this.#forgetTold();
    else if (this.#raiseAt === undefined) this.#raiseLater(now);
  }

  #raiseLater(now: Instant): void {
    this.#raiseAt = after(now, this.#told ? RAISE_AFTER_TOLD_MS : this.#raiseMs);
    this.#raiseMs = Math.min(LONGEST_MS, 2 * this.#raiseMs);
  }

  #set(mtu: number): void {
    if (mtu === this.#mtu) return;
    this.#mtu = mtu;
    this.#raiseAt = undefined;
    this.#suspicionMs = FIRST_SUSPICION_MS;
    this.#outputs.push({ kind: 'mtu', mtu });
  }
}

function sizesUpTo(ceiling: number): readonly number[] {
  return [...SIZES.filter((size) => size < ceiling), ceiling];
}
