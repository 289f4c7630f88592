/**
 * When is the device under load (whitepaper §5.3)? A kernel looks at the length of its handshake queue. Here messages are handled
 * as they come, so the measure is how many handshake messages came within the current second.
 *
 * A source beyond its own share has to prove its address while everyone else is served as ever; only what stays below that
 * share counts towards the load of the whole device. One flooding host therefore cannot force cookies on all others.
 */

import type { Endpoint } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { after, elapsedMs, type Instant } from '../base/instant.ts';
import { randomU32 } from '../base/random.ts';
import {
  COOKIE_REPLIES_PER_SOURCE,
  COOKIE_REPLIES_TOTAL,
  LOAD_MESSAGES_PER_SOURCE,
  LOAD_MESSAGES_TOTAL,
  LOAD_STICKY_TIME,
} from './constants.ts';

/** Judges each handshake message with a valid mac1, before any expensive work. */
export interface LoadMeter {
  /** Counts a message. True if its sender must prove its address, by a cookie, to be served. */
  underLoad(source: Endpoint, now: Instant): boolean;
}

export class HandshakeLoad implements LoadMeter {
  readonly #sources: SourceCounter;
  readonly #total: SecondCounter = new SecondCounter();
  #loadedUntil: Instant | undefined;

  constructor(random: Random) {
    this.#sources = new SourceCounter(random);
  }

  underLoad(source: Endpoint, now: Instant): boolean {
    if (this.#sources.count(source, now) > LOAD_MESSAGES_PER_SOURCE) return true;
    if (this.#total.count(now) > LOAD_MESSAGES_TOTAL) this.#loadedUntil = after(now, LOAD_STICKY_TIME);
    return this.#loadedUntil !== undefined && now < this.#loadedUntil;
  }
}

/** How many cookies may be given: cheaper than a handshake, but neither free nor to be reflected at a third party without end. */
export class CookieBudget {
  readonly #sources: SourceCounter;
  readonly #total: SecondCounter = new SecondCounter();

  constructor(random: Random) {
    this.#sources = new SourceCounter(random);
  }

  /** Counts a cookie that is wanted. False if this source, or everyone together, has had enough within the current second. */
  allow(source: Endpoint, now: Instant): boolean {
    if (this.#sources.count(source, now) > COOKIE_REPLIES_PER_SOURCE) return false;
    return this.#total.count(now) <= COOKIE_REPLIES_TOTAL;
  }
}

const SECOND = 1_000;

/** Events within the current second, which starts with the first event after the last one. */
class SecondCounter {
  #since: Instant | undefined;
  #events = 0;

  /** Counts one event and returns how many there were. */
  count(now: Instant): number {
    if (this.#since === undefined || elapsedMs(this.#since, now) >= SECOND) {
      this.#since = now;
      this.#events = 0;
    }
    return ++this.#events;
  }
}

/** A power of two: the hash is masked with it. */
const COUNTERS = 16_384;

/**
 * As `SecondCounter`, for each source, in constant memory: addresses are hashed, with a secret seed, onto a fixed number of
 * counters. Two sources that share a counter share a fate, which an attacker cannot arrange without the seed.
 */
class SourceCounter {
  readonly #counters: Uint16Array = new Uint16Array(COUNTERS);
  readonly #seed: number;
  #since: Instant | undefined;

  constructor(random: Random) {
    this.#seed = randomU32(random);
  }

  /** Counts one event of this address (of its /64, for IPv6) and returns how many there were. */
  count({ address }: Endpoint, now: Instant): number {
    if (this.#since === undefined || elapsedMs(this.#since, now) >= SECOND) {
      this.#since = now;
      this.#counters.fill(0);
    }
    let hash = this.#seed;
    const length = address.family === 4 ? 4 : 8;
    for (let i = 0; i < length; i++) {
      hash = Math.imul(hash ^ address.bytes[i]!, 0x9e37_79b1);
      hash ^= hash >>> 15;
    }
    const slot = hash & (COUNTERS - 1);
    if (this.#counters[slot]! < 0xffff) this.#counters[slot]!++;
    return this.#counters[slot]!;
  }
}
