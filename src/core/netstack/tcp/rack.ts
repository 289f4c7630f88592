/**
 * RACK (RFC 8985 §6): a segment is lost when one that was sent sufficiently later has arrived. Time instead of counting, so a lost
 * retransmission is found too, and reordering within a fraction of the round trip does no harm.
 */

import type { RttEstimator } from './rtt.ts';
import { seqGt, seqLt } from './sequence.ts';
import { NONE, RETRANSMITTED, type TransmitQueue } from './transmit-queue.ts';

const DUPLICATE_THRESHOLD = 3;
const PERSIST_ROUNDS = 16;

export class Rack {
  /** Transmission time of the segment most recently sent among those that arrived, its end, and its round-trip time. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #end = 0;
  #rttMs = 0;
  /** Highest sequence that arrived. */
  #forward = 0;
  #hasForward = false;
  #reorderingSeen = false;
  #windowMultiplier = 1;
  #windowPersist = PERSIST_ROUNDS;
  #duplicateRound = 0;
  #inDuplicateRound = false;

  /**
   * Steps 2 and 3 for one segment that is newly acknowledged, selectively or not. `echoBefore` is true if the acknowledgement's
   * timestamp echo is older than the segment's last transmission: then it was an earlier transmission that arrived.
   */
  onDelivered(queue: TransmitQueue, slot: number, echoBefore: boolean, rtt: RttEstimator, now: number): void {
    const sentAt = queue.sentAt(slot);
    const end = queue.end(slot);
    const retransmitted = (queue.flags(slot) & RETRANSMITTED) !== 0;
    if (!this.#hasForward || seqGt(end, this.#forward)) {
      this.#forward = end;
      this.#hasForward = true;
    } else if (!retransmitted) this.#reorderingSeen = true;
    const rttMs = now - sentAt;
    if (retransmitted && (echoBefore || rttMs < rtt.minimumMs)) return;
    if (!sentAfter(sentAt, end, this.#sentAt, this.#end)) return;
    this.#sentAt = sentAt;
    this.#end = end;
    this.#rttMs = rttMs;
  }

  /** Step 4, DSACK part: a needless retransmission widens the reordering window, once per round trip. */
  onDuplicateReport(acknowledgement: number, next: number): void {
    if (this.#inDuplicateRound && seqLt(acknowledgement, this.#duplicateRound)) return;
    this.#inDuplicateRound = true;
    this.#duplicateRound = next;
    this.#windowMultiplier++;
    this.#windowPersist = PERSIST_ROUNDS;
    this.#reorderingSeen = true;
  }

  /** A recovery has ended: after sixteen without a needless retransmission the window is small again. */
  onRecovered(): void {
    if (--this.#windowPersist > 0) return;
    this.#windowMultiplier = 1;
    this.#windowPersist = PERSIST_ROUNDS;
  }

  /** Step 5: marks what is lost. Returns in how many milliseconds the next segment may be, or 0 if none is waited for. */
  detect(queue: TransmitQueue, recovering: boolean, rtt: RttEstimator, now: number): number {
    const window = this.#reorderingWindow(queue, recovering, rtt);
    for (let slot = queue.oldest; slot !== NONE; ) {
      const sentAt = queue.sentAt(slot);
      if (!sentAfter(this.#sentAt, this.#end, sentAt, queue.end(slot))) return 0;
      const remaining = sentAt + this.#rttMs + window - now;
      if (remaining > 0) return remaining;
      const newer = queue.newer(slot);
      queue.markLost(slot);
      slot = newer;
    }
    return 0;
  }

  /** On a retransmission timeout (§6.3): the first segment is lost, and all that were sent long enough ago. */
  detectOnTimeout(queue: TransmitQueue, rtt: RttEstimator, now: number): void {
    const window = this.#reorderingWindow(queue, true, rtt);
    queue.markLost(queue.slot(0));
    for (let slot = queue.oldest; slot !== NONE; ) {
      const newer = queue.newer(slot);
      if (queue.sentAt(slot) + this.#rttMs + window - now <= 0) queue.markLost(slot);
      slot = newer;
    }
  }

  #reorderingWindow(queue: TransmitQueue, recovering: boolean, rtt: RttEstimator): number {
    if (!this.#reorderingSeen && (recovering || queue.sackedCount >= DUPLICATE_THRESHOLD)) return 0;
    return Math.min((this.#windowMultiplier * rtt.minimumMs) / 4, rtt.smoothedMs);
  }
}

function sentAfter(timeA: number, endA: number, timeB: number, endB: number): boolean {
  return timeA > timeB || (timeA === timeB && seqGt(endA, endB));
}
