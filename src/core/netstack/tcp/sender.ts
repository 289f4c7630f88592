/**
 * The sending half of a connection: what was written, how far it was sent, and whether another segment may go out now. Congestion
 * and loss are `recovery.ts`; here are the peer's window, silly window avoidance and Nagle (RFC 9293 §3.8.6), and the credit that
 * lets the embedder write.
 */

import { type Instant, instant } from '../../base/instant.ts';
import { ACK, type TcpSegment } from '../../wire/tcp.ts';
import type { CongestionController } from './congestion/controller.ts';
import { Cubic } from './congestion/cubic.ts';
import { Reno } from './congestion/reno.ts';
import { Flight } from './flight.ts';
import type { MemoryBudget } from './memory.ts';
import { Pacer } from './pacer.ts';
import { LossRecovery } from './recovery.ts';
import { RttEstimator } from './rtt.ts';
import { SendBuffer } from './send-buffer.ts';
import { seqAdd, seqDiff, seqLe, seqLt } from './sequence.ts';
import type { TcpSettings } from './settings.ts';
import { NEVER } from './timers.ts';

/** Written and not yet sent: at 2.5 Gbit/s, 13 ms in which the embedder's thread may do something else. More would only wait in memory. */
const READY_BYTES = 4 * 1024 * 1024;

/** What `plan` says when there is nothing to send, or it may not be sent now. */
export const NOTHING = -1;

export class Sender {
  // First what every packet asks for, so that it lies together in the processor's caches.

  /** SND.UNA. */
  una = 0;
  /** SND.NXT. */
  next = 0;
  /** SND.WND, unscaled. */
  window = 0;
  /** Shift of the windows the peer announces. */
  scale = 0;
  /** Sequence number behind the last byte written. */
  end = 0;
  finQueued = false;
  /** Bytes the embedder may write that it has not been told of. */
  creditOwed = 0;
  /** The credit should have grown further, but the budget is spent. */
  starved = false;

  /** ISS. */
  initial = 0;
  /** The largest SND.WND there was. */
  maxWindow = 0;
  /** Largest payload of a segment. */
  mss = 536;
  /** Payload of the next segment alone, to try whether it arrives; 0 but then. */
  trialSize = 0;
  noDelay = true;
  finSent = false;
  finAcknowledged = false;
  /** When a window that is closed, or too small, is probed (RFC 9293 §3.8.6.1). */
  persistAt: Instant = NEVER;
  readonly buffer: SendBuffer;
  readonly pacer: Pacer = new Pacer();
  readonly recovery: LossRecovery;
  #creditLimit: number;
  readonly #flight: Flight = new Flight();
  #windowSequence = 0;
  #windowAck = 0;
  #probeDue = false;
  #probing = false;
  #lastSent: Instant = NEVER;
  readonly #memory: MemoryBudget;
  readonly #settings: TcpSettings;

  constructor(settings: TcpSettings, memory: MemoryBudget) {
    this.#settings = settings;
    this.#memory = memory;
    this.#creditLimit = memory.openSendBuffer(settings.sendBufferStart);
    this.buffer = new SendBuffer(memory);
    const congestion: CongestionController = settings.congestion === 'reno' ? new Reno(536) : new Cubic(536);
    this.recovery = new LossRecovery(congestion, new RttEstimator(settings.minRtoMs, settings.maxRtoMs));
  }

  /** Our SYN takes the first sequence number; whether it was sent yet makes no difference. */
  open(initialSequence: number): void {
    this.initial = this.una = initialSequence;
    this.next = this.end = seqAdd(initialSequence, 1);
    this.#flight.begin(this.next);
  }

  /** Both SYNs are acknowledged. `initialWindow` is the congestion window to begin with. */
  establish(mss: number, initialWindow: number, sackPermitted: boolean): void {
    this.una = this.next;
    this.mss = mss;
    this.recovery.congestion.mss = mss;
    this.recovery.congestion.window = initialWindow;
    this.recovery.sackPermitted = sackPermitted;
    this.recovery.timeoutAt = NEVER;
  }

  /** Nothing was written that is not acknowledged, the FIN included: no timer of this half runs. */
  get settled(): boolean {
    return this.una === this.end && !this.finQueued;
  }

  /** Bytes that the embedder may write and the peer need not have acknowledged. */
  get creditLimit(): number {
    return this.#creditLimit;
  }

