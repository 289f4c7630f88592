/**
 * `net.Server` inside the tunnel. Unlike Node's, `address()` answers from the `listening` event on, not before: the engine may
 * live on another thread.
 */

import { captureRejectionSymbol, EventEmitter } from 'node:events';
import { parseIp } from '../core/base/address.ts';
import type { SocketAddress, SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { lookupAddresses } from './dns.ts';
import { ExtraPorts, type ForwardedSocket } from './forwarded.ts';
import { type ListenOptions, type ListenTarget, listenTarget, normalizeArguments } from './net-arguments.ts';
import type { TcpOpened } from './net-connection.ts';
import { dropArgument, type ServerOptions } from './net-server-options.ts';
import { type Accepted, TunnelSocket } from './net-socket.ts';
import { type AddressInfo, info, type SocketOptions } from './net-socket-options.ts';
import { invalidArgType, nodeError, systemError } from './node-errors.ts';
import type { SocketTable, TableMember } from './socket-table.ts';

export type ConnectionListener = (socket: TunnelSocket) => void;
type Listener = () => void;

export class TunnelServer extends EventEmitter implements ForwardedSocket {
  /** More connections than this are closed at once, with a `drop` event. */
  maxConnections: number | undefined = undefined;
  readonly #table: SocketTable;
  readonly #makeSocket: (options: SocketOptions, accepted: Accepted) => TunnelSocket;
  readonly #options: ServerOptions;
  readonly #member: TableMember = {
    owner: this,
    handleCut: (_error, connectionsOnly) => {
      if (connectionsOnly) return;
      if (this.#id !== undefined) this.close();
      else this.#closedAtEngine();
    },
  };
  #id: SocketId | undefined;
  #bound: SocketAddress | undefined;
  #target: ListenTarget | undefined;
  #posted = false;
  /** The address listened on, as text. */
  #host: string | undefined;
  #cancelLookup: () => void = () => {};
  #externalPort: number | undefined;
  readonly #extraPorts: ExtraPorts;
  #connections = 0;
  /** The engine has not yet said that the port is free. */
  #closing = false;

  constructor(
    table: SocketTable,
    makeSocket: (options: SocketOptions, accepted: Accepted) => TunnelSocket = (options, accepted) =>
      new TunnelSocket(table, options, accepted),
    options?: ServerOptions | ConnectionListener | null,
    listener?: ConnectionListener,
  ) {
    super();
    // An own property, since a computed method name cannot stand in an isolated declaration.
    const capture = this.#captureRejection.bind(this);
    Object.assign(this, { [captureRejectionSymbol]: capture });
    if (options !== undefined && options !== null && typeof options !== 'object' && typeof options !== 'function')
      throw invalidArgType('options', 'of type object', options);
    this.#table = table;
    this.#makeSocket = makeSocket;
    this.#extraPorts = new ExtraPorts(
      table,
      (socket, port) => this.#listenCommand(socket, port),
      (event) => event.kind === 'tcp-accepted' && this.#accept(event),
    );
    this.#options = typeof options === 'function' ? {} : { ...options };
    const onConnection = typeof options === 'function' ? options : listener;
    if (onConnection) this.on('connection', onConnection);
  }

  get listening(): boolean {
    return this.#bound !== undefined;
  }

  /** True if this server listens for what the provider forwards; `setForwarding` keeps its address up to date. */
  get forwarded(): boolean {
    return this.#target?.forwarded ?? false;
  }

  get forwardedProtocol(): 'tcp' | undefined {
    return this.forwarded ? 'tcp' : undefined;
  }

  /** The port inside the tunnel; `undefined` until `listening`. */
  get internalPort(): number | undefined {
    return this.#bound?.port;
  }

  /** `(options[, listener])`, `([port][, host][, backlog][, listener])`. Paths, files and handles are refused. */
  listen(options: ListenOptions, listener?: Listener): this;
  listen(port?: number | string | null | Listener, ...rest: (string | number | Listener | undefined)[]): this;
  listen(...args: unknown[]): this {
    const [options, listener] = normalizeArguments(args);
    if (this.#id !== undefined) throw nodeError(Error, 'ERR_SERVER_ALREADY_LISTEN', ALREADY);
    const target = listenTarget(args, options);
    if (listener) this.once('listening', listener);
    this.#target = target;
    this.#posted = false;
    this.#watch(target.signal);
    this.#id = this.#table.open((event) => this.#handleEvent(event));
    this.#table.members.add(this.#member);
    if (target.host === undefined || parseIp(target.host)) this.#post(target.host);
    else
      this.#cancelLookup = lookupAddresses(this.#table, target.host, 0, (error, addresses) => {
        if (error) this.#fail(error);
        else this.#post(addresses[0]!.address);
      });
    return this;
  }

  /** `null` until `listening`. A forwarded server tells the external port once there is one, else 0. */
  address(): AddressInfo | null {
    if (!this.#bound) return null;
    const address = info(this.#bound) as AddressInfo;
    if (this.#target?.host === '::') Object.assign(address, { address: '::', family: 'IPv6' });
    return this.forwarded ? { ...address, port: this.#externalPort ?? 0 } : address;
  }

  /** @internal Port forwarding calls this. */
  setForwarding(externalPort: number | undefined, insidePorts: readonly number[]): void {
    this.#externalPort = externalPort;
    this.#extraPorts.set(insidePorts.filter((port) => port !== this.internalPort));
  }

  /** Stops listening; `close` comes when the last connection is gone. */
  close(listener?: (error?: Error) => void): this {
    const id = this.#id;
    if (typeof listener === 'function')
      this.once('close', () =>
        id === undefined ? listener(nodeError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.')) : listener(),
      );
    if (id !== undefined) {
      this.#cancelLookup();
      this.#unlisten();
      this.#closeAtEngine(id);
    }
    this.#emitCloseIfDrained();
    return this;
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.#connections);
    return this;
  }

  /** Does nothing. */
  ref(): this {
    return this;
  }

  /** Does nothing. */
  unref(): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#id === undefined) return;
    await new Promise<void>((resolve, reject) => {
      this.close((error) => (error ? reject(error) : resolve()));
    });
  }

  #captureRejection(error: Error, event: string, socket?: TunnelSocket): void {
    if (event === 'connection') socket?.destroy(error);
    else this.emit('error', error);
  }

  #post(host: string | undefined): void {
    if (this.#table.closed) {
      const error = this.#table.closed;
      process.nextTick(() => this.#fail(error));
      return;
    }
    this.#posted = true;
    const { port } = this.#target!;
    this.#host = host;
    this.#table.post(this.#listenCommand(this.#id!, port || (this.forwarded ? this.#table.forwardedPort('tcp') : 0)));
  }

  #listenCommand(socket: SocketId, port: number): SocketCommand {
    const address = this.#host === undefined ? undefined : parseIp(this.#host);
    return { kind: 'tcp-listen', socket, port, backlog: this.#target!.backlog, ...(address ? { address } : {}) };
  }

  #handleEvent(event: SocketEvent): void {
    if (event.kind === 'bound') {
      this.#bound = event.local;
      if (this.forwarded) this.#table.onForwardedChange();
      this.emit('listening');
    } else if (event.kind === 'tcp-accepted') this.#accept(event);
    else if (event.kind === 'closed') {
      const { host, port } = this.#target!;
      const details = { address: host ?? '::', port, described: true };
      this.#fail(systemError(event.error ?? 'EADDRNOTAVAIL', 'listen', details));
    }
  }

  #accept(opened: TcpOpened): void {
    if (this.maxConnections && this.#connections >= this.maxConnections) {
      this.#table.linger(opened.socket, false);
      this.emit('drop', dropArgument(opened));
      return;
    }
    const { pauseOnConnect, ...options } = this.#options;
    this.#connections++;
    const onClosed = (): void => {
      this.#connections--;
      if (this.#id === undefined) this.#emitCloseIfDrained();
    };
    const socket = this.#makeSocket(options, { opened, server: this, pause: Boolean(pauseOnConnect), onClosed });
    this.emit('connection', socket);
  }

  #watch(signal: AbortSignal | undefined): void {
    if (!signal) return;
    const onAbort = (): void => void this.close();
    if (signal.aborted) process.nextTick(onAbort);
    else signal.addEventListener('abort', onAbort, { once: true });
    this.once('close', () => signal.removeEventListener('abort', onAbort));
  }

  #fail(error: Error): void {
    this.#unlisten();
    this.emit('error', error);
  }

  #closeAtEngine(id: SocketId): void {
    if (!this.#posted) return;
    this.#table.post({ kind: 'close', socket: id });
    if (this.#table.closed) return;
    this.#closing = true;
    this.#table.members.add(this.#member);
    this.#table.adopt(id, (event) => {
      if (event.kind === 'tcp-accepted') this.#table.abort(event.socket);
      else if (event.kind === 'closed') this.#closedAtEngine();
      if (event.kind === 'closed') this.#table.forget(id);
    });
  }

  #closedAtEngine(): void {
    this.#closing = false;
    if (this.#id !== undefined) return;
    this.#table.members.delete(this.#member);
    this.#emitCloseIfDrained();
  }

  #unlisten(): void {
    if (this.#id !== undefined) this.#table.forget(this.#id);
    this.#id = undefined;
    this.#bound = undefined;
    this.#table.members.delete(this.#member);
    this.#extraPorts.set([]);
    this.#externalPort = undefined;
    if (this.forwarded) this.#table.onForwardedChange();
  }

  #emitCloseIfDrained(): void {
    if (this.#connections === 0 && !this.#closing)
      process.nextTick(() => {
        this.emit('close');
      });
  }
}

const ALREADY = 'Listen method has been called more than once without closing.';
