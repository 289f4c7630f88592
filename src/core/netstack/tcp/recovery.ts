/**
 * Finding and repairing loss. Losses are found by RACK (RFC 8985), and for peers without SACK by counting duplicate acknowledgements
 * (RFC 6582); they are repaired under proportional rate reduction (RFC 9937), with tail loss probes before and the retransmission
 * timeout (RFC 6298) as the last resort. A reduction that proves needless is taken back.
 */

import { type Instant, instant } from '../../base/instant.ts';
import type { TcpSegment } from '../../wire/tcp.ts';
import type { AckSample, CongestionController } from './congestion/controller.ts';
import { RateReduction } from './prr.ts';
import { Rack } from './rack.ts';
import type { RttEstimator } from './rtt.ts';
import { reportsDuplicate } from './sack.ts';
import { Scoreboard } from './scoreboard.ts';
import { seqAdd, seqDiff, seqGe } from './sequence.ts';
import { TailProbe } from './tail-probe.ts';
import { NEVER } from './timers.ts';
import { CARRIES_FIN, LOST, NONE, SACKED, type TransmitQueue } from './transmit-queue.ts';
import { UndoDetector } from './undo.ts';

const DUPLICATE_THRESHOLD = 3;

/** `recovery`: a loss is being repaired. `loss`: everything outstanding was given up after a timeout. */
export type Phase = 'open' | 'recovery' | 'loss';

/** What one acknowledgement told; reused. */
const sample: AckSample = { delivered: 0, rttMs: 0, limited: false, acknowledged: 0, next: 0, now: instant(0) };

export class LossRecovery {
  readonly queue: TransmitQueue;
  readonly rtt: RttEstimator;
  readonly congestion: CongestionController;
  readonly probe: TailProbe = new TailProbe();
  phase: Phase = 'open';
  sackPermitted = false;
  /**
   * The window, not the application, held the sender back when it last had a chance to send. One chance follows a whole burst of
   * acknowledgements, and each of them must count.
   */
  limited = false;
  timeoutAt: Instant = NEVER;
  reorderAt: Instant = NEVER;
  /** SND.UNA must pass this for the recovery to end. */
  #point = 0;
  #duplicateAcks = 0;
  /** The first segment goes out again whatever else may be in the network. */
  #forced = false;
  readonly #rack: Rack = new Rack();
  readonly #scoreboard: Scoreboard;
  readonly #reduction: RateReduction = new RateReduction();
  readonly #undo: UndoDetector = new UndoDetector();

  constructor(congestion: CongestionController, rtt: RttEstimator) {
    this.congestion = congestion;
    this.rtt = rtt;
    this.#scoreboard = new Scoreboard(this.#rack, rtt);
    this.queue = this.#scoreboard.queue;
  }

  /** Bytes that may be sent now on top of what is in the network. */
  get allowance(): number {
    return this.congestion.window - this.#inFlight;
  }

  /** New data, or a FIN, was sent. */
  onSent(sequence: number, length: number, fin: boolean, now: Instant): void {
    this.queue.push(sequence, length, fin ? CARRIES_FIN : 0, now);
    this.#reduction.onSent(length);
    if (this.probe.due) this.#onProbeSent(seqAdd(sequence, length), false, now);
    else if (this.timeoutAt === NEVER) this.timeoutAt = instant(now + this.rtt.timeoutMs);
    this.#armProbe(now);
  }

  /** The segment in `slot` was sent again. */
  onRetransmitted(slot: number, now: Instant): void {
    this.queue.retransmitted(slot, now);
    this.#forced = false;
    this.#reduction.onSent(this.queue.length(slot));
    this.#undo.onRetransmitted(this.queue.end(slot), now);
    if (this.probe.due) this.#onProbeSent(this.queue.end(slot), true, now);
    else this.timeoutAt = instant(now + this.rtt.timeoutMs);
  }

  /**
   * An acknowledgement came that passed the tests of RFC 5961. `before` is SND.UNA until now; `echoSentAt` when we sent the
   * timestamp it echoes, or NaN; `duplicate` as RFC 5681 §2 defines it.
   */
  onAck(segment: TcpSegment, before: number, next: number, echoSentAt: number, duplicate: boolean, now: Instant): void {
    const board = this.#scoreboard;
    const advanced = segment.acknowledgement !== before;
    const lostBefore = this.queue.lostCount;
    if (this.sackPermitted && reportsDuplicate(segment)) this.#onDuplicateReport(segment, next);
    board.take(segment, next, this.sackPermitted, echoSentAt, now);
    if (board.oldestRttMs > 0) this.rtt.sampleOf(board.oldestRttMs, segment.acknowledgement, next);
    if (advanced) this.#onAdvance(segment.acknowledgement, next, echoSentAt, now);
    else if (duplicate && !this.sackPermitted) this.#duplicateAcks++;
    if (this.probe.repairedLoss(segment, duplicate) && this.phase === 'open') this.#reduceAfterProbe(now);
    this.#detect(segment.acknowledgement, next, board.delivered, now);
    this.#adjustWindow(segment.acknowledgement, next, advanced && this.queue.lostCount <= lostBefore, now);
    if (advanced) this.#rearm(now);
  }

