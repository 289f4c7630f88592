/**
 * A bad line between the clients and the sandbox, both ways, for the WireGuard datagrams: loss, delay and the rest, drawn from a
 * seed. With all faults off, datagrams do not come through here.
 */

import type { Endpoint } from '../core/base/address.ts';
import type { Random } from '../core/base/crypto.ts';
import { after, type Instant } from '../core/base/instant.ts';
import { randomU32, randomUnit } from '../core/base/random.ts';
import { DelayQueue } from './delay-queue.ts';

/** Change any of it at any time; it holds for datagrams from then on. Probabilities are from 0 to 1. */
export class Faults {
  /** Nothing arrives and nothing leaves: the server is dead. */
  silent = false;
  /** One way, in milliseconds: a round trip takes twice as long. */
  delayMs = 0;
  /** Up to so much more, evenly distributed; the order is kept. */
  jitterMs = 0;
  loss = 0;
  /** How likely a datagram is held back by up to `reorderMs`, so that others overtake it. */
  reorder = 0;
  reorderMs = 20;
  duplicate = 0;
  /** How likely one bit of a datagram is turned over. */
  corrupt = 0;
  /** One way, in bits per second, with a queue of `queueMs`; 0 is no limit. */
  bitsPerSecond = 0;
  queueMs = 200;
  /** The largest IP packet that the line carries, in bytes; datagrams that do not fit vanish without a word. 0 is no limit. */
  mtu = 0;

  /** Every fault off. What is still on its way arrives at its time. */
  clear(): void {
    Object.assign(this, new Faults());
  }

  get any(): boolean {
    const { silent, delayMs, jitterMs, loss, reorder, duplicate, corrupt, bitsPerSecond, mtu } = this;
    return silent || delayMs + jitterMs + loss + reorder + duplicate + corrupt + bitsPerSecond + mtu > 0;
  }
}

export interface LinkCounts {
  passed: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  /** Dropped since more datagrams were on their way than the link holds, or by the queue of `bitsPerSecond`. */
  overflowed: number;
  /** Larger than `mtu`. */
  tooLarge: number;
}

export interface Travelling {
  readonly bytes: Uint8Array;
  readonly endpoint: Endpoint | undefined;
}

/** Datagrams on their way at once: at full-size packets, 64 MiB. */
const CAPACITY = 32_768;

/** One direction of the line. */
export class Link {
  readonly counts: LinkCounts = {
    passed: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    overflowed: 0,
    tooLarge: 0,
  };
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #travelling: DelayQueue<Travelling> = new DelayQueue();
  /** When the latest datagram that kept its place arrives: none that follows may arrive before. */
  #latest: Instant | undefined;
  /** When the wire is free again (`bitsPerSecond`). */
  #freeAt: Instant | undefined;

  constructor(faults: Faults, random: Random) {
    this.#faults = faults;
    this.#random = random;
  }

  /** Whether datagrams must pass through here: a fault is on, or others are on their way and must not be overtaken. */
  get active(): boolean {
    return this.#travelling.length > 0 || this.#faults.any;
  }

  /** Takes a copy of one datagram. */
  offer(datagram: Uint8Array, endpoint: Endpoint | undefined, now: Instant): void {
    const { silent, loss, duplicate, mtu } = this.#faults;
    if (mtu > 0 && outerLength(datagram, endpoint) > mtu) {
      this.counts.tooLarge++;
      return;
    }
    if (silent || this.#draw(loss)) {
      this.counts.lost++;
      return;
    }
    this.#send(datagram, endpoint, now);
    if (!this.#draw(duplicate)) return;
    this.counts.duplicated++;
    this.#send(datagram, endpoint, now);
  }

  /** The next datagram that has arrived by now; call until undefined. */
  take(now: Instant): Travelling | undefined {
    const arrived = this.#travelling.take(now);
    if (arrived) this.counts.passed++;
    return arrived;
  }

  nextTimeout(): Instant | undefined {
    return this.#travelling.nextTimeout();
  }

  #send(datagram: Uint8Array, endpoint: Endpoint | undefined, now: Instant): void {
    const sentAt = this.#transmitted(datagram.length, now);
    if (sentAt === undefined || this.#travelling.length >= CAPACITY) {
      this.counts.overflowed++;
      return;
    }
    const { delayMs, jitterMs, reorder, reorderMs, corrupt } = this.#faults;
    const bytes = Uint8Array.from(datagram);
    if (bytes.length > 0 && this.#draw(corrupt)) {
      const bit = randomU32(this.#random) % (8 * bytes.length);
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      this.counts.corrupted++;
    }
    let arrivesAt = after(sentAt, delayMs + (jitterMs > 0 ? jitterMs * randomUnit(this.#random) : 0));
    if (this.#draw(reorder)) {
      this.counts.reordered++;
      arrivesAt = after(arrivesAt, reorderMs * randomUnit(this.#random));
    } else {
      if (this.#latest !== undefined && this.#latest > arrivesAt) arrivesAt = this.#latest;
      this.#latest = arrivesAt;
    }
    this.#travelling.push({ bytes, endpoint }, arrivesAt);
  }

  /** When the last bit has left, or `undefined` if the queue before the wire is full. */
  #transmitted(length: number, now: Instant): Instant | undefined {
    const { bitsPerSecond, queueMs } = this.#faults;
    if (bitsPerSecond === 0) return now;
    const start = this.#freeAt !== undefined && this.#freeAt > now ? this.#freeAt : now;
    if (start - now > queueMs) return undefined;
    this.#freeAt = after(start, (8000 * length) / bitsPerSecond);
    return this.#freeAt;
  }

  #draw(probability: number): boolean {
    return probability > 0 && randomUnit(this.#random) < probability;
  }
}

/** With its IP and UDP headers. */
function outerLength(datagram: Uint8Array, endpoint: Endpoint | undefined): number {
  return datagram.length + (endpoint?.address.family === 6 ? 48 : 28);
}
