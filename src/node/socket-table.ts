/**
 * The sockets of one engine by number: gives out socket and query numbers, hands each event to the socket it names, and looks
 * after connections whose socket object is gone. Everything a socket does passes through here.
 */

import { AsyncResource } from 'node:async_hooks';
import type { SluiceError } from '../core/base/errors.ts';
import type { ResolveResult, SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import type { EnginePort } from './engine.ts';
import type { ForwardedProtocol } from './forwarded.ts';
import type { Admission } from './net-arguments.ts';
import { TurnQueue } from './turns.ts';

export type SocketHandler = (event: SocketEvent) => void;

/** A socket object that must learn when the whole layer closes or every connection is cut. */
export interface TableMember {
  readonly owner: object;
  /** Ends at once, silently for servers and UDP sockets. `connectionsOnly`: servers and UDP sockets stay. */
  handleCut(error: Error, connectionsOnly: boolean): void;
}

/**
 * A connection that was closed here but not yet by the peer is given up after so long without progress, like the kernel's
 * `tcp_fin_timeout`. In milliseconds.
 */
const LINGER_MS = 60_000;

export class SocketTable {
  readonly members: Set<TableMember> = new Set();
  /** Called when a forwarded server or UDP socket was bound or closed. */
  onForwardedChange: () => void = () => {};
  /** Where a forwarded socket that names no port is to be bound; 0 for anywhere. */
  forwardedPort: (protocol: ForwardedProtocol) => number = () => 0;
  readonly #engine: EnginePort;
  readonly #handlers = new Map<SocketId, SocketHandler>();
  /** Of UDP sockets; a connection looks after its own. */
  readonly #turns = new Map<SocketId, TurnQueue<SocketEvent>>();
  readonly #queries = new Map<number, (result: ResolveResult) => void>();
  readonly #lingering = new Map<SocketId, NodeJS.Timeout>();
  #nextSocket = 1;
  #nextQuery = 1;
  #closed: SluiceError | undefined;

  constructor(engine: EnginePort) {
    this.#engine = engine;
    engine.onEvent = (event) => this.#dispatch(event);
  }

  /** Why nothing can be opened any more; `undefined` while the layer is open. */
  get closed(): SluiceError | undefined {
    return this.#closed;
  }

  post(command: SocketCommand): void {
    this.#engine.post(command);
  }

  /**
   * A new socket number whose events go to `handler`, in the caller's async context as with Node's own sockets; the caller posts
   * the command that opens it.
   */
  open(handler: SocketHandler): SocketId {
    const socket = this.#nextSocket++;
    this.adopt(socket, handler);
    return socket;
  }

  /**
   * Sends the events of `socket` to another handler: of a connection that the engine has just announced. Returns what runs a task as if
   * it were an event.
   */
  adopt(socket: SocketId, handler: SocketHandler): (task: () => void) => void {
    // Not AsyncResource.bind, whose function weighs a kilobyte.
    const resource = new AsyncResource('SLUICESOCKET');
    this.#handlers.set(socket, (event) => resource.runInAsyncScope(handler, undefined, event));
    return (task) => resource.runInAsyncScope(task);
  }

  /** The bytes that this socket is told are used at once, or copied: see `EnginePort.lend`. */
  borrow(socket: SocketId): void {
    this.#engine.lend?.(socket, true);
  }

  /** Events of this socket are of no interest any more. */
  forget(socket: SocketId): void {
    this.#engine.lend?.(socket, false);
    this.#handlers.delete(socket);
    this.#turns.delete(socket);
    clearTimeout(this.#lingering.get(socket));
    this.#lingering.delete(socket);
  }

  /** RST, and nothing more is heard of the socket. */
  abort(socket: SocketId): void {
    this.forget(socket);
    this.post({ kind: 'tcp-abort', socket });
  }

  /**
   * Closes a connection as close(2) does: what was written still goes out, then FIN; data that arrives from now on has no reader
   * and is answered with RST (RFC 9293 §3.6.1, RFC 1122 §4.2.2.13).
   */
  linger(socket: SocketId, alreadyShutDown: boolean): void {
    const timer = setTimeout(() => this.abort(socket), LINGER_MS);
    timer.unref();
    this.#lingering.set(socket, timer);
    this.#handlers.set(socket, (event) => {
      if (event.kind === 'tcp-data') this.abort(socket);
      else if (event.kind === 'closed') this.forget(socket);
      else if (event.kind === 'tcp-write-credit') timer.refresh();
    });
    if (!alreadyShutDown) this.post({ kind: 'tcp-shutdown', socket });
  }

  /** Asks the tunnel's DNS. `done` is called later, once, unless `cancelResolve` comes first. Returns the query's number. */
  resolve(name: string, family: 4 | 6 | 0, done: (result: ResolveResult) => void, admission?: Admission): number {
    const query = this.#nextQuery++;
    admission?.admitQuery(query);
    this.#queries.set(query, AsyncResource.bind(done, 'SLUICEQUERY'));
    if (this.#closed) queueMicrotask(() => this.#answer(query, { kind: 'failed', code: 'ECANCELLED' }));
    else this.post({ kind: 'resolve', query, name, family });
    return query;
  }

  cancelResolve(query: number): void {
    if (this.#queries.delete(query)) this.post({ kind: 'resolve-cancel', query });
  }

  /** Cuts every connection, also those that linger; with RST, since the other end may wait for long otherwise. */
  cut(error: Error, connectionsOnly: boolean): void {
    for (const member of [...this.members]) member.handleCut(error, connectionsOnly);
    for (const socket of [...this.#lingering.keys()]) this.abort(socket);
  }

  /** Nothing can be opened after; every query fails. */
  close(error: SluiceError): void {
    if (this.#closed) return;
    this.#closed = error;
    this.cut(error, false);
    for (const query of [...this.#queries.keys()]) this.#answer(query, { kind: 'failed', code: 'ECANCELLED' });
  }

  /** An exception of a listener is the embedder's: it must surface as uncaught, and must not stop the engine's delivery. */
  #dispatch(event: SocketEvent): void {
    try {
      this.#deliver(event);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }

  #deliver(event: SocketEvent): void {
    switch (event.kind) {
      case 'resolved':
        this.#answer(event.query, event.result);
        break;
      case 'tcp-accepted':
        // At once, since events of the connection may follow.
        this.#hand(event.listener, event);
        break;
      case 'udp-datagram':
        this.#deliverByTurns(event.socket, event);
        break;
      default:
        this.#hand(event.socket, event);
    }
  }

  #deliverByTurns(socket: SocketId, event: SocketEvent): void {
    let turns = this.#turns.get(socket);
    if (!turns) {
      turns = new TurnQueue((due) => this.#hand(socket, due));
      this.#turns.set(socket, turns);
    }
    turns.push(event);
  }

  #hand(socket: SocketId, event: SocketEvent): void {
    const handler = this.#handlers.get(socket);
    if (handler) handler(event);
    else if (event.kind === 'tcp-accepted') this.abort(event.socket);
  }

  #answer(query: number, result: ResolveResult): void {
    const done = this.#queries.get(query);
    this.#queries.delete(query);
    done?.(result);
  }
}
