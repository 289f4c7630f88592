const INITIAL_CAPACITY = 8;
/** A queue that is empty gives back what is larger. */
const KEPT_CAPACITY = 64;

/** A first-in first-out queue with a bound, in a ring that grows with need. `push` refuses when full: the caller counts the drop under a name. */
export class Queue<T> {
  readonly capacity: number;
  #length = 0;
  /** The oldest is at `#head`; as many places as a power of two. */
  #items: (T | undefined)[] = [];
  #head = 0;

  constructor(capacity: number = Number.POSITIVE_INFINITY) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  /** False, and nothing is kept, if the queue is full. */
  push(item: T): boolean {
    if (this.#length >= this.capacity) return false;
    if (this.#length === this.#items.length) this.#grow();
    this.#items[(this.#head + this.#length++) & (this.#items.length - 1)] = item;
    return true;
  }

  /** The oldest item; `undefined` if the queue is empty. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** The item that `index` others stand before; `undefined` if the queue is shorter. */
  at(index: number): T | undefined {
    return index < this.#length ? this.#items[(this.#head + index) & (this.#items.length - 1)] : undefined;
  }

  /** The oldest item, removed; `undefined` if the queue is empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    if (--this.#length === 0 && this.#items.length > KEPT_CAPACITY) this.clear();
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const old = this.#items;
    this.#items = new Array<T | undefined>(Math.max(INITIAL_CAPACITY, 2 * old.length)).fill(undefined);
    for (let i = 0; i < old.length; i++) this.#items[i] = old[(this.#head + i) & (old.length - 1)];
    this.#head = 0;
  }
}
