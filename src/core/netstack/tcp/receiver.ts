/**
 * The receiving half of a connection: what has arrived in order, what waits behind a hole, and the window. The window's right edge
 * is `next` plus what the reader may still be handed; it never moves left (RFC 9293 §3.8.6), and it moves right only in steps worth
 * a segment, so that no sender is tempted to fill it by bytes (RFC 9293 §3.8.6.2.2).
 */

import type { Instant } from '../../base/instant.ts';
import { FIN, PSH, type TcpSegment } from '../../wire/tcp.ts';
import { AckPolicy } from './ack-policy.ts';
import { Delivery, type Slab } from './delivery.ts';
import type { MemoryBudget } from './memory.ts';
import { Reassembly } from './reassembly.ts';
import { SackReport } from './sack.ts';
import { seqAdd, seqDiff, seqGe, seqLe } from './sequence.ts';
import type { TcpSettings } from './settings.ts';
import { type Path, WindowTuning } from './window-tuning.ts';

export type Accepted = 'in-order' | 'out-of-order' | 'duplicate' | 'refused' | 'nothing';

export class Receiver {
  // First what every packet asks for, so that it lies together in the processor's caches.

  /** RCV.NXT. */
  next = 0;
  /** Right edge of the window that was promised: next + RCV.WND. */
  edge = 0;
  readonly delivery: Delivery;
  readonly acks: AckPolicy;
  readonly tuning: WindowTuning;
  reassembly: Reassembly | undefined;
  #finKnown = false;
  /** Bytes handed over, or about to be, and not credited yet. */
  uncredited = 0;
  /** Bytes that may be handed over and not credited: what the window is made of. */
  limit: number;
  /** The largest payload we asked for. */
  mss = 536;
  /** Shift of the windows we announce; 0 if the peer does not scale. */
  scale = 0;
  sack: SackReport | undefined;
  /** The window should have grown further, but the budget is spent. */
  starved = false;

  /** The peer's FIN has been reached: `next` is behind it. */
  finished = false;
  #limitMax: number;
  #finSequence = 0;
  readonly #memory: MemoryBudget;
  readonly #settings: TcpSettings;

  constructor(settings: TcpSettings, memory: MemoryBudget, slab: Slab, now: Instant) {
    this.#settings = settings;
    this.#memory = memory;
    this.limit = settings.receiveWindowStart;
    this.#limitMax = settings.receiveWindowMax;
    memory.openWindow(this.limit);
    this.acks = new AckPolicy(settings.stretchAcks);
    this.delivery = new Delivery(slab);
    this.tuning = new WindowTuning(now);
  }

  /** The peer's SYN came. `scale` is our shift, or -1 if either side does not scale. */
  open(initialSequence: number, scale: number): void {
    this.next = seqAdd(initialSequence, 1);
    this.edge = seqAdd(this.next, Math.min(this.limit, 0xffff));
    this.scale = Math.max(0, scale);
    if (scale < 0) this.#limitMax = 0xffff;
  }

  /** Nothing waits ahead of `next`: no data, no FIN. */
  get inOrder(): boolean {
    return (this.reassembly === undefined || this.reassembly.empty) && !this.#finKnown;
  }

  /** The first of the acceptability tests (RFC 9293 §3.10.7.4), lenient where the window is full: an ACK in there still counts. */
  acceptable(segment: TcpSegment): boolean {
    const ahead = seqDiff(segment.sequence, this.next);
    const window = seqDiff(this.edge, this.next);
    if (segment.length === 0) return ahead >= 0 && ahead <= window;
    return (ahead < window || ahead === 0) && ahead + segment.length > 0;
  }

