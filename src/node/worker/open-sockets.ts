/**
 * What an engine has open, as its embedder's side knows it from commands and events: so that every connection ends when the engine
 * crashes, and servers and UDP sockets go on, on the same ports, in the engine after it.
 */

import type { SocketCommand, SocketEvent, SocketId, TcpListen, UdpBind } from '../../core/netstack/messages.ts';

type Bind = TcpListen | UdpBind;

export class OpenSockets {
  readonly #connections: Set<SocketId> = new Set();
  readonly #binds: Map<SocketId, Bind> = new Map();
  readonly #queries: Set<number> = new Set();
  /** Bound again, which is no news to anybody. */
  readonly #rebinding: Set<SocketId> = new Set();

  handleCommand(command: SocketCommand): void {
    switch (command.kind) {
      case 'tcp-connect':
        this.#connections.add(command.socket);
        return;
      case 'tcp-listen':
      case 'udp-bind':
        this.#binds.set(command.socket, command);
        return;
      case 'resolve':
        this.#queries.add(command.query);
        return;
      case 'resolve-cancel':
        this.#queries.delete(command.query);
        return;
    }
  }

  /** False if the event is not to be told. */
  handleEvent(event: SocketEvent): boolean {
    switch (event.kind) {
      case 'tcp-accepted':
        this.#connections.add(event.socket);
        return true;
      case 'bound': {
        const bind = this.#binds.get(event.socket);
        if (bind) this.#binds.set(event.socket, { ...bind, port: event.local.port });
        return !this.#rebinding.delete(event.socket);
      }
      case 'resolved':
        this.#queries.delete(event.query);
        return true;
      case 'closed':
        this.#connections.delete(event.socket);
        this.#binds.delete(event.socket);
        this.#rebinding.delete(event.socket);
        return true;
      default:
        return true;
    }
  }

  /** The engine is gone: the end of each connection and look-up. */
  end(): SocketEvent[] {
    const closed = [...this.#connections].map((socket) => ({ kind: 'closed', socket, error: 'ENETUNREACH' }) as const);
    const failed = [...this.#queries].map(
      (query) => ({ kind: 'resolved', query, result: { kind: 'failed', code: 'ESERVFAIL' } }) as const,
    );
    this.#connections.clear();
    this.#queries.clear();
    return [...closed, ...failed];
  }

  /** What a new engine is to open: servers and UDP sockets, where they were. */
  rebind(): readonly Bind[] {
    const binds = [...this.#binds.values()];
    for (const { socket, port } of binds) if (port !== 0) this.#rebinding.add(socket);
    return binds;
  }
}
