/**
 * `net.Socket` inside the tunnel: a Duplex with node:net's states, events and errors. Left out: Unix sockets, file descriptors.
 * `ref` and `unref` do nothing: a tunnel's sockets never keep the process alive by themselves, the tunnel does.
 */

import type { Duplex } from 'node:stream';
import { addAbortSignal } from 'node:stream';
import { IdleTimer } from './idle-timer.ts';
import { type ConnectOptions, connectTarget, normalizeArguments } from './net-arguments.ts';
import { ConnectAttempt } from './net-connect.ts';
import { Connection, type TcpOpened } from './net-connection.ts';
import { keepAliveMs, type SocketOptions, streamOptions } from './net-socket-options.ts';
import { SocketState } from './net-socket-state.ts';
import { nodeError } from './node-errors.ts';
import type { SocketTable, TableMember } from './socket-table.ts';
import { UserBuffer } from './user-buffer.ts';

/** A connection that the server hands over. */
export interface Accepted {
  readonly opened: TcpOpened;
  readonly server: object;
  readonly pause: boolean;
  readonly onClosed: () => void;
}

type WriteCallback = (error?: Error | null) => void;
type Listener = () => void;

/** So long bytes wait for their reader when the connection is gone. */
const READ_LIMIT_MS = 1_000;

export class TunnelSocket extends SocketState {
  /** What `setTimeout` was last given, in milliseconds. */
  timeout: number | undefined = undefined;
  /** The server that accepted this connection. */
  server: object | null = null;
  autoSelectFamilyAttemptedAddresses: string[] | undefined = undefined;
  readonly #table: SocketTable;
  readonly #idle = new IdleTimer(() => void this.emit('timeout'));
  readonly #member: TableMember = { owner: this, handleCut: (error) => this.#handleCut(error) };
  #attempt: ConnectAttempt | undefined;
  protected override connection: Connection | undefined;
  #onClosed: () => void = () => {};
  #held: { readonly chunks: readonly Uint8Array[]; readonly done: WriteCallback } | undefined;
  #noDelay: boolean;
  #keepAliveMs: number;
  #pulled = false;
  #reset = false;
  #aborted = false;
  #failure: Error | undefined;
  /** With it, the stream itself never has bytes. */
  readonly #userBuffer: UserBuffer | undefined;

  constructor(table: SocketTable, options: SocketOptions = {}, accepted?: Accepted) {
    super(streamOptions(options));
    this.#table = table;
    this.#userBuffer = UserBuffer.from(options.onread);
    this.#noDelay = Boolean(options.noDelay);
    this.#keepAliveMs = keepAliveMs(options.keepAlive, options.keepAliveInitialDelay);
    this.on('end', () => {
      if (!this.allowHalfOpen) this.write = this.#writeAfterEnd;
    });
    if (accepted) {
      this.server = accepted.server;
      this.#onClosed = accepted.onClosed;
      this.#open(accepted.opened);
      if (accepted.pause) this.pause();
      else this.read(0);
    }
    if (options.signal) {
      this.#aborted = options.signal.aborted;
      addAbortSignal(options.signal, this);
    }
  }

