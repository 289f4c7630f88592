/**
 * Between two events of a socket Node runs the nextTick and promise callbacks that are due, so who awaited the first one listens when the
 * next one comes. An engine tells of many events in one call stack; by turns, each listener hears one of them per tick.
 */

import { Queue } from '../core/base/queue.ts';

/** One listener's turns. */
export class Turns {
  /** A turn was refused, and `next` has yet to be called. */
  waiting = false;
  readonly #next: () => void;
  #last = -1;

  /** `next` is called when a turn that was refused has come. */
  constructor(next: () => void) {
    this.#next = next;
  }

  /** True if the listener may be told something now. Otherwise `next` follows, in the next tick. */
  take(): boolean {
    if (this.waiting) return false;
    const tick = currentTick();
    if (this.#last !== tick) {
      this.#last = tick;
      return true;
    }
    this.waiting = true;
    waiting.push(this.#come);
    return false;
  }

  readonly #come = (): void => {
    this.waiting = false;
    this.#next();
  };
}

/** Hands over items in order, one per tick. */
export class TurnQueue<T> {
  readonly #handle: (item: T) => void;
  readonly #items = new Queue<T>();
  readonly #turns: Turns;

  constructor(handle: (item: T) => void) {
    this.#handle = handle;
    this.#turns = new Turns(() => this.#go());
  }

  push(item: T): void {
    this.#items.push(item);
    this.#go();
  }

  #go(): void {
    if (this.#items.length === 0 || !this.#turns.take()) return;
    try {
      this.#handle(this.#items.shift()!);
    } finally {
      this.#go();
    }
  }
}

let tick = 0;
let ends = false;
let waiting: (() => void)[] = [];

function currentTick(): number {
  if (!ends) {
    ends = true;
    // Promise callbacks run until there are none, and only then what they have put behind with nextTick.
    queueMicrotask(() => process.nextTick(endTick));
  }
  return tick;
}

/** Each in a callback of its own: an exception of one listener is none of the others'. */
function endTick(): void {
  const due = waiting;
  waiting = [];
  ends = false;
  tick++;
  for (const come of due) process.nextTick(come);
}
