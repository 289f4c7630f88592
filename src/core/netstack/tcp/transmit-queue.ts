/**
 * What was sent and is not yet acknowledged, segment by segment, in sequence order: a ring over parallel typed arrays. Segments
 * that are thought to be in the network (neither reported nor given up as lost) are also linked in the order of their last
 * transmission, which is what RACK walks (RFC 8985 §6.2), so that loss detection looks only at segments it can decide about.
 */

import type { Instant } from '../../base/instant.ts';
import { seqAdd, seqGt } from './sequence.ts';

export const SACKED = 1;
export const LOST = 2;
/** Sent more than once, ever: no RTT sample comes from it (RFC 6298 §3, Karn). */
export const RETRANSMITTED = 4;
/** The segment ends with our FIN. */
export const CARRIES_FIN = 8;

/** End of the list. */
export const NONE = -1;

const INITIAL_CAPACITY = 16;
/** A queue that is empty gives back what is larger, so that a connection that was busy once is as cheap as any other. */
const KEPT_CAPACITY = 64;
const NOTHING = new Float64Array(0);

export class TransmitQueue {
  count = 0;
  /** Sequence space in the network: the "pipe" of RFC 6675. */
  inFlight = 0;
  sackedCount = 0;
  sackedBytes = 0;
  lostCount = 0;
  lostBytes = 0;
  /** Slot that was transmitted longest ago of those in the network. */
  oldest: number = NONE;
  #newest: number = NONE;
  #head = 0;
  #mask = -1;
  #sentAt: Float64Array = NOTHING;
  #sequences: Int32Array = new Int32Array(NOTHING.buffer);
  #lengths: Int32Array = this.#sequences;
  #after: Int32Array = this.#sequences;
  #before: Int32Array = this.#sequences;
  #flags: Uint8Array = new Uint8Array(NOTHING.buffer);
  /** No lost segment has a smaller index. */
  #lostHint = 0;

