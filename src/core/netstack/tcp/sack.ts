/**
 * Which SACK blocks an acknowledgement carries (RFC 2018 §4): the range that changed last comes first, then those before it, so
 * that each is told several times. A duplicate goes in front of all as a D-SACK block (RFC 2883 §4), once. When one burst changed
 * more ranges than fit, `unreported` asks for another acknowledgement.
 */

import { MAX_SACK_BLOCKS, type TcpSegment } from '../../wire/tcp.ts';
import type { SequenceRanges } from './ranges.ts';
import { seqGe, seqLe, seqLt } from './sequence.ts';

/** How many recent places are remembered. */
const MEMORY = 16;

export class SackReport {
  readonly starts: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  readonly ends: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  /** A sequence number inside each range that changed, newest first. */
  readonly #recent: Int32Array = new Int32Array(MEMORY);
  #recentCount = 0;
  /** How many of the first in `#recent` no acknowledgement has carried yet. */
  unreported = 0;
  #duplicate = false;
  #duplicateStart = 0;
  #duplicateEnd = 0;

  get hasDuplicate(): boolean {
    return this.#duplicate;
  }

  /** A segment was put into `ranges`, where `sequence` lies now. */
  noteChange(sequence: number, ranges: SequenceRanges): void {
    const range = ranges.find(sequence);
    if (range >= 0) this.#forget(ranges.startOf(range), ranges.endOf(range));
    if (this.#recentCount === MEMORY) this.#recentCount--;
    this.#recent.copyWithin(1, 0, this.#recentCount);
    this.#recent[0] = sequence;
    this.#recentCount++;
    this.unreported = Math.min(this.unreported + 1, MEMORY);
  }

  /** [start, end) came although it was there already. The first duplicate of several in one burst is told. */
  noteDuplicate(start: number, end: number): void {
    if (this.#duplicate && start !== this.#duplicateEnd) return;
    if (!this.#duplicate) this.#duplicateStart = start;
    this.#duplicate = true;
    this.#duplicateEnd = end;
  }

  /** Fills `starts` and `ends` for one acknowledgement and returns the number of blocks, at most `limit`. */
  blocks(ranges: SequenceRanges | undefined, limit: number): number {
    this.#forgetGone(ranges);
    let count = 0;
    if (this.#duplicate) {
      this.#set(count++, this.#duplicateStart, this.#duplicateEnd);
      this.#duplicate = false;
    }
    const told = Math.min(this.#recentCount, limit - count);
    for (let i = 0; i < told; i++) {
      const range = ranges!.find(this.#recent[i]!);
      this.#set(count++, ranges!.startOf(range), ranges!.endOf(range));
    }
    if (this.unreported > told) this.#rotate(told);
    this.unreported = Math.max(0, this.unreported - told);
    return count;
  }

  clear(): void {
    this.#recentCount = 0;
    this.unreported = 0;
    this.#duplicate = false;
  }

  #set(index: number, start: number, end: number): void {
    this.starts[index] = start;
    this.ends[index] = end;
  }

  /** Drops the places whose range has been delivered since. */
  #forgetGone(ranges: SequenceRanges | undefined): void {
    const unreported = this.unreported;
    let kept = 0;
    for (let i = 0; i < this.#recentCount; i++) {
      const place = this.#recent[i]!;
      if (ranges !== undefined && ranges.find(place) >= 0) this.#recent[kept++] = place;
      else if (i < unreported) this.unreported--;
    }
    this.#recentCount = kept;
  }

  /** Drops the remembered places that lie in [start, end]: one range is remembered once. */
  #forget(start: number, end: number): void {
    const unreported = this.unreported;
    let kept = 0;
    for (let i = 0; i < this.#recentCount; i++) {
      const place = this.#recent[i]!;
      if (seqLt(place, start) || seqLe(end, place)) this.#recent[kept++] = place;
      else if (i < unreported) this.unreported--;
    }
    this.#recentCount = kept;
  }

  /** What was told moves behind what was not. */
  #rotate(told: number): void {
    for (let n = 0; n < told; n++) {
      const place = this.#recent[0]!;
      this.#recent.copyWithin(0, 1, this.#recentCount);
      this.#recent[this.#recentCount - 1] = place;
    }
  }
}

/** True if the first block of an acknowledgement reports a duplicate (RFC 2883 §4): below it, or inside the second block. */
export function reportsDuplicate(segment: TcpSegment): boolean {
  if (segment.sackBlocks === 0) return false;
  const start = segment.sackStart[0]!;
  const end = segment.sackEnd[0]!;
  if (seqLt(start, segment.acknowledgement)) return seqLe(end, segment.acknowledgement);
  if (segment.sackBlocks < 2) return false;
  return seqGe(start, segment.sackStart[1]!) && seqLe(end, segment.sackEnd[1]!);
}
