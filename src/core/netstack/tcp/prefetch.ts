/**
 * The state of connections, asked for before it is needed. With hundreds of them, a burst finds most of its connections outside the
 * processor's caches: one after the other, as packets are taken, each would wait for some ten lines of memory. Asked for in a row, all
 * connections first, then what they refer to, these come side by side.
 */

import type { Connection } from './connection.ts';

/** More would drive each other out again. */
const MOST = 64;

export class Prefetch {
  /** Of what was read, for nobody: V8 leaves reading out if no use is made of it. */
  sum = 0;
  readonly #connections: (Connection | undefined)[] = new Array<Connection | undefined>(MOST).fill(undefined);
  #count = 0;

  /** True if `run` is due. */
  get waiting(): boolean {
    return this.#count > 0;
  }

  add(connection: Connection): void {
    if (this.#count < MOST) this.#connections[this.#count++] = connection;
  }

  /** Reads something of each line of memory that a packet and its acknowledgement need. */
  run(): void {
    const connections = this.#connections;
    const count = this.#count;
    this.#count = 0;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const { timestampRecent, socket } = connections[i]!;
      sum = (sum + timestampRecent + socket) | 0;
    }
    for (let i = 0; i < count; i++) {
      const { receiver, sender } = connections[i]!;
      sum = (sum + receiver.next + receiver.mss + sender.una + sender.creditOwed) | 0;
    }
    for (let i = 0; i < count; i++) {
      const { receiver, plain } = connections[i]!;
      sum = (sum + receiver.tuning.sampledEcho + (plain === undefined ? 0 : plain.ports)) | 0;
      if (receiver.acks.pending || receiver.delivery.pending) sum++;
      connections[i] = undefined;
    }
    this.sum = sum;
  }
}
