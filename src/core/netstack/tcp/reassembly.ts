/**
 * Data that arrived ahead of a hole. Bytes are written straight to their place in pages mapped by sequence number, so one segment
 * costs the same whether one or ten thousand wait behind the hole, and everything up to the window's edge can be held: less would
 * stall a sender after one loss. Ranges and pages are charged, so that segments of one byte buy an attacker nothing.
 */

import { copyBytes } from './copy.ts';
import type { Delivery } from './delivery.ts';
import { type MemoryBudget, PAGE_SIZE } from './memory.ts';
import { SequenceRanges } from './ranges.ts';
import { seqAdd, seqDiff } from './sequence.ts';

const PAGE_SHIFT = 14;
const PAGE_MASK = PAGE_SIZE - 1;
/** Page numbers count 2^32 sequence numbers in pages, and wrap with them. */
const PAGE_NUMBER_MASK = 0xffffffff >>> PAGE_SHIFT;
const INITIAL_SLOTS = 8;

export class Reassembly {
  readonly ranges: SequenceRanges;
  readonly #memory: MemoryBudget;
  /** Page n is at n modulo the length, a power of two. */
  #pages: (Uint8Array | undefined)[] = [];
  #held = 0;
  /** Pages below this number are gone. */
  #firstPage = 0;

  constructor(memory: MemoryBudget, rangeLimit: number) {
    this.#memory = memory;
    this.ranges = new SequenceRanges(rangeLimit);
  }

  get empty(): boolean {
    return this.ranges.count === 0;
  }

  /** Bytes of pages held. */
  get memoryBytes(): number {
    return this.#held * PAGE_SIZE;
  }

  /**
   * Keeps `length` bytes from `offset` as the stream from `sequence`, which is after `next` and within the window. False if memory
   * or ranges are spent: then the segment must be forgotten, and not be acknowledged selectively.
   */
  write(bytes: Uint8Array, offset: number, length: number, sequence: number, next: number): boolean {
    if (this.ranges.count === 0) {
      this.#dropAll();
      this.#firstPage = next >>> PAGE_SHIFT;
    }
    if (!this.#reserve(sequence, length)) return false;
    if (!this.ranges.add(sequence, seqAdd(sequence, length))) return false;
    let at = sequence;
    let left = length;
    while (left > 0) {
      const within = at & PAGE_MASK;
      const size = Math.min(left, PAGE_SIZE - within);
      copyBytes(bytes, offset, this.#pages[(at >>> PAGE_SHIFT) & (this.#pages.length - 1)]!, within, size);
      at = seqAdd(at, size);
      offset += size;
      left -= size;
    }
    return true;
  }

  /** Hands over what became contiguous with `next`, as views of the pages, and returns the new `next`. */
  take(next: number, delivery: Delivery): number {
    this.ranges.removeBelow(next);
    const end = this.ranges.nextMissing(next);
    let at = next;
    while (at !== end) {
      const within = at & PAGE_MASK;
      const size = Math.min(seqDiff(end, at), PAGE_SIZE - within);
      const page = this.#pages[(at >>> PAGE_SHIFT) & (this.#pages.length - 1)]!;
      delivery.appendView(page.subarray(within, within + size));
      at = seqAdd(at, size);
    }
    this.ranges.removeBelow(end);
    this.#dropPagesBelow(end);
    return end;
  }

  clear(): void {
    this.ranges.clear();
    this.#dropAll();
  }

  #reserve(sequence: number, length: number): boolean {
    const last = (sequence + length - 1) >>> PAGE_SHIFT;
    let page = sequence >>> PAGE_SHIFT;
    this.#fit(((last - this.#firstPage) & PAGE_NUMBER_MASK) + 1);
    for (;;) {
      const slot = page & (this.#pages.length - 1);
      if (!this.#pages[slot]) {
        const fresh = this.#memory.receivePage();
        if (!fresh) return false;
        this.#pages[slot] = fresh;
        this.#held++;
      }
      if (page === last) return true;
      page = (page + 1) & PAGE_NUMBER_MASK;
    }
  }

  #fit(slots: number): void {
    let length = Math.max(INITIAL_SLOTS, this.#pages.length);
    while (length < slots) length *= 2;
    if (length === this.#pages.length) return;
    const old = this.#pages;
    this.#pages = new Array<Uint8Array | undefined>(length).fill(undefined);
    for (let i = 0; i < old.length; i++) {
      const page = (this.#firstPage + i) & PAGE_NUMBER_MASK;
      this.#pages[page & (length - 1)] = old[page & (old.length - 1)];
    }
  }

  #dropPagesBelow(sequence: number): void {
    if (this.ranges.count === 0) {
      this.#dropAll();
      return;
    }
    const page = sequence >>> PAGE_SHIFT;
    for (; this.#firstPage !== page; this.#firstPage = (this.#firstPage + 1) & PAGE_NUMBER_MASK) {
      const slot = this.#firstPage & (this.#pages.length - 1);
      if (!this.#pages[slot]) continue;
      this.#pages[slot] = undefined;
      this.#held--;
      this.#memory.dischargeReceivePage();
    }
  }

  #dropAll(): void {
    for (; this.#held > 0; this.#held--) this.#memory.dischargeReceivePage();
    this.#pages = [];
  }
}
