/**
 * HyStart++ (RFC 9406): leaves slow start when the round-trip time rises, before the queue overflows. A rise first leads to
 * conservative slow start, a quarter of the growth, and back if it was a false alarm.
 */

const MIN_RTT_THRESHOLD_MS = 4;
const MAX_RTT_THRESHOLD_MS = 16;
const MIN_RTT_DIVISOR = 8;
const SAMPLES = 8;
const CONSERVATIVE_DIVISOR = 4;
const CONSERVATIVE_ROUNDS = 5;

export class HyStart {
  #roundEnd = 0;
  #inRound = false;
  #lastRoundMin = Number.POSITIVE_INFINITY;
  #roundMin = Number.POSITIVE_INFINITY;
  #samples = 0;
  /** The RTT at which conservative slow start began; 0 outside it. */
  #baseline = 0;
  #conservativeRounds = 0;

  /** One acknowledgement in slow start. Returns the divisor of the window's growth: 1 or 4, or 0 when slow start is over. */
  onAck(rttMs: number, acknowledged: number, next: number): number {
    if (!this.#inRound) {
      this.#inRound = true;
      this.#roundEnd = next;
    }
    if (rttMs > 0) {
      this.#samples++;
      if (rttMs < this.#roundMin) this.#roundMin = rttMs;
    }
    if (this.#samples >= SAMPLES) this.#judge();
    if (((acknowledged - this.#roundEnd) | 0) >= 0 && !this.#nextRound(next)) return 0;
    return this.#baseline > 0 ? CONSERVATIVE_DIVISOR : 1;
  }

  /** A new slow start, after a timeout or an idle time. */
  restart(): void {
    this.#inRound = false;
    this.#lastRoundMin = this.#roundMin = Number.POSITIVE_INFINITY;
    this.#samples = 0;
    this.#baseline = 0;
    this.#conservativeRounds = 0;
  }

  #judge(): void {
    if (this.#baseline > 0) {
      if (this.#roundMin >= this.#baseline) return;
      this.#baseline = 0;
      this.#conservativeRounds = 0;
      return;
    }
    const last = this.#lastRoundMin;
    if (last === Number.POSITIVE_INFINITY) return;
    const threshold = Math.max(MIN_RTT_THRESHOLD_MS, Math.min(last / MIN_RTT_DIVISOR, MAX_RTT_THRESHOLD_MS));
    if (this.#roundMin >= last + threshold) this.#baseline = this.#roundMin;
  }

  /** False if the rounds of conservative slow start are used up. */
  #nextRound(next: number): boolean {
    if (this.#baseline > 0 && ++this.#conservativeRounds >= CONSERVATIVE_ROUNDS) return false;
    this.#lastRoundMin = this.#roundMin;
    this.#roundMin = Number.POSITIVE_INFINITY;
    this.#samples = 0;
    this.#roundEnd = next;
    return true;
  }
}
