/**
 * `dgram.Socket` inside the tunnel. Names are resolved in the tunnel; what a datagram filter, a queue or a name needs is done here.
 * `dgram-settings.ts` has what is accepted without effect or refused.
 */

import { type IpAddress, parseIp, sameEndpoint } from '../core/base/address.ts';
import type { SocketAddress, SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { type BindOptions, type Bytes, bindArguments, type SendCallback, sendArguments } from './dgram-arguments.ts';
import { DgramSettings } from './dgram-settings.ts';
import { lookupAddresses } from './dns.ts';
import { ExtraPorts, type ForwardedSocket } from './forwarded.ts';
import { type AddressInfo, info } from './net-socket-options.ts';
import { invalidArgType, nodeError, systemError, validatePort, validateString } from './node-errors.ts';
import type { SocketTable, TableMember } from './socket-table.ts';

export type SocketType = 'udp4' | 'udp6';

export interface DgramSocketOptions {
  readonly type: SocketType;
  readonly reuseAddr?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly recvBufferSize?: number | undefined;
  readonly sendBufferSize?: number | undefined;
  /** Without effect: a `udp6` socket is never dual-stack here. */
  readonly ipv6Only?: boolean | undefined;
  /** Ignored: names are always resolved inside the tunnel. */
  readonly lookup?: unknown;
}

export interface RemoteInfo extends AddressInfo {
  size: number;
}

export type MessageListener = (message: Buffer, remote: RemoteInfo) => void;
type Listener = () => void;

/** 65,535 less the IPv4 and UDP headers, or less the UDP header alone over IPv6 (RFC 768, RFC 8200 §8.3). */
const LARGEST_PAYLOAD: Readonly<Record<SocketType, number>> = { udp4: 65_507, udp6: 65_527 };
/** Datagrams that wait for a bind or a name, in bytes; beyond that `send` fails with ENOBUFS. */
const QUEUE_LIMIT = 4 << 20;

export class TunnelDgramSocket extends DgramSettings implements ForwardedSocket {
  readonly type: SocketType;
  readonly #table: SocketTable;
  readonly #reuseAddress: boolean;
  readonly #member: TableMember = {
    owner: this,
    handleCut: (_error, connectionsOnly) => connectionsOnly || this.#cut(),
  };
  /** `undefined` before bind, then what to do once bound; empty when bound. */
  #waiting: (() => void)[] | undefined;
  #queued = { count: 0, bytes: 0 };
  #id: SocketId | undefined;
  #bound: SocketAddress | undefined;
  #peer: 'none' | 'connecting' | SocketAddress = 'none';
  #closed = false;
  #forwarded = false;
  #externalPort: number | undefined;
  /** The forwarded port inside, if it is not our own: then all is sent from there. */
  #sendPort: number | undefined;
  readonly #extraPorts: ExtraPorts;

  constructor(table: SocketTable, options: SocketType | DgramSocketOptions, listener?: MessageListener) {
    super();
    const given: Partial<DgramSocketOptions> =
      typeof options === 'object' && options ? options : { type: options as SocketType };
    if (given.type !== 'udp4' && given.type !== 'udp6')
      throw nodeError(TypeError, 'ERR_SOCKET_BAD_TYPE', 'Bad socket type specified. Valid types are: udp4, udp6');
    this.type = given.type;
    this.#table = table;
    this.#reuseAddress = Boolean(given.reuseAddr);
    this.#extraPorts = new ExtraPorts(
      table,
      (socket, port) => this.#bindCommand(socket, port, undefined),
      (event) => event.kind === 'udp-datagram' && this.#receive(event.bytes, event.from),
    );
    if (given.recvBufferSize) this.setRecvBufferSize(given.recvBufferSize);
    if (given.sendBufferSize) this.setSendBufferSize(given.sendBufferSize);
    if (typeof listener === 'function') this.on('message', listener);
    if (given.signal !== undefined) this.#watch(given.signal);
  }

  /** `([port][, address][, listener])` or `(options[, listener])`; `listening` or `error` follows. */
  bind(port?: number | string | null | BindOptions | Listener, address?: string | Listener, listener?: Listener): this;
  bind(...args: unknown[]): this {
    this.#assertOpen();
    if (this.#waiting) throw nodeError(Error, 'ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    const { port, address, forwarded } = bindArguments(args);
    this.#forwarded = forwarded;
    this.#waiting = [];
    const listener = args.at(-1);
    if (typeof listener === 'function') this.#onceListening(listener as Listener);
    const any = address === '' || address === (this.type === 'udp4' ? '0.0.0.0' : '::');
    this.#resolve(any ? undefined : address, (error, found) => {
      if (error) this.#failBind(error);
      else this.#post(port || (forwarded ? this.#table.forwardedPort('udp') : 0), found);
    });
    return this;
  }

  /** Filters what arrives and names the destination of `send`. `connect` or `error` follows; the listener gets either. */
  connect(port: number, address?: string | ((error?: Error) => void), listener?: (error?: Error) => void): void {
    const to = validatePort(port, 'Port', false);
    const callback = typeof address === 'function' ? address : listener;
    const host = typeof address === 'function' || address === undefined ? '' : address;
    validateString(host, 'address');
    if (this.#peer !== 'none') throw nodeError(Error, 'ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected');
    this.#peer = 'connecting';
    if (!this.#waiting) this.bind();
    this.#whenBound(() =>
      this.#resolve(host || this.#loopback, (error, found) => {
        this.#peer = error ? 'none' : { address: found!, port: to };
        if (!error && callback) this.once('connect', callback);
        process.nextTick(() => {
          if (!error) this.emit('connect');
          else if (callback) callback(error);
          else this.emit('error', error);
        });
      }),
    );
  }

  disconnect(): void {
    this.#connectedPeer();
    this.#peer = 'none';
  }

  /** Throws ERR_SOCKET_DGRAM_NOT_CONNECTED. */
  remoteAddress(): AddressInfo {
    this.#assertOpen();
    return info(this.#connectedPeer()) as AddressInfo;
  }

  /** Throws EBADF before `listening`. A forwarded socket tells the external port once there is one, else 0. */
  address(): AddressInfo {
    this.#assertOpen();
    if (!this.#bound) throw systemError('EBADF', 'getsockname');
    const address = info(this.#bound) as AddressInfo;
    return this.#forwarded ? { ...address, port: this.#externalPort ?? 0 } : address;
  }

  get forwardedProtocol(): 'udp' | undefined {
    return this.#forwarded ? 'udp' : undefined;
  }

  /** The port inside the tunnel; `undefined` before `listening`. */
  get internalPort(): number | undefined {
    return this.#bound?.port;
  }

  /** @internal Port forwarding calls this. */
  setForwarding(externalPort: number | undefined, insidePorts: readonly number[]): void {
    this.#externalPort = externalPort;
    this.#extraPorts.set(insidePorts.filter((port) => port !== this.internalPort));
    this.#sendPort = insidePorts[0];
  }

  /** See `sendArguments`. Binds to a free port first if need be. The bytes are taken over before `send` returns. */
  send(message: Bytes | readonly Bytes[], ...rest: unknown[]): void {
    const { payload, port, address, callback } = sendArguments([message, ...rest], typeof this.#peer === 'object');
    this.#assertOpen();
    if (!this.#waiting) this.bind();
    const immediate = this.#bound && (port === undefined || parseIp(address ?? this.#loopback));
    if (!immediate && this.#queued.bytes + payload.length > QUEUE_LIMIT) {
      this.#sendFailed(systemError('ENOBUFS', 'send', { address, port }), callback);
      return;
    }
    const bytes = immediate ? payload : Uint8Array.from(payload);
    if (!immediate) this.#count(1, bytes.length);
    this.#whenBound(() =>
      this.#destination(port, address, (error, to) => {
        if (!immediate) this.#count(-1, -bytes.length);
        if (error) this.#sendFailed(error, callback);
        else if (!this.#closed) this.#sendTo(bytes, to!, address, callback);
      }),
    );
  }

  /** What was sent before still leaves. `close` follows. */
  close(listener?: Listener): this {
    if (typeof listener === 'function') this.on('close', listener);
    if (this.#waiting && this.#waiting.length > 0 && !this.#bound) {
      this.#waiting.push(() => this.close());
      return this;
    }
    this.#assertOpen();
    this.#cut();
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) await new Promise<void>((resolve) => this.close(resolve));
  }

  /** Bytes that wait for the bind or for a name; what the engine holds is not counted. */
  getSendQueueSize(): number {
    return this.#queued.bytes;
  }

  getSendQueueCount(): number {
    return this.#queued.count;
  }

  get #loopback(): string {
    return this.type === 'udp4' ? '127.0.0.1' : '::1';
  }

  #post(port: number, address: IpAddress | undefined): void {
    if (this.#table.closed) {
      this.#failBind(this.#table.closed);
      return;
    }
    const where = address ?? parseIp(this.type === 'udp4' ? '0.0.0.0' : '::')!;
    this.#id = this.#table.open((event) => this.#handleEvent(event, { address: where, port }));
    this.#table.members.add(this.#member);
    this.#table.post(this.#bindCommand(this.#id, port, address));
  }

  #bindCommand(socket: SocketId, port: number, address: IpAddress | undefined): SocketCommand {
    return {
      kind: 'udp-bind',
      socket,
      family: this.type === 'udp4' ? 4 : 6,
      port,
      ...(address ? { address } : {}),
      ...(this.#reuseAddress ? { reuseAddress: true } : {}),
    };
  }

  #handleEvent(event: SocketEvent, wanted: SocketAddress): void {
    if (event.kind === 'udp-datagram') this.#receive(event.bytes, event.from);
    else if (event.kind === 'bound') {
      this.#bound = event.local;
      if (this.#forwarded) this.#table.onForwardedChange();
      this.emit('listening');
      const waiting = this.#waiting ?? [];
      this.#waiting = [];
      for (const task of waiting) task();
    } else if (event.kind === 'closed') {
      this.#table.forget(event.socket);
      const { address, port } = info(wanted);
      this.#failBind(systemError(event.error ?? 'EADDRNOTAVAIL', 'bind', { address, port }));
    }
  }

  #receive(bytes: Uint8Array, from: SocketAddress): void {
    if (typeof this.#peer === 'object' && !sameEndpoint(this.#peer, from)) return;
    const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.emit('message', message, { ...info(from), size: bytes.length });
  }

  /** A socket that could not be bound may be bound anew; what waited for it is dropped, as in Node. */
  #failBind(error: Error): void {
    this.#waiting = undefined;
    this.#bound = undefined;
    this.#id = undefined;
    this.#queued = { count: 0, bytes: 0 };
    this.#table.members.delete(this.#member);
    this.emit('error', error);
  }

  #whenBound(task: () => void): void {
    if (this.#bound) task();
    else this.#waiting?.push(task);
  }

  #destination(
    port: number | undefined,
    address: string | undefined,
    done: (error: Error | undefined, to?: SocketAddress) => void,
  ): void {
    const literal = parseIp(address ?? this.#loopback);
    if (port === undefined) done(undefined, this.#connectedPeer());
    else if (literal) done(undefined, { address: literal, port });
    else this.#resolve(address, (error, found) => done(error, found && { address: found, port }));
  }

  /** `undefined` passes through, for "any address". */
  #resolve(host: string | undefined, done: (error: Error | undefined, address?: IpAddress) => void): void {
    if (host === undefined) {
      process.nextTick(() => this.#closed || done(undefined));
      return;
    }
    lookupAddresses(this.#table, host, this.type === 'udp4' ? 4 : 6, (error, addresses) => {
      if (!this.#closed) done(error, addresses[0] && parseIp(addresses[0].address));
    });
  }

  #sendTo(bytes: Uint8Array, to: SocketAddress, address: string | undefined, callback: SendCallback | undefined): void {
    const wrongFamily = to.address.family !== (this.type === 'udp4' ? 4 : 6);
    const tooLong = bytes.length > LARGEST_PAYLOAD[this.type];
    if (wrongFamily || tooLong) {
      const shown = { address: address ?? info(to).address, port: to.port };
      this.#sendFailed(systemError(wrongFamily ? 'EINVAL' : 'EMSGSIZE', 'send', shown), callback);
    } else {
      const socket = this.#extraPorts.socketOf(this.#sendPort) ?? this.#id!;
      this.#table.post({ kind: 'udp-send', socket, bytes, to });
      if (callback) process.nextTick(callback, null, bytes.length);
    }
  }

  /** An unresolved name without a callback is an `error` event in Node; a failed send without one is silent. */
  #sendFailed(error: NodeJS.ErrnoException, callback: SendCallback | undefined): void {
    if (callback) process.nextTick(callback, error);
    else if (error.syscall !== 'send') process.nextTick(() => this.emit('error', error));
  }

  #count(count: number, bytes: number): void {
    this.#queued.count += count;
    this.#queued.bytes += bytes;
  }

  #connectedPeer(): SocketAddress {
    if (typeof this.#peer === 'object') return this.#peer;
    throw nodeError(Error, 'ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
  }

  #onceListening(listener: Listener): void {
    const forget = (): void => {
      this.removeListener('error', forget);
      this.removeListener('listening', onListening);
    };
    const onListening = (): void => {
      forget();
      listener.call(this);
    };
    this.on('error', forget);
    this.on('listening', onListening);
  }

  #watch(signal: AbortSignal): void {
    if (!(signal instanceof AbortSignal)) throw invalidArgType('options.signal', 'an instance of AbortSignal', signal);
    const onAbort = (): void => this.#cut();
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    this.once('close', () => signal.removeEventListener('abort', onAbort));
  }

  #cut(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#table.members.delete(this.#member);
    if (this.#id !== undefined) {
      this.#table.forget(this.#id);
      this.#table.post({ kind: 'close', socket: this.#id });
    }
    this.#extraPorts.set([]);
    if (this.#forwarded) this.#table.onForwardedChange();
    process.nextTick(() => this.emit('close'));
  }

  #assertOpen(): void {
    if (this.#closed) throw nodeError(Error, 'ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
  }
}