  /** Nothing is outstanding, and nothing waits to be sent. */
  rest(): void {
    this.limited = false;
    this.probe.due = false;
  }

  /** The reordering timer: what was waited for is lost. */
  onReorderTimeout(una: number, next: number, now: Instant): void {
    this.reorderAt = NEVER;
    this.#detect(una, next, 0, now);
  }

  /** The tail loss probe timer. */
  onProbeTimeout(now: Instant): void {
    this.probe.disarm();
    if (this.queue.count === 0) return;
    this.probe.due = true;
    this.timeoutAt = instant(now + this.rtt.timeoutMs);
  }

  /** The retransmission timeout (RFC 6298 §5.4 to 5.6, RFC 8985 §6.3). */
  onRetransmissionTimeout(una: number, next: number, now: Instant): void {
    if (this.queue.count === 0) {
      this.timeoutAt = NEVER;
      return;
    }
    if ((this.queue.flags(this.queue.slot(0)) & SACKED) !== 0) this.#scoreboard.forgetReports();
    if (this.phase === 'loss') this.congestion.window = this.congestion.mss;
    else {
      this.congestion.onTimeout(seqDiff(next, una), now);
      this.#undo.begin(una);
    }
    this.phase = 'loss';
    this.#point = next;
    this.#duplicateAcks = 0;
    this.#forced = true;
    this.probe.reset();
    this.reorderAt = NEVER;
    this.#rack.detectOnTimeout(this.queue, this.rtt, now);
    this.rtt.backOff();
    this.timeoutAt = instant(now + this.rtt.timeoutMs);
  }

  /** The peer's window is closed: the first segment serves as a probe, and silence says nothing about the path. */
  onClosedWindowTimeout(now: Instant): void {
    this.resendFirst();
    this.probe.reset();
    this.rtt.backOff();
    this.timeoutAt = instant(now + this.rtt.timeoutMs);
  }

  /** The first segment goes out again at once, without blame. */
  resendFirst(): void {
    if (this.queue.count === 0) return;
    this.queue.markLost(this.queue.slot(0));
    this.#forced = true;
  }

  /** The path takes only `mss` bytes of payload: what is outstanding is cut and sent again at once, without blame (RFC 1191 §6.4). */
  onNarrowPath(mss: number, next: number): void {
    this.congestion.mss = mss;
    if (this.queue.count === 0) return;
    this.queue.resegment(mss, true);
    this.probe.disarm();
    this.phase = 'loss';
    this.#point = next;
    this.#undo.end();
  }

