/** What a server and a UDP socket need in order to be reached through a forwarded port. */

import type { SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import type { SocketTable } from './socket-table.ts';

export type ForwardedProtocol = 'tcp' | 'udp';

/** A server or UDP socket that can be opened with `forwarded: true`. */
export interface ForwardedSocket {
  /** `undefined` if it was opened without. */
  readonly forwardedProtocol: ForwardedProtocol | undefined;
  /** Inside the tunnel; `undefined` while it is not bound. */
  readonly internalPort: number | undefined;
  /**
   * `externalPort` is what `address()` tells from now on; `undefined` for none. On `insidePorts` the socket shall be reached, the
   * newest first: its own port, or others, which it opens and closes as the list changes.
   */
  setForwarding(externalPort: number | undefined, insidePorts: readonly number[]): void;
}

/** The ports that a socket has beside its own. */
export class ExtraPorts {
  readonly #table: SocketTable;
  readonly #open: (socket: SocketId, port: number) => SocketCommand;
  readonly #handler: (event: SocketEvent) => void;
  readonly #sockets = new Map<number, SocketId>();

  /** `open` makes the command that opens one; `handler` gets the events of all. */
  constructor(
    table: SocketTable,
    open: (socket: SocketId, port: number) => SocketCommand,
    handler: (event: SocketEvent) => void,
  ) {
    this.#table = table;
    this.#open = open;
    this.#handler = handler;
  }

  /** Exactly these are open from now on. One that another socket has is not ours to open, and stays closed. */
  set(ports: readonly number[]): void {
    for (const [port, socket] of [...this.#sockets]) if (!ports.includes(port)) this.#close(port, socket);
    for (const port of ports) {
      if (this.#sockets.has(port) || this.#table.closed) continue;
      const socket = this.#table.open((event) => this.#handleEvent(port, event));
      this.#sockets.set(port, socket);
      this.#table.post(this.#open(socket, port));
    }
  }

  socketOf(port: number | undefined): SocketId | undefined {
    return port === undefined ? undefined : this.#sockets.get(port);
  }

  #handleEvent(port: number, event: SocketEvent): void {
    if (event.kind === 'closed') {
      this.#table.forget(event.socket);
      this.#sockets.delete(port);
    } else this.#handler(event);
  }

  #close(port: number, socket: SocketId): void {
    this.#sockets.delete(port);
    this.#table.forget(socket);
    this.#table.post({ kind: 'close', socket });
  }
}
