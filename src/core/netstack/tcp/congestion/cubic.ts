/**
 * CUBIC (RFC 9438): between losses the window follows a cubic of time, so it is back at the old rate soon whatever the round-trip
 * time, and never below what Reno would have (§4.3). Slow start is HyStart++.
 */

import { elapsedMs, type Instant } from '../../../base/instant.ts';
import type { RttEstimator } from '../rtt.ts';
import { type AckSample, type CongestionController, initialWindow } from './controller.ts';
import { HyStart } from './hystart.ts';
import { slowStart } from './slow-start.ts';

/** §5.1, segments per second cubed. */
const C = 0.4;
/** §4.6. */
const BETA = 0.7;
/** §4.3: growth of the Reno estimate, in segments per round trip, that makes up for the milder decrease. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);
/** §4.2: the target is at most this multiple of the window. */
const MAX_TARGET = 1.5;

export class Cubic implements CongestionController {
  window: number;
  threshold: number = Number.POSITIVE_INFINITY;
  mss: number;
  /** Window before the last reduction, and the one at which the present epoch's plateau lies (W_max), in bytes. */
  #priorWindow = 0;
  #maximum = 0;
  #epochStart: Instant | undefined;
  #epochWindow = 0;
  /** Seconds from the epoch's start to its plateau. */
  #k = 0;
  #renoWindow = 0;
  #lastAck: Instant | undefined;
  #undoWindow = 0;
  #undoThreshold = 0;
  #undoMaximum = 0;
  readonly #hystart: HyStart = new HyStart();

  constructor(mss: number) {
    this.mss = mss;
    this.window = initialWindow(mss);
  }

  onAck(sample: AckSample, rtt: RttEstimator): void {
    const now = sample.now;
    // Time in which the window was not used is no time on the curve (§5.8).
    if (!sample.limited && this.#epochStart !== undefined && this.#lastAck !== undefined)
      this.#epochStart = (this.#epochStart + elapsedMs(this.#lastAck, now)) as Instant;
    this.#lastAck = now;
    if (!sample.limited) return;
    let delivered = sample.delivered;
    if (this.window < this.threshold) delivered = slowStart(this, this.#hystart, sample);
    if (delivered > 0) this.#avoid(delivered, rtt.smoothedMs, now);
  }

  onCongestion(inFlight: number, _now: Instant): void {
    this.#undoWindow = this.window;
    this.#undoThreshold = this.threshold;
    this.#undoMaximum = this.#maximum;
    this.#priorWindow = this.window;
    // Fast convergence (§4.7): a flow that lost again before its old plateau makes room for others.
    this.#maximum = this.window < this.#maximum ? (this.window * (1 + BETA)) / 2 : this.window;
    // §4.6 permits the data in flight as the base, lest an idle application keeps a window it never proved.
    this.threshold = Math.max(Math.min(this.window, Math.max(inFlight, this.window / 2)) * BETA, 2 * this.mss);
    this.#epochStart = undefined;
  }

  onTimeout(inFlight: number, now: Instant): void {
    this.onCongestion(inFlight, now);
    this.window = this.mss;
    this.#hystart.restart();
  }

  undo(): void {
    this.window = Math.max(this.window, this.#undoWindow);
    this.threshold = this.#undoThreshold;
    this.#maximum = this.#undoMaximum;
    this.#epochStart = undefined;
  }

  onIdle(idleMs: number, timeoutMs: number): void {
    // Halved for each timeout that passed (RFC 7661 §4.4), not all at once: the next request of a session is near.
    const halvings = Math.min(30, Math.floor(idleMs / timeoutMs));
    const floor = Math.min(this.window, initialWindow(this.mss));
    this.threshold = Math.max(this.threshold, 0.75 * this.window);
    this.window = Math.max(floor, this.window / 2 ** halvings);
    this.#epochStart = undefined;
    this.#hystart.restart();
  }

  #avoid(delivered: number, smoothedMs: number, now: Instant): void {
    this.#epochStart ??= this.#beginEpoch(now);
    const elapsed = (now - this.#epochStart + smoothedMs) / 1000;
    const offset = elapsed - this.#k;
    const cubic = C * offset * offset * offset * this.mss + this.#maximum;
    const alpha = this.#renoWindow >= this.#priorWindow ? 1 : ALPHA;
    this.#renoWindow += (alpha * delivered * this.mss) / this.window;
    const target = Math.max(this.window, Math.min(cubic, MAX_TARGET * this.window));
    this.window += ((target - this.window) * delivered) / this.window;
    if (this.#renoWindow > this.window) this.window = this.#renoWindow;
  }

  #beginEpoch(now: Instant): Instant {
    this.#epochWindow = this.window;
    if (this.#maximum < this.window) this.#maximum = this.window;
    this.#k = Math.cbrt((this.#maximum - this.#epochWindow) / this.mss / C);
    this.#renoWindow = this.window;
    return now;
  }
}
