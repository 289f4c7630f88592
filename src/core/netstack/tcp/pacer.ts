/**
 * Spreads a large window over the round trip instead of sending it in one burst (RFC 9438 §4.2 asks CUBIC for no more than a multiple
 * per round trip; Linux's factors). A burst of some hundred packets overflows socket buffers and short queues on its way, which looks
 * like congestion though the path has room. Bursts that do no harm stay whole: each hop, the peer and its acknowledgements are cheaper
 * by run than by packet.
 */

import { type Instant, instant } from '../../base/instant.ts';
import { NEVER } from './timers.ts';

/** Segments that any queue has room for: so many may be ahead of the pace, and a smaller window goes out at once. */
const BURST_SEGMENTS = 32;
/** Until the window is near the threshold it must be able to double in a round trip; then it needs a little more than its share. */
const SLOW_START_FACTOR = 2;
const AVOIDANCE_FACTOR = 1.2;
/** Timers tick in milliseconds: what is due within one is sent with the rest, however much it is. */
const TICK_MS = 1;
/** How much of the time that a late timer lost is made up for. More would be a burst again. */
const CATCH_UP_MS = 4;

/** What the pace follows from. */
export interface Pace {
  /** Congestion window and slow-start threshold, in bytes. */
  readonly window: number;
  readonly threshold: number;
  readonly mss: number;
}

export class Pacer {
  /** When to ask again; NEVER while nothing is held back. */
  at: Instant = NEVER;
  /** When the next segment would go if all were spread evenly. */
  #next = Number.NEGATIVE_INFINITY;
  /** So long before `#next` it may go. */
  #aheadMs = TICK_MS;

  /** Whether another segment may go at `now`. If not, `at` says when: half of what may be ahead of the pace goes then. */
  admits(now: Instant): boolean {
    const held = this.at !== NEVER;
    const whole = this.#next - this.#aheadMs;
    const half = this.#next - this.#aheadMs / 2;
    const admitted = (held ? half : whole) <= now;
    this.at = admitted ? NEVER : instant(half);
    return admitted;
  }

  /** `bytes` were sent; `rttMs` is smoothed, 0 as long as there is none. */
  onSent(bytes: number, { window, threshold, mss }: Pace, rttMs: number, now: Instant): void {
    if (rttMs === 0 || window < BURST_SEGMENTS * mss) return;
    const slowStart = window < threshold / 2;
    const msPerByte = rttMs / ((slowStart ? SLOW_START_FACTOR : AVOIDANCE_FACTOR) * window);
    this.#next = Math.max(this.#next, now - CATCH_UP_MS) + bytes * msPerByte;
    // A window that has yet to meet its limit would meet it in its first burst.
    this.#aheadMs = slowStart ? TICK_MS : Math.max(TICK_MS, BURST_SEGMENTS * mss * msPerByte);
  }
}
