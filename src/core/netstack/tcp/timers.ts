/**
 * The timers of all connections: a binary heap of one entry each, re-armed lazily. A deadline that moves later, as every
 * acknowledgement moves the retransmission timeout, costs nothing: the entry comes up early, once, and is put back.
 */

import { type Instant, instant } from '../../base/instant.ts';

/** The deadline of what is not awaited. */
export const NEVER: Instant = instant(Number.POSITIVE_INFINITY);

export interface Timed {
  /** Place in the heap, or -1. The heap's own. */
  timerIndex: number;
  /** When the entry comes up: at or before the earliest deadline. The heap's own. */
  timerAt: number;
}

export class TimerHeap<T extends Timed> {
  #items: T[] = [];

  /** When the first entry comes up, NEVER if there is none. It may turn out to have nothing to do. */
  get next(): Instant {
    return this.#items.length === 0 ? NEVER : instant(this.#items[0]!.timerAt);
  }

  /** Sees to it that `item` comes up at `at` or before. */
  arm(item: T, at: Instant): void {
    if (at === NEVER) return;
    if (item.timerIndex < 0) {
      item.timerAt = at;
      this.#items.push(item);
      this.#up(item, this.#items.length - 1);
    } else if (at < item.timerAt) {
      item.timerAt = at;
      this.#up(item, item.timerIndex);
    }
  }

  /** Takes out one entry that is due at `now`. */
  pop(now: Instant): T | undefined {
    const item = this.#items[0];
    if (!item || item.timerAt > now) return undefined;
    this.remove(item);
    return item;
  }

  remove(item: T): void {
    const index = item.timerIndex;
    if (index < 0) return;
    item.timerIndex = -1;
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#down(last, index);
    this.#up(last, last.timerIndex);
  }

  #up(item: T, index: number): void {
    const items = this.#items;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      const above = items[parent]!;
      if (above.timerAt <= item.timerAt) break;
      items[index] = above;
      above.timerIndex = index;
      index = parent;
    }
    items[index] = item;
    item.timerIndex = index;
  }

  #down(item: T, index: number): void {
    const items = this.#items;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.timerAt < items[child]!.timerAt) child++;
      const below = items[child]!;
      if (below.timerAt >= item.timerAt) break;
      items[index] = below;
      below.timerIndex = index;
      index = child;
    }
    items[index] = item;
    item.timerIndex = index;
  }
}
