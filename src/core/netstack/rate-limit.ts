/** A token bucket: `burst` at once, `perSecond` in the long run (RFC 4443 §2.4 (f)). */

import { elapsedMs, type Instant } from '../base/instant.ts';

export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: Instant;

  constructor(perSecond: number, burst: number, now: Instant) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** True, and one token is spent, if the rate allows one more. */
  take(now: Instant): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs(this.#filledAt, now) * this.#perSecond) / 1000);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
