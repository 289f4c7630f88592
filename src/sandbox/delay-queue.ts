/** Things that happen later: a binary heap by time; what is due at the same moment comes out in the order it was put in. */

import type { Instant } from '../core/base/instant.ts';

interface Entry<T> {
  readonly at: Instant;
  readonly sequence: number;
  readonly item: T;
}

export class DelayQueue<T> {
  readonly #heap: Entry<T>[] = [];
  #sequence = 0;

  get length(): number {
    return this.#heap.length;
  }

  push(item: T, at: Instant): void {
    const entry = { at, sequence: this.#sequence++, item };
    const heap = this.#heap;
    let place = heap.length;
    for (let parent = (place - 1) >> 1; place > 0 && before(entry, heap[parent]!); parent = (place - 1) >> 1) {
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = entry;
  }

  /** The next thing that is due by `now`, removed; call until undefined. */
  take(now: Instant): T | undefined {
    const first = this.#heap[0];
    if (!first || first.at > now) return undefined;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) this.#sink(last);
    return first.item;
  }

  nextTimeout(): Instant | undefined {
    return this.#heap[0]?.at;
  }

  /** Puts `entry` in the place of the first and lets it sink to where it belongs. */
  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    let place = 0;
    for (let child = 1; child < heap.length; child = 2 * place + 1) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, entry)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = entry;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
