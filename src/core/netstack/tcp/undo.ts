/**
 * Was the last reduction of the congestion window a mistake? Plainly, if what seemed lost arrived before it could be sent again. By
 * DSACK (RFC 3708): every retransmission was reported as a duplicate. By timestamps (Eifel, RFC 3522): the first acknowledgement
 * after a retransmission echoes something sent before it, and before every other that is still on its way.
 */

import { seqGt, seqLt } from './sequence.ts';

export class UndoDetector {
  #active = false;
  /** Retransmissions that no duplicate report has called needless. */
  #unexplained = 0;
  #retransmitted = false;
  /**
   * Retransmissions are on their way, of this repair or an earlier one: the first was sent at `#firstAt`, in the whole milliseconds of
   * the timestamp clock, and they end at `#pendingTo`.
   */
  #pending = false;
  #firstAt = 0;
  #pendingTo = 0;
  #advanced = false;
  /** What was retransmitted lies within. */
  #from = 0;
  #to = 0;
  /** The repair is over, and SND.UNA must pass `#lastCall` for the question to be closed. */
  #over = false;
  #lastCall = 0;

  /** The window was reduced while `una` was the oldest outstanding. */
  begin(una: number): void {
    this.#active = true;
    this.#unexplained = 0;
    this.#advanced = false;
    this.#over = false;
    this.#from = this.#to = una;
    // What an earlier repair sent again moves SND.UNA too, and its echo says nothing about this one (RFC 3522 §3.2, step 4).
    this.#pending = this.repairs(una);
    this.#retransmitted = this.#pending;
  }

  /** Something from `una` on was sent again. */
  repairs(una: number): boolean {
    return this.#pending && seqGt(this.#pendingTo, una);
  }

  /** The repair is over. Reports of duplicates take another round trip: until what is sent by now, up to `next`, is acknowledged. */
  linger(next: number): void {
    this.#over = true;
    this.#lastCall = next;
  }

  end(): void {
    this.#active = false;
  }

  /** A segment that ends at `end` was sent again. */
  onRetransmitted(end: number, now: number): void {
    if (!this.#pending) this.#firstAt = Math.floor(now);
    if (!this.#pending || seqGt(end, this.#pendingTo)) this.#pendingTo = end;
    this.#pending = true;
    if (!this.#active || this.#over) return;
    if (seqGt(end, this.#to)) this.#to = end;
    this.#unexplained++;
    this.#retransmitted = true;
  }

  /** The repair is over without a retransmission: nothing was lost, and no report of a duplicate will ever say so. */
  get provedNeedlessByItself(): boolean {
    return this.#active && !this.#retransmitted;
  }

  /** SND.UNA moved. Only the first time can tell (RFC 3522 §3.2): later echoes come of the repair itself. */
  provesNeedless(una: number, echoSentAt: number): boolean {
    if (this.#over && seqGt(una, this.#lastCall)) this.#active = false;
    const first = this.#active && this.#retransmitted && !this.#advanced && !this.#over;
    this.#advanced = true;
    return first && echoSentAt < this.#firstAt;
  }

  /**
   * [start, end) was reported as a duplicate. True if now all retransmissions are. The network makes duplicates too (RFC 3708 §3): what
   * lies outside of the retransmissions is none of them.
   */
  onDuplicateReport(start: number, end: number): boolean {
    if (!this.#active || this.#unexplained === 0 || seqLt(start, this.#from) || seqGt(end, this.#to)) return false;
    return --this.#unexplained === 0;
  }
}
