/**
 * Bytes that the embedder wrote and the peer has not acknowledged, in pages that are recycled. Addressed by distance from the
 * oldest byte, so nothing moves when the window slides; an idle connection holds no page.
 */

import { Queue } from '../../base/queue.ts';
import { copyBytes } from './copy.ts';
import { type MemoryBudget, PAGE_SIZE } from './memory.ts';

const PAGE_SHIFT = 14;
const PAGE_MASK = PAGE_SIZE - 1;

export class SendBuffer {
  length = 0;
  readonly #memory: MemoryBudget;
  readonly #pages: Queue<Uint8Array> = new Queue();
  /** Place of the oldest byte in the first page. */
  #start = 0;

  constructor(memory: MemoryBudget) {
    this.#memory = memory;
  }

  /** Copies `bytes` in behind everything else. */
  append(bytes: Uint8Array): void {
    let taken = 0;
    while (taken < bytes.length) {
      const end = this.#start + this.length;
      const page = end >>> PAGE_SHIFT;
      if (page === this.#pages.length) this.#pages.push(this.#memory.sendPage());
      const within = end & PAGE_MASK;
      const size = Math.min(bytes.length - taken, PAGE_SIZE - within);
      copyBytes(bytes, taken, this.#pages.at(page)!, within, size);
      taken += size;
      this.length += size;
    }
  }

  /** Copies `length` bytes, `distance` behind the oldest, to a packet. */
  copyTo(distance: number, target: Uint8Array, targetOffset: number, length: number): void {
    let at = this.#start + distance;
    while (length > 0) {
      const within = at & PAGE_MASK;
      const size = Math.min(length, PAGE_SIZE - within);
      copyBytes(this.#pages.at(at >>> PAGE_SHIFT)!, within, target, targetOffset, size);
      at += size;
      targetOffset += size;
      length -= size;
    }
  }

  /** Forgets the oldest `length` bytes: they were acknowledged. */
  release(length: number): void {
    this.#start += length;
    this.length -= length;
    let done = this.length === 0 ? this.#pages.length : this.#start >>> PAGE_SHIFT;
    if (done === 0) return;
    for (; done > 0; done--) this.#memory.releaseSendPage(this.#pages.shift()!);
    this.#start = this.length === 0 ? 0 : this.#start & PAGE_MASK;
  }
}
