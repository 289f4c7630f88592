/** The gateway's clock (RFC 6886 §3.6): it counts seconds since its table was empty, so a clock behind ours means a lost table. */

import { elapsedMs, type Instant } from '../base/instant.ts';

/** A gateway's clock may be slow by an eighth, and rounded, before it counts as restarted. */
const SLOWEST = 7 / 8;
const TOLERANCE_SECONDS = 2;

export class Epoch {
  #last: { readonly seconds: number; readonly at: Instant } | undefined;

  /** Takes the epoch of an answer. False if the gateway has lost its state since the one before. */
  observe(seconds: number, now: Instant): boolean {
    const last = this.#last;
    this.#last = { seconds, at: now };
    if (!last) return true;
    const expected = last.seconds + (elapsedMs(last.at, now) / 1000) * SLOWEST;
    return seconds >= expected - TOLERANCE_SECONDS;
  }

  /** Forgets the gateway: another one's clock says nothing about this one's. */
  reset(): void {
    this.#last = undefined;
  }
}
