/**
 * How many handshake messages an address may have answered while the device is under load (whitepaper §5.3): a token bucket for
 * each IPv4 address and each IPv6 /64, since a /64 is what one host can have for free.
 */

import type { IpAddress } from '../base/address.ts';
import { elapsedMs, type Instant } from '../base/instant.ts';
import { RATE_LIMIT_BURST, RATE_LIMIT_ENTRIES, RATE_LIMIT_PER_SECOND } from './constants.ts';

const IDLE_TIME = 1_000;
const V6_NETWORK_BYTES = 8;

interface Bucket {
  tokens: number;
  at: Instant;
}

export class RateLimiter {
  readonly #buckets: Map<string, Bucket> = new Map();
  readonly #capacity: number;

  constructor(capacity: number = RATE_LIMIT_ENTRIES) {
    this.#capacity = capacity;
  }

  /** Addresses remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one token of the address. False if it has none, or if the table is full of busy addresses. */
  allow(address: IpAddress, now: Instant): boolean {
    const key = bucketKey(address);
    const known = this.#buckets.get(key);
    const tokens = known ? refill(known, now) : RATE_LIMIT_BURST;
    if (!known && this.#buckets.size >= this.#capacity) this.#collect(now);
    if (!known && this.#buckets.size >= this.#capacity) return false;
    // Re-inserted, so that the map stays in order of last use and collecting stops at the first busy entry.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    this.#collect(now);
    return tokens >= 1;
  }

  #collect(now: Instant): void {
    for (const [key, bucket] of this.#buckets) {
      if (elapsedMs(bucket.at, now) <= IDLE_TIME) return;
      this.#buckets.delete(key);
    }
  }
}

function refill(bucket: Bucket, now: Instant): number {
  return Math.min(RATE_LIMIT_BURST, bucket.tokens + (elapsedMs(bucket.at, now) * RATE_LIMIT_PER_SECOND) / 1_000);
}

function bucketKey({ family, bytes }: IpAddress): string {
  return String.fromCharCode(...(family === 4 ? bytes : bytes.subarray(0, V6_NETWORK_BYTES)));
}
