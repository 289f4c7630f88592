/**
 * Tail loss probes (RFC 8985 §7): when acknowledgements stop coming, one segment more, new if there is one, else the last again. The
 * answer shows what was lost, and an ordinary recovery repairs it long before the retransmission timeout.
 */

import { type Instant, instant } from '../../base/instant.ts';
import type { TcpSegment } from '../../wire/tcp.ts';
import { reportsDuplicate } from './sack.ts';
import { seqDiff } from './sequence.ts';
import { NEVER } from './timers.ts';

/** §7.2: what a peer may delay the acknowledgement of a lone segment. */
const MAX_PEER_DELAY_MS = 200;
const MIN_DELAY_MS = 2;

export class TailProbe {
  /** When the timer fires. */
  at: Instant = NEVER;
  /** A probe is to be sent, whatever the congestion window says. */
  due = false;
  #outstanding = false;
  #end = 0;
  #repeated = false;

  /** §7.2: a timer for `segments` outstanding ones, not later than the retransmission timeout. */
  arm(segments: number, smoothedMs: number, timeoutAt: Instant, now: Instant): void {
    this.at = NEVER;
    if (this.#outstanding || smoothedMs === 0) return;
    const delay = Math.max(MIN_DELAY_MS, 2 * smoothedMs + (segments === 1 ? MAX_PEER_DELAY_MS : 0));
    this.at = instant(Math.min(now + delay, timeoutAt));
  }

  disarm(): void {
    this.at = NEVER;
  }

  /** The probe went out and ends at `end`; `repeated` if it was the last segment again. */
  onSent(end: number, repeated: boolean): void {
    this.due = false;
    this.#outstanding = true;
    this.#end = end;
    this.#repeated = repeated;
  }

  /**
   * §7.4.2: true if this acknowledgement shows that the probe repaired a loss, which is congestion like any other. A repeated tail
   * that was reported as a duplicate, or led to a duplicate acknowledgement, had not been lost.
   */
  repairedLoss(segment: TcpSegment, duplicate: boolean): boolean {
    const ahead = seqDiff(segment.acknowledgement, this.#end);
    if (!this.#outstanding || ahead < 0) return false;
    if (!this.#repeated || reportsDuplicate(segment) || (duplicate && segment.sackBlocks === 0)) {
      this.#outstanding = false;
      return false;
    }
    this.#outstanding = ahead === 0;
    return ahead > 0;
  }

  /** A timeout, or the end of the connection. */
  reset(): void {
    this.at = NEVER;
    this.due = false;
    this.#outstanding = false;
  }
}
