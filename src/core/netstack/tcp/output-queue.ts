/** Whose turn it is to send: round robin, some segments at a time, so that 200 uploads share the tunnel evenly. */

import { Queue } from '../../base/queue.ts';
import type { Connection } from './connection.ts';

/**
 * Segments one connection sends before the next has its turn: an eighth of its window, within these bounds. Long runs are cheap for
 * everybody on their way; but where many windows are small, what a short queue has no room for should be a little of each.
 */
const SHORTEST_TURN = 8;
const LONGEST_TURN = 16;
const WINDOW_PER_TURN = 8;

export class OutputQueue {
  readonly #waiting: Queue<Connection> = new Queue();
  #current: Connection | undefined;
  #sent = 0;

  /** The connection may have something to send; once is enough. */
  add(connection: Connection): void {
    if (connection.queued) return;
    connection.queued = true;
    this.#waiting.push(connection);
  }

  get current(): Connection | undefined {
    if (this.#current !== undefined || this.#waiting.length === 0) return this.#current;
    this.#sent = 0;
    this.#current = this.#waiting.shift();
    return this.#current;
  }

  /** The current connection sent a segment. */
  used(): void {
    if (++this.#sent < SHORTEST_TURN || this.#current === undefined || this.#sent < turnOf(this.#current)) return;
    this.#waiting.push(this.#current);
    this.#current = undefined;
  }

  /** The current connection has nothing more to send. */
  drop(): void {
    if (this.#current !== undefined) this.#current.queued = false;
    this.#current = undefined;
  }
}

function turnOf({ sender }: Connection): number {
  const { window } = sender.recovery.congestion;
  return Math.min(LONGEST_TURN, window / (WINDOW_PER_TURN * sender.mss));
}
