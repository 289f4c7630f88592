/**
 * Listening ports. Half-open connections are bounded per listener; a SYN too many evicts the oldest (RFC 4987 §3.3), which under a
 * flood is nearly always one of the flood's own.
 */

import { type IpAddress, sameIp } from '../../base/address.ts';
import type { PortHold } from '../ports.ts';
import type { Connection } from './connection.ts';

export class Listener {
  readonly socket: number;
  readonly port: number;
  /** Absent: every address. */
  readonly address: IpAddress | undefined;
  readonly hold: PortHold;
  readonly #backlog: number;
  readonly #halfOpenLimit: number;
  /** In order of arrival. */
  readonly #halfOpen: Set<Connection> = new Set();
  #announced = 0;

  constructor(
    socket: number,
    port: number,
    address: IpAddress | undefined,
    backlog: number,
    hold: PortHold,
    halfOpenLimit: number,
  ) {
    this.socket = socket;
    this.port = port;
    this.address = address;
    this.hold = hold;
    this.#backlog = Math.max(1, backlog);
    this.#halfOpenLimit = halfOpenLimit;
  }

  get halfOpen(): Iterable<Connection> {
    return this.#halfOpen;
  }

  /** A SYN was taken. Returns the connection that has to go for it, if one has. */
  add(connection: Connection): Connection | undefined {
    this.#halfOpen.add(connection);
    if (this.#halfOpen.size <= this.#halfOpenLimit) return undefined;
    const oldest = this.#halfOpen.values().next().value!;
    this.#halfOpen.delete(oldest);
    return oldest;
  }

  remove(connection: Connection): void {
    this.#halfOpen.delete(connection);
  }

  /** A handshake is complete. False if as many as the backlog were announced in this burst already. */
  admit(connection: Connection): boolean {
    if (this.#announced >= this.#backlog) return false;
    this.#announced++;
    this.#halfOpen.delete(connection);
    return true;
  }

  /** The burst is over: what was announced is the embedder's. */
  endBurst(): void {
    this.#announced = 0;
  }
}

/** All listeners of a stack. */
export class Listeners {
  readonly #byPort: Map<number, Listener[]> = new Map();
  readonly #bySocket: Map<number, Listener> = new Map();

  get size(): number {
    return this.#bySocket.size;
  }

  add(listener: Listener): void {
    this.#bySocket.set(listener.socket, listener);
    const same = this.#byPort.get(listener.port);
    if (same) same.push(listener);
    else this.#byPort.set(listener.port, [listener]);
  }

  get(socket: number): Listener | undefined {
    return this.#bySocket.get(socket);
  }

  remove(listener: Listener): void {
    this.#bySocket.delete(listener.socket);
    const left = this.#byPort.get(listener.port)!.filter((other) => other !== listener);
    if (left.length > 0) this.#byPort.set(listener.port, left);
    else this.#byPort.delete(listener.port);
  }

  /** Who listens on this address and port; one bound to the address before one bound to all. */
  find(address: IpAddress, port: number): Listener | undefined {
    const candidates = this.#byPort.get(port);
    if (!candidates) return undefined;
    return (
      candidates.find((listener) => listener.address !== undefined && sameIp(listener.address, address)) ??
      candidates.find((listener) => listener.address === undefined)
    );
  }

  endBurst(): void {
    if (this.#bySocket.size === 0) return;
    for (const listener of this.#bySocket.values()) listener.endBurst();
  }
}
