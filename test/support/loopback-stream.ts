/** One end of a connection of the loopback engine: credit, FIN and RST between two ends, without packets. */

import type { SocketAddress, SocketCommand, SocketErrorCode } from '../../src/core/netstack/messages.ts';
import type { LoopbackEngine } from './loopback-engine.ts';

/** Bytes that may be written before the peer has taken any, and bytes handed over before any are given back. */
export const SEND_BUFFER = 64 * 1024;
export const WINDOW = 96 * 1024;

export class LoopbackStream {
  /** Handed over and not yet given back, and the most that ever was. */
  unread = 0;
  mostUnread = 0;
  /** All bytes ever handed over. */
  handedOver = 0;
  readonly #engine: LoopbackEngine;
  readonly #socket: number;
  readonly #local: SocketAddress;
  #peer: LoopbackStream | undefined;
  #queue: Uint8Array[] = [];
  #credit = SEND_BUFFER;
  #fin: 'none' | 'queued' | 'sent' = 'none';
  #over = false;

  constructor(engine: LoopbackEngine, socket: number, local: SocketAddress) {
    this.#engine = engine;
    this.#socket = socket;
    this.#local = local;
    engine.streams.set(socket, this);
  }

  static join(
    engine: LoopbackEngine,
    socket: number,
    local: SocketAddress,
    other: LoopbackEngine,
    otherSocket: number,
    remote: SocketAddress,
  ): void {
    const near = new LoopbackStream(engine, socket, local);
    const far = new LoopbackStream(other, otherSocket, remote);
    near.#peer = far;
    far.#peer = near;
  }

  handle(command: SocketCommand): void {
    switch (command.kind) {
      case 'tcp-write':
        this.#write(Uint8Array.from(command.bytes));
        break;
      case 'tcp-credit':
        this.#giveBack(command.bytes);
        break;
      case 'tcp-shutdown':
        if (this.#fin !== 'none') throw new Error('two shutdowns of one socket');
        this.#fin = 'queued';
        this.#pump();
        break;
      case 'tcp-abort':
        this.#end('ECONNABORTED');
        this.#peer!.#end('ECONNRESET');
        break;
      default:
        throw new Error(`${command.kind} for a stream`);
    }
  }

  #write(bytes: Uint8Array): void {
    if (this.#fin !== 'none') throw new Error('a write after shutdown');
    if (bytes.length > this.#credit) throw new Error(`a write of ${bytes.length} with a credit of ${this.#credit}`);
    this.#credit -= bytes.length;
    this.#queue.push(bytes);
    this.#pump();
  }

  #giveBack(bytes: number): void {
    if (bytes > this.unread || bytes <= 0) throw new Error(`${bytes} bytes given back of ${this.unread}`);
    this.unread -= bytes;
    this.#peer!.#pump();
  }

  /** Moves what the other end has room for. */
  #pump(): void {
    const peer = this.#peer!;
    if (this.#over) return;
    let moved = 0;
    for (let bytes = this.#queue[0]; bytes && peer.#hasRoom(bytes.length); bytes = this.#queue[0]) {
      const length = Math.min(bytes.length, WINDOW - peer.unread);
      if (length === bytes.length) this.#queue.shift();
      else this.#queue[0] = bytes.subarray(length);
      peer.#receive(bytes.slice(0, length));
      moved += length;
    }
    if (moved > 0) {
      this.#credit += moved;
      this.#engine.emit({ kind: 'tcp-write-credit', socket: this.#socket, bytes: moved });
    }
    if (this.#fin === 'queued' && this.#queue.length === 0) {
      this.#fin = 'sent';
      peer.#engine.emit({ kind: 'tcp-end', socket: peer.#socket });
    }
    if (this.#fin === 'sent' && peer.#fin === 'sent') {
      this.#end();
      peer.#end();
    }
  }

  /** Not for crumbs: else small windows beget ever smaller chunks (RFC 9293 §3.8.6.2.2). */
  #hasRoom(wanted: number): boolean {
    return WINDOW - this.unread >= Math.min(wanted, WINDOW / 4);
  }

  #receive(bytes: Uint8Array): void {
    this.unread += bytes.length;
    this.handedOver += bytes.length;
    this.mostUnread = Math.max(this.mostUnread, this.unread);
    this.#engine.emit({ kind: 'tcp-data', socket: this.#socket, bytes });
  }

  #end(error?: SocketErrorCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#engine.release(this.#local.port);
    this.#engine.emit({ kind: 'closed', socket: this.#socket, ...(error ? { error } : {}) });
  }
}