  /** The slot of the segment with this index in sequence order. */
  slot(index: number): number {
    return (this.#head + index) & this.#mask;
  }

  sequence(slot: number): number {
    return this.#sequences[slot]!;
  }

  /** Sequence space of the segment: payload and FIN. */
  length(slot: number): number {
    return this.#lengths[slot]!;
  }

  end(slot: number): number {
    return seqAdd(this.#sequences[slot]!, this.#lengths[slot]!);
  }

  flags(slot: number): number {
    return this.#flags[slot]!;
  }

  sentAt(slot: number): number {
    return this.#sentAt[slot]!;
  }

  /** The slot transmitted next after this one, of those in the network. */
  newer(slot: number): number {
    return this.#after[slot]!;
  }

  push(sequence: number, length: number, flags: number, now: Instant): void {
    if (this.count > this.#mask) this.#grow();
    const slot = this.slot(this.count++);
    this.#sequences[slot] = sequence;
    this.#lengths[slot] = length;
    this.#flags[slot] = flags;
    this.#sentAt[slot] = now;
    this.inFlight += length;
    this.#link(slot);
  }

  /** Forgets the oldest segment in sequence order: all of it was acknowledged. */
  shift(): void {
    const slot = this.#head;
    this.#leave(slot);
    this.#head = (slot + 1) & this.#mask;
    this.count--;
    if (this.#lostHint > 0) this.#lostHint--;
    if (this.count === 0 && this.#mask >= KEPT_CAPACITY) this.#allocate(INITIAL_CAPACITY);
  }

  /** Only the first `length` of the oldest segment were acknowledged. */
  trimFirst(length: number): void {
    const slot = this.#head;
    this.#sequences[slot] = seqAdd(this.#sequences[slot]!, length);
    this.#lengths[slot]! -= length;
    const flags = this.#flags[slot]!;
    if ((flags & SACKED) !== 0) this.sackedBytes -= length;
    else if ((flags & LOST) !== 0) this.lostBytes -= length;
    else this.inFlight -= length;
  }

  /** Index of the segment that holds `sequence`, or of the first behind it. */
  indexOf(sequence: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (seqGt(this.end(this.slot(middle)), sequence)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  markSacked(slot: number): void {
    this.#leave(slot);
    this.#flags[slot] = (this.#flags[slot]! & ~LOST) | SACKED;
    this.sackedCount++;
    this.sackedBytes += this.#lengths[slot]!;
  }

  markLost(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (LOST | SACKED)) !== 0) return;
    this.#leave(slot);
    this.#flags[slot] = flags | LOST;
    this.lostCount++;
    this.lostBytes += this.#lengths[slot]!;
    const index = (slot - this.#head) & this.#mask;
    if (index < this.#lostHint || this.lostCount === 1) this.#lostHint = index;
  }

  /** Every segment that was reported is taken for unreported and lost: the peer reneged (RFC 2018 §8). */
  forgetSacked(): void {
    for (let i = 0; i < this.count; i++) {
      const slot = this.slot(i);
      if ((this.#flags[slot]! & SACKED) === 0) continue;
      this.#leave(slot);
      this.#flags[slot]! &= ~SACKED;
      this.inFlight += this.#lengths[slot]!;
      this.#link(slot);
      this.markLost(slot);
    }
  }

  /** What was taken for lost, and not sent again yet, was only late. */
  forgetLost(): void {
    for (let slot = this.nextLost(); slot !== NONE; slot = this.nextLost()) {
      this.#leave(slot);
      this.#flags[slot]! &= ~LOST;
      this.inFlight += this.#lengths[slot]!;
      this.#link(slot);
    }
  }

  /** Lowest slot that is lost and was not sent again since, or NONE. */
  nextLost(): number {
    if (this.lostCount === 0) return NONE;
    for (let i = this.#lostHint; i < this.count; i++) {
      const slot = this.slot(i);
      if ((this.#flags[slot]! & LOST) === 0) continue;
      this.#lostHint = i;
      return slot;
    }
    return NONE;
  }

  /** The segment went out again: it is in the network, newest of all. */
  retransmitted(slot: number, now: Instant): void {
    this.#leave(slot);
    this.#flags[slot] = (this.#flags[slot]! & ~LOST) | RETRANSMITTED;
    this.#sentAt[slot] = now;
    this.inFlight += this.#lengths[slot]!;
    this.#link(slot);
  }

  /** Cuts every segment to at most `payload` bytes; with `lost`, all of them are: the path became narrower (RFC 1191 §6.4). */
  resegment(payload: number, lost: boolean): void {
    const old: number[] = [];
    for (let i = 0; i < this.count; i++) {
      const slot = this.slot(i);
      old.push(this.#sequences[slot]!, this.#lengths[slot]!, this.#flags[slot]!, this.#sentAt[slot]!);
    }
    this.clear();
    for (let i = 0; i < old.length; i += 4) {
      const flags = old[i + 2]!;
      const fin = (flags & CARRIES_FIN) !== 0 ? 1 : 0;
      const total = old[i + 1]! - fin;
      for (let at = 0; at < total || at === 0; at += payload) {
        const last = at + payload >= total;
        const length = Math.min(payload, total - at) + (last ? fin : 0);
        const kept = (flags & (SACKED | RETRANSMITTED)) | (last ? flags & CARRIES_FIN : 0);
        this.push(seqAdd(old[i]!, at), length, kept & ~SACKED, old[i + 3]! as Instant);
        const slot = this.slot(this.count - 1);
        if ((kept & SACKED) !== 0) this.markSacked(slot);
        else if (lost || (flags & LOST) !== 0) this.markLost(slot);
      }
    }
    if (!lost) this.#sortBySendTime();
  }

  clear(): void {
    this.count = 0;
    this.inFlight = 0;
    this.sackedCount = this.sackedBytes = 0;
    this.lostCount = this.lostBytes = 0;
    this.oldest = this.#newest = NONE;
    this.#lostHint = 0;
  }

  /** Links those in the network anew, in the order of their last transmission. */
  #sortBySendTime(): void {
    const slots: number[] = [];
    for (let slot = this.oldest; slot !== NONE; slot = this.#after[slot]!) slots.push(slot);
    slots.sort((a, b) => this.#sentAt[a]! - this.#sentAt[b]!);
    this.oldest = this.#newest = NONE;
    for (const slot of slots) this.#link(slot);
  }

  /** Takes a segment out of the sums and the list it is in. */
  #leave(slot: number): void {
    const flags = this.#flags[slot]!;
    const length = this.#lengths[slot]!;
    if ((flags & SACKED) !== 0) {
      this.sackedCount--;
      this.sackedBytes -= length;
    } else if ((flags & LOST) !== 0) {
      this.lostCount--;
      this.lostBytes -= length;
    } else {
      this.inFlight -= length;
      this.#unlink(slot);
    }
  }

  #link(slot: number): void {
    this.#after[slot] = NONE;
    this.#before[slot] = this.#newest;
    if (this.#newest === NONE) this.oldest = slot;
    else this.#after[this.#newest] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const after = this.#after[slot]!;
    const before = this.#before[slot]!;
    if (before === NONE) this.oldest = after;
    else this.#after[before] = after;
    if (after === NONE) this.#newest = before;
    else this.#before[after] = before;
  }

  #grow(): void {
    const { count } = this;
    const head = this.#head;
    const mask = this.#mask;
    const sequences = this.#sequences;
    const lengths = this.#lengths;
    const flags = this.#flags;
    const sentAt = this.#sentAt;
    const after = this.#after;
    const before = this.#before;
    const moved = (slot: number): number => (slot === NONE ? NONE : (slot - head) & mask);
    this.#allocate(Math.max(INITIAL_CAPACITY, 2 * (mask + 1)));
    for (let i = 0; i < count; i++) {
      const slot = (head + i) & mask;
      this.#sequences[i] = sequences[slot]!;
      this.#lengths[i] = lengths[slot]!;
      this.#flags[i] = flags[slot]!;
      this.#sentAt[i] = sentAt[slot]!;
      this.#after[i] = moved(after[slot]!);
      this.#before[i] = moved(before[slot]!);
    }
    this.oldest = moved(this.oldest);
    this.#newest = moved(this.#newest);
  }

  /** Fresh arrays over one piece of memory: each piece of its own costs as much again as what a short queue holds. */
  #allocate(capacity: number): void {
    const memory = new ArrayBuffer(capacity * (8 + 4 * 4 + 1));
    this.#sentAt = new Float64Array(memory, 0, capacity);
    this.#sequences = new Int32Array(memory, capacity * 8, capacity);
    this.#lengths = new Int32Array(memory, capacity * 12, capacity);
    this.#after = new Int32Array(memory, capacity * 16, capacity);
    this.#before = new Int32Array(memory, capacity * 20, capacity);
    this.#flags = new Uint8Array(memory, capacity * 24, capacity);
    this.#head = 0;
    this.#mask = capacity - 1;
  }
}
