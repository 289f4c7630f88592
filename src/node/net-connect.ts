/**
 * One `connect` call: the lookup inside the tunnel, then the addresses one after another until one answers. Unlike Node's happy
 * eyeballs, attempts never overlap: each but the last has a time limit.
 */

import { formatIp, parseIp } from '../core/base/address.ts';
import type { SocketErrorCode, SocketEvent, SocketId, TcpConnect } from '../core/netstack/messages.ts';
import { type LookupAddress, lookupAddresses } from './dns.ts';
import type { ConnectTarget } from './net-arguments.ts';
import { systemError } from './node-errors.ts';
import type { SocketTable } from './socket-table.ts';

export type TcpConnected = Extract<SocketEvent, { kind: 'tcp-connected' }>;

export interface ConnectObserver {
  /** The events `lookup`, `connectionAttempt`, `connectionAttemptFailed` and `connectionAttemptTimeout` of node:net. */
  handleProgress(event: string, ...args: unknown[]): void;
  /** The engine's events for this socket go to whoever adopts it now. */
  handleConnected(event: TcpConnected): void;
  handleFailed(error: Error): void;
}

export class ConnectAttempt {
  /** `address:port` of what was tried, in order. */
  readonly attempted: string[] = [];
  readonly #table: SocketTable;
  readonly #target: ConnectTarget;
  readonly #observer: ConnectObserver;
  readonly #errors: Error[] = [];
  #addresses: LookupAddress[] = [];
  #socket: SocketId | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cancelLookup: () => void = () => {};
  #over = false;

  constructor(table: SocketTable, target: ConnectTarget, observer: ConnectObserver) {
    this.#table = table;
    this.#target = target;
    this.#observer = observer;
  }

  /** Nothing happens before the caller's turn is over: listeners can be added first. */
  start(): void {
    process.nextTick(() => {
      if (this.#over) return;
      const { host, family, localAddress, admission } = this.#target;
      if (this.#table.closed) this.#fail(this.#table.closed);
      else if (parseIp(host)) this.#begin([{ address: host, family: parseIp(host)!.family }]);
      else
        this.#cancelLookup = lookupAddresses(
          this.#table,
          host,
          localAddress?.family ?? family,
          (error, addresses) => this.#handleLookup(error, addresses),
          admission,
        );
    });
  }

  /** Gives up, silently. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelLookup();
    clearTimeout(this.#timer);
    if (this.#socket !== undefined) this.#table.abort(this.#socket);
  }

  #handleLookup(error: Error | undefined, addresses: LookupAddress[]): void {
    const { host, firstOnly } = this.#target;
    if (error) {
      this.#observer.handleProgress('lookup', error, undefined, undefined, host);
      this.#fail(error);
      return;
    }
    const tried = firstOnly ? addresses.slice(0, 1) : alternating(addresses);
    for (const { address, family } of tried) {
      this.#observer.handleProgress('lookup', null, address, family, host);
      if (this.#over) return;
    }
    this.#begin(tried);
  }

  #begin(addresses: LookupAddress[]): void {
    this.#addresses = addresses;
    this.#next();
  }

  #next(): void {
    const current = this.#addresses[this.attempted.length];
    if (!current) {
      this.#fail(this.#errors.length === 1 ? this.#errors[0]! : aggregate(this.#errors));
      return;
    }
    const { port, localPort, localAddress, attemptTimeoutMs, admission } = this.#target;
    this.attempted.push(`${current.address}:${port}`);
    this.#observer.handleProgress('connectionAttempt', current.address, port, current.family);
    if (this.#over) return;
    this.#socket = this.#table.open((event) => this.#handleEvent(event, current));
    admission?.admitSocket(this.#socket);
    if (this.attempted.length < this.#addresses.length)
      this.#timer = setTimeout(() => this.#handleTimeout(current), attemptTimeoutMs);
    const command: TcpConnect = {
      kind: 'tcp-connect',
      socket: this.#socket,
      to: { address: parseIp(current.address)!, port },
      ...(localPort ? { localPort } : {}),
      ...(localAddress ? { localAddress } : {}),
    };
    this.#table.post(command);
  }

  #handleEvent(event: SocketEvent, current: LookupAddress): void {
    if (event.kind === 'tcp-connected') {
      clearTimeout(this.#timer);
      this.#over = true;
      this.#observer.handleConnected(event);
    } else if (event.kind === 'closed') {
      clearTimeout(this.#timer);
      this.#table.forget(event.socket);
      this.#socket = undefined;
      const error = this.#errorOf(event.error ?? 'ECONNRESET', current);
      this.#observer.handleProgress(
        'connectionAttemptFailed',
        current.address,
        this.#target.port,
        current.family,
        error,
      );
      this.#attemptFailed(error);
    }
  }

  #handleTimeout(current: LookupAddress): void {
    this.#table.abort(this.#socket!);
    this.#socket = undefined;
    this.#observer.handleProgress('connectionAttemptTimeout', current.address, this.#target.port, current.family);
    this.#attemptFailed(this.#errorOf('ETIMEDOUT', current));
  }

  #attemptFailed(error: Error): void {
    this.#errors.push(error);
    if (!this.#over) this.#next();
  }

  /** What concerns the local address or port is an error of `bind`, as in Node. */
  #errorOf(code: SocketErrorCode, { address, family }: LookupAddress): Error {
    const { port, localAddress, localPort } = this.#target;
    const bound = localAddress || localPort;
    const local = localAddress ? formatIp(localAddress) : family === 4 ? '0.0.0.0' : '::';
    if (bound && (code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL'))
      return systemError(code, 'bind', { address: local, port: localPort });
    const details = localPort ? { localAddress: local, localPort } : undefined;
    const error = systemError(code, 'connect', { address, port, local: details && `${local}:${localPort}` });
    return details ? Object.assign(error, details) : error;
  }

  #fail(error: Error): void {
    this.#over = true;
    this.#observer.handleFailed(error);
  }
}

/** Families in turn, the first one first, no address twice (as node:net sorts them). */
function alternating(addresses: LookupAddress[]): LookupAddress[] {
  const unique = addresses.filter((each, i) => addresses.findIndex(({ address }) => address === each.address) === i);
  const first = unique.filter(({ family }) => family === unique[0]!.family);
  const second = unique.filter(({ family }) => family !== unique[0]!.family);
  return Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((each) => each !== undefined);
}

function aggregate(errors: Error[]): Error {
  const [first] = errors as NodeJS.ErrnoException[];
  return Object.assign(new AggregateError(errors), first?.code === undefined ? {} : { code: first.code });
}