  /** Lost segment to send again now, or NONE. */
  nextRetransmission(): number {
    const slot = this.queue.nextLost();
    if (slot === NONE) return NONE;
    if (this.#forced || this.queue.inFlight === 0 || this.allowance >= this.queue.length(slot)) return slot;
    this.limited = true;
    return NONE;
  }

  /** The segment that a tail loss probe repeats when there is nothing new to send (RFC 8985 §7.3), or NONE. */
  lastSegment(): number {
    for (let i = this.queue.count - 1; i >= 0; i--) {
      const slot = this.queue.slot(i);
      if ((this.queue.flags(slot) & (SACKED | LOST)) === 0) return slot;
    }
    return NONE;
  }

  clear(): void {
    this.#scoreboard.clear();
    this.probe.reset();
    this.timeoutAt = this.reorderAt = NEVER;
  }

  /** The pipe of RFC 6675. Duplicate acknowledgements without SACK each stand for a segment that left it. */
  get #inFlight(): number {
    return Math.max(0, this.queue.inFlight - this.#duplicateAcks * this.congestion.mss);
  }

  #onAdvance(una: number, next: number, echoSentAt: number, now: Instant): void {
    this.#duplicateAcks = 0;
    this.rtt.resetBackoff();
    const needless = this.#undo.provesNeedless(una, echoSentAt);
    if (this.phase === 'open') return;
    const over = seqGe(una, this.#point);
    if (needless || (over && this.#undo.provedNeedlessByItself)) this.#takeBack();
    else if (over) {
      this.#endRecovery(next);
      // What was sent since it began was lost too, and is being repaired: congestion in another window (RFC 5681 §4.3).
      if (this.#undo.repairs(una)) this.#enterRecovery(una, next, this.#scoreboard.delivered, now);
    } else if (!this.sackPermitted && this.queue.count > 0) {
      // A partial acknowledgement shows the next hole (RFC 6582 §3.2 step 3).
      if (this.phase === 'recovery') this.queue.markLost(this.queue.slot(0));
      else this.#rack.detectOnTimeout(this.queue, this.rtt, now);
    }
  }

  #detect(una: number, next: number, delivered: number, now: Instant): void {
    const queue = this.queue;
    if (queue.count === 0) return;
    if (this.sackPermitted) {
      const wait = this.#rack.detect(queue, this.phase !== 'open', this.rtt, now);
      this.reorderAt = wait > 0 ? instant(now + wait) : NEVER;
    } else if (this.#duplicateAcks >= DUPLICATE_THRESHOLD && this.phase === 'open') queue.markLost(queue.slot(0));
    if (queue.lostCount > 0 && this.phase === 'open' && !this.#forced) this.#enterRecovery(una, next, delivered, now);
  }

  /** `delivered`: bytes that the acknowledgement which told of the loss reported. */
  #enterRecovery(una: number, next: number, delivered: number, now: Instant): void {
    const flight = seqDiff(next, una);
    this.phase = 'recovery';
    this.#point = next;
    // What the pacer holds back the window had room for (RFC 9438 §4.6).
    this.congestion.onCongestion(this.limited ? Math.max(flight, this.congestion.window) : flight, now);
    this.#reduction.begin(flight - this.queue.sackedBytes + delivered);
    this.#undo.begin(una);
    this.probe.disarm();
    this.#reduce(0, false);
  }

  #adjustWindow(una: number, next: number, safe: boolean, now: Instant): void {
    const { delivered, newestRttMs } = this.#scoreboard;
    if (this.phase === 'recovery') this.#reduce(delivered, safe);
    if (this.phase === 'recovery' || delivered === 0) return;
    sample.delivered = delivered;
    sample.rttMs = newestRttMs;
    sample.limited = this.limited || this.#usesHalf(delivered);
    sample.acknowledged = una;
    sample.next = next;
    sample.now = now;
    this.congestion.onAck(sample, this.rtt);
  }

  /** In slow start half of the window in use is use enough: it doubles in a round trip (RFC 7661 §4.1). */
  #usesHalf(delivered: number): boolean {
    const { window, threshold } = this.congestion;
    return window < threshold && window < 2 * (this.#inFlight + delivered);
  }

  #reduce(delivered: number, safe: boolean): void {
    const { threshold, mss } = this.congestion;
    this.congestion.window = this.#reduction.window(delivered, this.#inFlight, threshold, mss, safe);
  }

  #endRecovery(next: number): void {
    if (this.phase === 'recovery') this.congestion.window = Math.max(this.congestion.threshold, this.congestion.mss);
    this.phase = 'open';
    this.#undo.linger(next);
    this.#rack.onRecovered();
  }

  #takeBack(): void {
    this.congestion.undo();
    this.queue.forgetLost();
    this.phase = 'open';
    this.#undo.end();
  }

  #onDuplicateReport(segment: TcpSegment, next: number): void {
    this.#rack.onDuplicateReport(segment.acknowledgement, next);
    if (this.#undo.onDuplicateReport(segment.sackStart[0]!, segment.sackEnd[0]!)) this.#takeBack();
  }

  #reduceAfterProbe(now: Instant): void {
    this.congestion.onCongestion(this.queue.inFlight, now);
    this.congestion.window = Math.max(this.congestion.threshold, this.congestion.mss);
  }

  #rearm(now: Instant): void {
    if (this.queue.count === 0) {
      this.timeoutAt = this.reorderAt = NEVER;
      this.probe.disarm();
      return;
    }
    this.timeoutAt = instant(now + this.rtt.timeoutMs);
    this.#armProbe(now);
  }

  /** Not without SACK, nor while a loss is known (RFC 8985 §7.2). */
  #armProbe(now: Instant): void {
    if (this.sackPermitted && this.phase === 'open' && this.queue.sackedCount === 0)
      this.probe.arm(this.queue.count, this.rtt.smoothedMs, this.timeoutAt, now);
    else this.probe.disarm();
  }

  #onProbeSent(end: number, repeated: boolean, now: Instant): void {
    this.probe.onSent(end, repeated);
    this.timeoutAt = instant(now + this.rtt.timeoutMs);
  }
}
