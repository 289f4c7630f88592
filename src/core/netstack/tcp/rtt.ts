/** Round-trip time and retransmission timeout (RFC 6298). Times are milliseconds, with fractions if the shell's clock has them. */

import { seqGe } from './sequence.ts';

const INITIAL_RTO_MS = 1000;
const MAX_BACKOFF = 16;

export class RttEstimator {
  /** Smoothed; 0 until the first sample. */
  smoothedMs = 0;
  variationMs = 0;
  /** Of the whole connection (RFC 8985 §6.2 step 1 permits any window). */
  minimumMs: number = Number.POSITIVE_INFINITY;
  latestMs = 0;
  #base = INITIAL_RTO_MS;
  #backoff = 0;
  /** Samples of the last round trip and of this one, which ends when SND.UNA passes `#roundEnd`. */
  #perRound = 0;
  #inRound = 0;
  #roundEnd = 0;
  readonly #minRtoMs: number;
  readonly #maxRtoMs: number;

  constructor(minRtoMs: number, maxRtoMs: number) {
    this.#minRtoMs = minRtoMs;
    this.#maxRtoMs = maxRtoMs;
  }

  /** The timeout to arm now, backed off. */
  get timeoutMs(): number {
    return Math.min(this.#maxRtoMs, this.#base * 2 ** this.#backoff);
  }

  /** Takes the measurement that an acknowledgement of `una` gave, while `next` is the next number to be sent. */
  sampleOf(rttMs: number, una: number, next: number): void {
    if (this.#perRound === 0 || seqGe(una, this.#roundEnd)) {
      this.#perRound = Math.max(1, this.#inRound);
      this.#inRound = 0;
      this.#roundEnd = next;
    }
    this.#inRound++;
    this.sample(rttMs, this.#perRound);
  }

  /** Takes one measurement. `perRoundTrip` samples are expected in a round trip, so that many do not shorten the memory (RFC 7323 appendix G). */
  sample(rttMs: number, perRoundTrip: number): void {
    this.latestMs = rttMs;
    if (rttMs < this.minimumMs) this.minimumMs = rttMs;
    if (this.smoothedMs === 0) {
      this.smoothedMs = Math.max(rttMs, 0.001);
      this.variationMs = rttMs / 2;
    } else {
      const n = Math.max(1, perRoundTrip);
      this.variationMs += (Math.abs(this.smoothedMs - rttMs) - this.variationMs) / (4 * n);
      this.smoothedMs += (rttMs - this.smoothedMs) / (8 * n);
    }
    // The floor stands above the RTT, as in Linux, to leave room for a delayed acknowledgement.
    this.#base = this.smoothedMs + Math.max(4 * this.variationMs, this.#minRtoMs);
    this.#backoff = 0;
  }

  /** Doubles the timeout (§5.5). */
  backOff(): void {
    if (this.#backoff < MAX_BACKOFF) this.#backoff++;
  }

  /** An acknowledgement of new data ends the backoff, sample or not. */
  resetBackoff(): void {
    this.#backoff = 0;
  }

  /** Three seconds after a SYN was retransmitted without a sample (§5.7). */
  afterLostSyn(): void {
    if (this.smoothedMs === 0) this.#base = 3 * INITIAL_RTO_MS;
  }
}
