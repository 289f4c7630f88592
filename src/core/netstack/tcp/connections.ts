/** The connections of a stack: found by tuple for each packet, by socket for each command. */

import type { PlainTuple } from '../../wire/plain-packet.ts';
import type { Connection } from './connection.ts';
import { RecentTuples } from './recent.ts';
import { TupleTable } from './tuple.ts';

export class Connections {
  readonly #byTuple: TupleTable;
  readonly #recent: RecentTuples = new RecentTuples();
  readonly #bySocket: Map<number, Connection> = new Map();
  readonly #slots: (Connection | undefined)[] = [];
  readonly #free: number[] = [];

  #lastAccepted = 0;

  constructor(seed: number) {
    this.#byTuple = new TupleTable(seed);
  }

  get size(): number {
    return this.#bySocket.size;
  }

  find(tuple: Int32Array): Connection | undefined {
    const index = this.#byTuple.get(tuple);
    return index < 0 ? undefined : this.#slots[index];
  }

  /** Who has sent such a packet lately. Undefined says nothing: see `find`. */
  findRecent(plain: PlainTuple): Connection | undefined {
    const index = this.#recent.get(plain);
    return index < 0 ? undefined : this.#slots[index];
  }

  /** Whose packet it is, to be found quickly from now on. */
  noteRecent(plain: PlainTuple, connection: Connection): void {
    connection.recentPlace = this.#recent.note(plain, connection.index);
  }

  get(socket: number): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  values(): Iterable<Connection> {
    return this.#bySocket.values();
  }

  /** The engine's own ids are negative. */
  nextAcceptedSocket(): number {
    return --this.#lastAccepted;
  }

  add(connection: Connection): void {
    const index = this.#free.pop() ?? this.#slots.length;
    this.#slots[index] = connection;
    connection.index = index;
    this.#byTuple.set(connection.identity.tuple, index);
    this.#bySocket.set(connection.socket, connection);
  }

  remove(connection: Connection): void {
    this.#byTuple.delete(connection.identity.tuple);
    if (connection.recentPlace >= 0) this.#recent.forget(connection.recentPlace, connection.index);
    this.#bySocket.delete(connection.socket);
    this.#slots[connection.index] = undefined;
    this.#free.push(connection.index);
    connection.index = -1;
  }
}