  /** `(options[, listener])` or `(port[, host][, listener])`; see `ConnectOptions`. A destroyed socket can connect anew. */
  connect(options: ConnectOptions, listener?: Listener): this;
  connect(port: number | string, host?: string | Listener, listener?: Listener): this;
  connect(...args: unknown[]): this {
    const [options, listener] = normalizeArguments(args);
    if (listener) this.once('connect', listener);
    const target = connectTarget(options);
    if (this.#aborted) return this;
    if (this.connecting || (this.connection && !this.destroyed)) {
      this.destroy(nodeError(Error, 'EISCONN', 'connect EISCONN'));
      return this;
    }
    if (this.destroyed) this.#renew();
    this.connecting = true;
    this.#table.members.add(this.#member);
    this.#idle.touch();
    this.#attempt = new ConnectAttempt(this.#table, target, {
      handleProgress: (event, ...details) => void this.emit(event, ...details),
      handleConnected: (event) => this.#handleConnected(event),
      handleFailed: (error) => void this.destroy(error),
    });
    this.autoSelectFamilyAttemptedAddresses = this.#attempt.attempted;
    this.#attempt.start();
    return this;
  }

  /** After so many milliseconds without reading, writing or progress of a write: `timeout` is emitted, nothing else happens. */
  setTimeout(delayMs: number, listener?: Listener): this {
    if (this.destroyed) return this;
    this.timeout = delayMs;
    this.#idle.set(delayMs, listener);
    if (listener && delayMs === 0) this.removeListener('timeout', listener);
    else if (listener) this.once('timeout', listener);
    return this;
  }

  setNoDelay(enable: boolean = true): this {
    const changed = enable !== this.#noDelay;
    this.#noDelay = Boolean(enable);
    if (changed && !this.pending) this.connection?.configure({ noDelay: this.#noDelay });
    return this;
  }

  setKeepAlive(enable: boolean = false, initialDelayMs: number = 0): this {
    const delayMs = keepAliveMs(enable, initialDelayMs);
    const changed = delayMs !== this.#keepAliveMs;
    this.#keepAliveMs = delayMs;
    if (changed && !this.pending) this.connection?.configure({ keepAliveMs: delayMs });
    return this;
  }

  /** Ends, and destroys when all was written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Closes with RST instead of FIN. */
  resetAndDestroy(): this {
    if (this.connecting) return this.once('connect', () => this.resetAndDestroy());
    if (this.pending) return this.destroy(nodeError(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed'));
    this.#reset = true;
    return this.destroy();
  }

  override pause(): this {
    if (this.#userBuffer) this.connection?.pause();
    return super.pause();
  }

  override resume(): this {
    this.#readOn();
    return super.resume();
  }

  override read(size?: number): ReturnType<Duplex['read']> {
    this.#readOn();
    const chunk = super.read(size);
    const failure = this.#failure;
    if (failure && this.readableLength === 0) setImmediate(() => this.destroy(failure));
    return chunk;
  }

  override _read(): void {
    if (this.connection && !this.connecting) this.connection.pull();
    else this.#pulled = true;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: WriteCallback): void {
    this.#writeAll([chunk], done);
  }

  override _writev(items: { readonly chunk: Uint8Array }[], done: WriteCallback): void {
    this.#writeAll(
      items.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: WriteCallback): void {
    if (this.pending) {
      this.once('connect', () => this._final(done));
      return;
    }
    this.connection?.shutdown();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connecting = false;
    this.#table.members.delete(this.#member);
    this.#idle.stop();
    this.#attempt?.cancel();
    if (this.#reset) this.connection?.abort();
    else this.connection?.release();
    const held = this.#held;
    this.#held = undefined;
    done(error);
    setImmediate(() => {
      held?.done(
        nodeError(Error, 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION', 'Socket closed before the connection was established'),
      );
      this.emit('close', error !== null && error !== undefined);
    });
    this.#onClosed();
  }

  #handleConnected(event: TcpOpened): void {
    this.connecting = false;
    this.#attempt = undefined;
    this.#open(event);
    this.#idle.touch();
    if (this.#noDelay) this.connection!.configure({ noDelay: true });
    if (this.#keepAliveMs > 0) this.connection!.configure({ keepAliveMs: this.#keepAliveMs });
    this.emit('connect');
    const held = this.#held;
    this.#held = undefined;
    if (held) this.connection!.write(held.chunks, held.done);
    this.emit('ready');
    if (this.destroyed) return;
    if (this.#pulled) this.connection!.pull();
    else if (!this.isPaused()) this.read(0);
  }

  #open(opened: TcpOpened): void {
    this.#table.members.add(this.#member);
    const buffer = this.#userBuffer;
    this.connection = new Connection(this.#table, opened, {
      ...(buffer ? { longestPiece: () => buffer.length } : {}),
      handleBytes: (bytes) => this.#handleBytes(bytes),
      handleActivity: () => this.#idle.touch(),
      handleFailure: (error) => this.#failWhenRead(error),
    });
  }

  /** What came before the failure is the reader's, if it reads soon. */
  #failWhenRead(error: Error): void {
    this.#failure = error;
    if (this.readableLength === 0) this.destroy(error);
    else setTimeout(() => this.destroy(error), READ_LIMIT_MS).unref();
  }

  /** The stream does not ask again for what it was never given. */
  #readOn(): void {
    if (this.#userBuffer && !this.connecting) this.connection?.pull();
  }

  #handleBytes(bytes: Uint8Array | null): boolean {
    const more = bytes && this.#userBuffer ? this.#userBuffer.handle(this, bytes) : this.push(bytes && asBuffer(bytes));
    if (bytes === null) this.read(0);
    return more && !this.destroyed;
  }

  #handleCut(error: Error): void {
    this.#reset = true;
    this.destroy(this.#table.closed && this.listenerCount('error') === 0 ? undefined : error);
  }

  #writeAll(chunks: readonly Uint8Array[], done: WriteCallback): void {
    if (this.connecting) this.#held = { chunks, done };
    else if (!this.connection) done(nodeError(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed'));
    else this.connection.write(chunks, done);
  }

  /** What `write` is after the peer has ended a socket that is not half-open: the plain "write after end" would blame the caller. */
  #writeAfterEnd(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    if (!this.writableEnded) return super.write(chunk, encoding as BufferEncoding, callback as WriteCallback);
    const error = nodeError(Error, 'EPIPE', 'This socket has been ended by the other party');
    const done = (typeof encoding === 'function' ? encoding : callback) as WriteCallback | undefined;
    if (typeof done === 'function') process.nextTick(done, error);
    this.destroy(error);
    return false;
  }

  /** A destroyed socket becomes as new; what `net.Socket` does on `connect`, with the same internal of the streams. */
  #renew(): void {
    (this as unknown as { _undestroy(): void })._undestroy();
    delete (this as { write?: unknown }).write;
    this.connection = undefined;
    this.#pulled = false;
    this.#reset = false;
    this.#failure = undefined;
    this.#onClosed = () => {};
  }
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
