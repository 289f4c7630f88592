/**
 * A sorted set of disjoint sequence ranges [start, end): what a receiver holds out of order, and what a sender knows to have
 * arrived (the scoreboard of RFC 6675). Neighbours that touch are one range. Lookups are binary searches. The number of ranges is
 * bounded; all of them must lie within 2^31 of each other, which the windows guarantee.
 */

import { seqGt, seqLe, seqLt } from './sequence.ts';

const INITIAL_CAPACITY = 4;
const NONE = new Int32Array(0);

export class SequenceRanges {
  readonly limit: number;
  count = 0;
  #starts: Int32Array = NONE;
  #ends: Int32Array = NONE;

  constructor(limit: number) {
    this.limit = limit;
  }

  startOf(index: number): number {
    return this.#starts[index]!;
  }

  endOf(index: number): number {
    return this.#ends[index]!;
  }

  /** Adds [start, end). False, and nothing changes, if that would take more ranges than the limit. */
  add(start: number, end: number): boolean {
    const first = this.#firstEndingAtOrAfter(start);
    let last = first;
    while (last < this.count && seqLe(this.#starts[last]!, end)) last++;
    if (first === last) return this.#insert(first, start, end);
    if (seqGt(this.#starts[first]!, start)) this.#starts[first] = start;
    this.#ends[first] = seqGt(this.#ends[last - 1]!, end) ? this.#ends[last - 1]! : end;
    this.#remove(first + 1, last);
    return true;
  }

  /** Forgets everything below `sequence`; a range that it cuts keeps its upper part. */
  removeBelow(sequence: number): void {
    let gone = 0;
    while (gone < this.count && seqLe(this.#ends[gone]!, sequence)) gone++;
    if (gone > 0) this.#remove(0, gone);
    if (this.count > 0 && seqLt(this.#starts[0]!, sequence)) this.#starts[0] = sequence;
  }

  /** Index of the range that holds `sequence`, or -1. */
  find(sequence: number): number {
    const index = this.#firstEndingAfter(sequence);
    return index < this.count && seqLe(this.#starts[index]!, sequence) ? index : -1;
  }

  /** The first sequence number at or after `sequence` that no range holds. */
  nextMissing(sequence: number): number {
    const index = this.find(sequence);
    return index < 0 ? sequence : this.#ends[index]!;
  }

  /** Start of the first range that ends after `sequence`, or `otherwise`. At or before `sequence` if a range holds it. */
  nextHeld(sequence: number, otherwise: number): number {
    const index = this.#firstEndingAfter(sequence);
    return index < this.count ? this.#starts[index]! : otherwise;
  }

  /** Gives the memory back too. */
  clear(): void {
    this.count = 0;
    this.#starts = NONE;
    this.#ends = NONE;
  }

  #firstEndingAfter(sequence: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (seqGt(this.#ends[middle]!, sequence)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** As above, but a range that ends exactly at `sequence` counts: it touches what begins there. */
  #firstEndingAtOrAfter(sequence: number): number {
    const index = this.#firstEndingAfter(sequence);
    return index > 0 && this.#ends[index - 1] === sequence ? index - 1 : index;
  }

  #insert(index: number, start: number, end: number): boolean {
    if (this.count >= this.limit) return false;
    if (this.count === this.#starts.length) this.#grow();
    this.#starts.copyWithin(index + 1, index, this.count);
    this.#ends.copyWithin(index + 1, index, this.count);
    this.#starts[index] = start;
    this.#ends[index] = end;
    this.count++;
    return true;
  }

  #remove(from: number, to: number): void {
    if (from === to) return;
    this.#starts.copyWithin(from, to, this.count);
    this.#ends.copyWithin(from, to, this.count);
    this.count -= to - from;
  }

  #grow(): void {
    const capacity = Math.min(this.limit, Math.max(INITIAL_CAPACITY, this.#starts.length * 2));
    const starts = new Int32Array(capacity);
    const ends = new Int32Array(capacity);
    starts.set(this.#starts);
    ends.set(this.#ends);
    this.#starts = starts;
    this.#ends = ends;
  }
}
