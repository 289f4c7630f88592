/** The connections of a stack: found by tuple for each packet, by socket for each command. */

import type { Connection } from './connection.ts';
import { TupleTable } from './tuple.ts';

export class Connections {
  readonly #byTuple: TupleTable;
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

  /** As `find`: see `TupleTable.getV4`. */
  findV4(ports: number, local: number, remote: number): Connection | undefined {
    const index = this.#byTuple.getV4(ports, local, remote);
    return index < 0 ? undefined : this.#slots[index];
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
    this.#bySocket.delete(connection.socket);
    this.#slots[connection.index] = undefined;
    this.#free.push(connection.index);
    connection.index = -1;
  }
}