  /** Takes payload and FIN of an acceptable segment. */
  accept(segment: TcpSegment, bytes: Uint8Array): Accepted {
    let sequence = segment.sequence;
    let offset = segment.payloadOffset;
    let length = segment.payloadLength;
    const end = seqAdd(sequence, length);
    const old = seqDiff(this.next, sequence);
    if (old > 0) {
      if (length > 0) this.#duplicate(sequence, old < length ? this.next : end);
      if (old > length || this.finished) return 'duplicate';
      sequence = this.next;
      offset += old;
      length -= old;
    }
    const room = seqDiff(this.edge, sequence);
    if (length > room) {
      length = Math.max(0, room);
      this.acks.immediate = true;
    } else if ((segment.flags & FIN) !== 0) this.#noteFin(end);
    if (this.#finKnown) length = Math.max(0, Math.min(length, seqDiff(this.#finSequence, sequence)));
    if (sequence !== this.next) return length > 0 ? this.#acceptAhead(bytes, offset, length, sequence) : 'nothing';
    if (length > 0) this.acceptNext(bytes, offset, length, (segment.flags & PSH) !== 0);
    this.#reachFin();
    return length > 0 ? 'in-order' : 'nothing';
  }

  /** A segment out of the window: if it lies before it, the peer is told that it was needless (RFC 2883 §4.1). */
  noteUnacceptable(segment: TcpSegment): void {
    const end = seqAdd(segment.sequence, segment.payloadLength);
    if (segment.payloadLength > 0 && seqLe(end, this.next)) this.#duplicate(segment.sequence, end);
    this.acks.immediate = true;
  }

  /** Takes `length` bytes that begin at `next` and fit the window: the fast path comes straight here. */
  acceptNext(bytes: Uint8Array, offset: number, length: number, pushed: boolean): void {
    const before = this.next;
    let next = (before + length) | 0;
    this.delivery.append(bytes, offset, length);
    this.acks.onSegment(length, pushed);
    if (this.reassembly !== undefined && !this.reassembly.empty) {
      next = this.reassembly.take(next, this.delivery);
      this.acks.immediate = true;
    }
    this.next = next;
    const arrived = (next - before) | 0;
    this.uncredited += arrived;
    this.tuning.arrived(arrived);
  }

  /** The reader took `bytes`, and the window follows it. True if it can now open so far that the peer must be told. */
  credit(bytes: number, path: Path, now: Instant): boolean {
    const taken = Math.min(bytes, this.uncredited);
    this.uncredited -= taken;
    this.tuning.consumed(taken);
    if (this.tuning.endRound(this.mss, path, now)) this.#grow();
    const open = seqDiff(this.edge, this.next);
    return this.#growth() >= this.#worthwhile() && this.limit - this.uncredited >= 2 * open;
  }

  /** The window that this connection has use for: its first size if nothing came for `idleMs`. */
  demand(idleMs: number, now: Instant): number {
    const wanted = this.tuning.idle(idleMs, now) ? 0 : Math.min(this.#limitMax, this.tuning.wanted);
    return Math.max(this.#settings.receiveWindowStart, wanted);
  }

  /**
   * The budget is spent: the window goes back to its share, or to what is of use. What was promised stays promised; the edge only
   * stops moving until the stream has caught up.
   */
  giveBack(idleMs: number, now: Instant): void {
    this.starved = false;
    const share = Math.max(this.#settings.receiveWindowStart, this.#memory.windowShare);
    const limit = Math.min(this.demand(idleMs, now), share);
    if (limit >= this.limit) return;
    this.#memory.windows -= this.limit - limit;
    this.limit = limit;
  }

  /**
   * The window field for a segment sent now that acknowledges what is before `number`; moves the promise along. `scaled` is false for
   * SYNs (RFC 7323 §2.2).
   */
  announce(scaled: boolean, number: number): number {
    if (this.#growth() >= this.#worthwhile()) this.edge = seqAdd(this.next, this.limit - this.uncredited);
    const window = seqDiff(this.edge, number);
    return Math.min(0xffff, scaled ? window >>> this.scale : window);
  }

  /** Gives back what the connection holds of the shared memory. */
  release(): void {
    this.#memory.windows -= this.limit;
    this.limit = 0;
    this.reassembly?.clear();
    this.delivery.discard();
  }

  #grow(): void {
    const wanted = Math.min(this.#limitMax, this.tuning.wanted);
    const target = Math.min(wanted, this.#memory.windowShare);
    if (target > this.limit) this.limit += this.#memory.growWindow(target - this.limit);
    this.starved = this.limit < wanted;
  }

  #growth(): number {
    return seqDiff(seqAdd(this.next, this.limit - this.uncredited), this.edge);
  }

  #worthwhile(): number {
    return Math.min(2 * this.mss, this.limit >>> 2);
  }

  #acceptAhead(bytes: Uint8Array, offset: number, length: number, sequence: number): Accepted {
    this.acks.immediate = true;
    this.reassembly ??= new Reassembly(this.#memory, this.#settings.outOfOrderRanges);
    this.sack ??= new SackReport();
    const ranges = this.reassembly.ranges;
    const end = seqAdd(sequence, length);
    if (seqGe(ranges.nextMissing(sequence), end)) {
      this.#duplicate(sequence, end);
      return 'duplicate';
    }
    if (!this.reassembly.write(bytes, offset, length, sequence, this.next)) return 'refused';
    this.sack.noteChange(sequence, ranges);
    return 'out-of-order';
  }

  #duplicate(start: number, end: number): void {
    this.acks.immediate = true;
    this.sack ??= new SackReport();
    this.sack.noteDuplicate(start, end);
  }

  #noteFin(sequence: number): void {
    if (this.#finKnown || this.finished) return;
    this.#finKnown = true;
    this.#finSequence = sequence;
    this.acks.immediate = true;
  }

  #reachFin(): void {
    if (!this.#finKnown || this.next !== this.#finSequence) return;
    this.next = seqAdd(this.next, 1);
    this.#finKnown = false;
    this.finished = true;
    this.acks.immediate = true;
  }
}