  /** The credit that this connection has use for: what it keeps in flight, and ready behind it as much as may follow. */
  get demand(): number {
    const { sendBufferStart, sendBufferMax } = this.#settings;
    const ready = Math.min(READY_BYTES, Math.floor(this.recovery.congestion.window));
    return Math.max(sendBufferStart, Math.min(sendBufferMax, this.#flight.peak + ready));
  }

  /** False if the embedder had no credit for it. */
  write(bytes: Uint8Array): boolean {
    if (this.buffer.length + bytes.length + this.creditOwed > this.#creditLimit) return false;
    this.buffer.append(bytes);
    this.end = seqAdd(this.end, bytes.length);
    return true;
  }

  /**
   * Payload of the next new segment, NOTHING if none may go now; 0 is a lone FIN. Ask `fits` whether the FIN goes with it. Arms the
   * persist timer where only the peer's window stands in the way.
   */
  plan(now: Instant): number {
    if (this.finSent) return NOTHING;
    const unsent = seqDiff(this.end, this.next);
    // Until the window holds data back again, it is the application or the peer that sets the pace (RFC 7661 §4.1).
    if (unsent === 0) this.recovery.limited = false;
    if (unsent === 0 && !this.finQueued) return NOTHING;
    const usable = Math.max(0, seqDiff(seqAdd(this.una, this.window), this.next));
    const size = Math.min(unsent, unsent >= this.trialSize ? this.trialSize || this.mss : this.mss);
    const length = Math.min(size, usable);
    const blocked = size > 0 ? length === 0 : usable === 0;
    const idle = this.recovery.queue.count === 0;
    if (blocked || (length < size && 2 * length < this.maxWindow)) {
      this.recovery.limited = false;
      if (this.#probeDue) return Math.min(size, Math.max(1, usable));
      if (idle && this.persistAt === NEVER) this.#armPersist(now);
      return NOTHING;
    }
    if (this.recovery.probe.due) return length;
    if (size < this.mss && !this.noDelay && !idle && !this.finQueued) return NOTHING;
    if (idle) {
      this.#restartAfterIdle(now);
      return length;
    }
    // Whoever is not asked again, for want of room or time to send more, was not held back either.
    this.recovery.limited = this.recovery.allowance < length;
    return this.recovery.limited ? NOTHING : length;
  }

  /** True if our FIN goes with a segment of `length` bytes at `next`. */
  fits(length: number): boolean {
    return this.finQueued && seqAdd(this.next, length) === this.end;
  }

  /** A segment of `length` bytes at `next` goes out. */
  onSent(length: number, fin: boolean, now: Instant): void {
    const space = length + (fin ? 1 : 0);
    const sequence = this.next;
    const probe = this.#probeDue;
    this.#probeDue = false;
    this.persistAt = NEVER;
    this.next = seqAdd(sequence, space);
    this.#flight.onSent(seqDiff(this.next, this.una));
    if (fin) this.finSent = true;
    this.#lastSent = now;
    this.recovery.onSent(sequence, space, fin, now);
    this.paced(space, now);
    if (!probe) return;
    this.#probing = true;
    this.recovery.probe.disarm();
  }

  /** `bytes` went out, for the first time or again. */
  paced(bytes: number, now: Instant): void {
    this.pacer.onSent(bytes, this.recovery.congestion, this.recovery.rtt.smoothedMs, now);
  }

  /** SND.WND follows the newest segment (RFC 9293 §3.10.7.4, fifth check). True if the window opened for what waits. */
  updateWindow(segment: TcpSegment): boolean {
    const newer = seqDiff(segment.sequence, this.#windowSequence);
    if (newer < 0 || (newer === 0 && seqLt(segment.acknowledgement, this.#windowAck))) return false;
    const window = segment.window << this.scale;
    const opened = window > this.window;
    this.#windowSequence = segment.sequence;
    this.#windowAck = segment.acknowledgement;
    this.window = window;
    if (window > this.maxWindow) this.maxWindow = window;
    return opened;
  }

  /** The window of a segment that has no older one to compare with. */
  resetWindow(segment: TcpSegment, window: number): void {
    this.#windowSequence = segment.sequence;
    this.#windowAck = segment.acknowledgement;
    this.window = window;
    this.maxWindow = Math.max(this.maxWindow, window);
  }

  /** An ACK within una and next. `echoSentAt`: when we sent the timestamp it echoes, or NaN. */
  acknowledge(segment: TcpSegment, echoSentAt: number, now: Instant): void {
    const before = this.una;
    const window = this.window;
    const advanced = seqDiff(segment.acknowledgement, before);
    const opened = this.updateWindow(segment);
    const duplicate = advanced === 0 && segment.length === 0 && window === this.window && this.recovery.queue.count > 0;
    const bytes = advanced > 0 ? this.#advance(segment.acknowledgement, advanced) : 0;
    if (this.recovery.queue.count > 0 || advanced > 0 || segment.sackBlocks > 0)
      this.recovery.onAck(segment, before, this.next, echoSentAt, duplicate, now);
    if (advanced > 0) {
      this.#probing = this.#probing && this.recovery.queue.count > 0;
      if (this.settled) this.recovery.rest();
    }
    // While a hole is repaired nothing is acknowledged, but what arrives behind it makes room for more.
    if (advanced > 0 || this.recovery.phase !== 'open') this.#settleCredit(bytes);
    if (!opened) return;
    this.persistAt = NEVER;
    if (!this.#probing) return;
    this.#probing = false;
    this.recovery.rtt.resetBackoff();
    this.recovery.resendFirst();
  }

  /** The persist timer: one byte goes, or what the small window takes. */
  onPersistTimeout(): void {
    this.persistAt = NEVER;
    this.#probeDue = true;
  }

  /** The retransmission timer while the window is closed: the first segment outstanding is the probe. */
  onClosedWindowTimeout(now: Instant): void {
    this.#probing = true;
    this.recovery.onClosedWindowTimeout(now);
  }

  /** The path takes only `mss` bytes of payload. */
  narrow(mss: number): void {
    this.mss = mss;
    this.recovery.onNarrowPath(mss, this.next);
  }

  /** The path takes `mss` bytes of payload, more than before. */
  widen(mss: number): void {
    this.mss = mss;
    this.recovery.congestion.mss = mss;
  }

  release(): void {
    this.#memory.sendBuffers -= this.#creditLimit;
    this.#creditLimit = 0;
    this.buffer.release(this.buffer.length);
    this.recovery.clear();
    this.pacer.at = NEVER;
    this.persistAt = NEVER;
  }

  /** Returns how much of what was written is acknowledged. */
  #advance(acknowledgement: number, advanced: number): number {
    this.#flight.onAck(acknowledgement, seqDiff(this.next, acknowledgement), this.next);
    this.una = acknowledgement;
    if (this.finSent && acknowledgement === this.next) this.finAcknowledged = true;
    const bytes = Math.min(this.buffer.length, this.finAcknowledged ? advanced - 1 : advanced);
    this.buffer.release(bytes);
    return bytes;
  }

  /** `bytes` more may be written since so many were acknowledged, and more or less as the demand is another. */
  #settleCredit(bytes: number): void {
    const { demand } = this;
    const target = Math.min(demand, this.#memory.sendShare);
    this.creditOwed += bytes;
    if (target > this.#creditLimit) {
      const grown = this.#memory.growSendBuffer(target - this.#creditLimit);
      this.#creditLimit += grown;
      this.creditOwed += grown;
    } else {
      const returned = Math.min(bytes, this.#creditLimit - target);
      this.#creditLimit -= returned;
      this.#memory.sendBuffers -= returned;
      this.creditOwed -= returned;
    }
    this.starved = this.#creditLimit < demand;
  }

  #restartAfterIdle(now: Instant): void {
    const timeout = this.recovery.rtt.timeoutMs;
    if (this.#lastSent === NEVER || now - this.#lastSent <= timeout) return;
    this.recovery.congestion.onIdle(now - this.#lastSent, timeout);
    this.#lastSent = now;
  }

  #armPersist(now: Instant): void {
    this.persistAt = instant(now + this.recovery.rtt.timeoutMs);
  }
}

/** True for an ACK that may be processed (RFC 5961 §5): not of what was never sent, and not older than any window could explain. */
export function acknowledges(sender: Sender, segment: TcpSegment): boolean {
  return (
    (segment.flags & ACK) !== 0 &&
    seqLe(segment.acknowledgement, sender.next) &&
    seqDiff(segment.acknowledgement, sender.una) >= -Math.max(sender.maxWindow, 1)
  );
}
