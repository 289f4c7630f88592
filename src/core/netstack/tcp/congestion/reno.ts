/** Reno (RFC 5681): the yardstick, and a fallback where CUBIC is suspected. */

import type { Instant } from '../../../base/instant.ts';
import { type AckSample, type CongestionController, initialWindow } from './controller.ts';
import { HyStart } from './hystart.ts';
import { slowStart } from './slow-start.ts';

export class Reno implements CongestionController {
  window: number;
  threshold: number = Number.POSITIVE_INFINITY;
  mss: number;
  #priorWindow = 0;
  #priorThreshold = 0;
  readonly #hystart: HyStart = new HyStart();

  constructor(mss: number) {
    this.mss = mss;
    this.window = initialWindow(mss);
  }

  onAck(sample: AckSample): void {
    if (!sample.limited) return;
    let delivered = sample.delivered;
    if (this.window < this.threshold) delivered = slowStart(this, this.#hystart, sample);
    if (delivered > 0) this.window += (this.mss * delivered) / this.window;
  }

  onCongestion(inFlight: number, _now: Instant): void {
    this.#remember();
    this.threshold = Math.max(inFlight / 2, 2 * this.mss);
  }

  onTimeout(inFlight: number, now: Instant): void {
    this.onCongestion(inFlight, now);
    this.window = this.mss;
    this.#hystart.restart();
  }

  undo(): void {
    this.window = Math.max(this.window, this.#priorWindow);
    this.threshold = this.#priorThreshold;
  }

  onIdle(): void {
    this.window = Math.min(this.window, initialWindow(this.mss));
    this.#hystart.restart();
  }

  #remember(): void {
    this.#priorWindow = this.window;
    this.#priorThreshold = this.threshold;
  }
}
