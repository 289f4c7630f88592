/** What a congestion controller is to the sender. Windows are bytes. Proportional rate reduction may write `window` in recovery. */

import type { Instant } from '../../../base/instant.ts';
import type { RttEstimator } from '../rtt.ts';

/** One acknowledgement outside recovery. Reused: read it during the call only. */
export interface AckSample {
  /** Bytes that arrived, as this acknowledgement tells. */
  delivered: number;
  /** RTT of the segment acknowledged that was sent last, in milliseconds; 0 if there is no valid one. */
  rttMs: number;
  /** The sender was held back by the window and not by the application or the peer. */
  limited: boolean;
  /** SND.UNA behind the acknowledgement, and SND.NXT: rounds are told from them. */
  acknowledged: number;
  next: number;
  now: Instant;
}

export interface CongestionController {
  /** Congestion window. */
  window: number;
  /** Slow-start threshold; Infinity at first. */
  threshold: number;
  /** Largest payload sent, in bytes; changes only when the path does. */
  mss: number;
  onAck(sample: AckSample, rtt: RttEstimator): void;
  /** A loss not seen before: sets `threshold`, and remembers the values for `undo`. */
  onCongestion(inFlight: number, now: Instant): void;
  /** A retransmission timeout, the first of its kind: `threshold`, and a window of one segment (RFC 5681 §3.1). */
  onTimeout(inFlight: number, now: Instant): void;
  /** The last reduction was a mistake: nothing was lost. */
  undo(): void;
  /** Nothing was sent for `idleMs`, longer than the retransmission timeout (RFC 5681 §4.1). */
  onIdle(idleMs: number, timeoutMs: number): void;
}

/** RFC 6928: ten segments, or about 14 KB. */
export function initialWindow(mss: number): number {
  return Math.min(10 * mss, Math.max(2 * mss, 14_600));
}
