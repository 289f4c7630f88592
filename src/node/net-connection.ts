/**
 * One established TCP connection as the engine sees it, between the seam and the stream that users hold: bytes that wait for the
 * reader, bytes that wait for credit, and who still has to say goodbye.
 *
 * Reading: what the stream takes is given back as credit, but not what overfills it; so a paused reader stops the peer after the
 * engine's window plus the stream's high-water mark. A reader with a buffer of its own is handed pieces of what the engine only lends.
 * Writing: a write is done when its last byte was posted within the credit.
 */

import { Queue } from '../core/base/queue.ts';
import type { SocketAddress, SocketErrorCode, SocketEvent, SocketId, TcpOptions } from '../core/netstack/messages.ts';
import { systemError } from './node-errors.ts';
import type { SocketTable } from './socket-table.ts';
import { Turns } from './turns.ts';

export type TcpOpened = Extract<SocketEvent, { kind: 'tcp-connected' | 'tcp-accepted' }>;

export interface ConnectionReader {
  /** The most that is handed over at once to who copies it at once. Absent: bytes are the reader's, in pieces as they came. */
  readonly longestPiece?: () => number;
  /** False: enough for now, `pull` will ask for more. `null`: no more will come. */
  handleBytes(bytes: Uint8Array | null): boolean;
  /** Something moved, for idle timers. */
  handleActivity(): void;
  /** The connection is gone; called once, after the last bytes were taken. */
  handleFailure(error: Error): void;
}

/** Waiting for more credit than a crumb keeps writes from being cut ever smaller, as RFC 9293 §3.8.6.2.1 does for segments. */
const LEAST_CREDIT = 8_192;

interface PendingWrite {
  readonly chunks: readonly Uint8Array[];
  readonly done: (error?: Error | null) => void;
  index: number;
  offset: number;
  posted: number;
}

export class Connection {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Bytes the reader took, and bytes posted to the engine. */
  bytesRead = 0;
  bytesWritten = 0;
  readonly #table: SocketTable;
  readonly #id: SocketId;
  readonly #reader: ConnectionReader;
  readonly #inbox = new Queue<Uint8Array>();
  /** So much of the first in `#inbox` was handed over. */
  #offset = 0;
  /** The reader is being called, with bytes that it only looks at. */
  #handing = false;
  readonly #turns: Turns;
  /** Events of the turn in which the connection opened: they wait until listeners of `connect` had their turn. */
  #early: SocketEvent[] | undefined = [];
  #wanted = false;
  #owed = 0;
  #credit: number;
  readonly #leastCredit: number;
  #write: PendingWrite | undefined;
  #shutDown = false;
  #released = false;
  #remoteEnd: 'open' | 'ended' | 'told' = 'open';
  #engineDone = false;
  #failure: SocketErrorCode | undefined;

  constructor(table: SocketTable, opened: TcpOpened, reader: ConnectionReader) {
    this.#table = table;
    this.#id = opened.socket;
    this.#reader = reader;
    this.#credit = opened.writeCredit;
    this.#leastCredit = Math.min(LEAST_CREDIT, Math.max(1, opened.writeCredit >> 2));
    this.local = opened.local;
    this.remote = opened.remote;
    const run = table.adopt(opened.socket, (event) =>
      this.#early ? void this.#early.push(this.#kept(event)) : this.#handleEvent(event),
    );
    if (reader.longestPiece) table.borrow(opened.socket);
    this.#turns = new Turns(() => run(() => this.#deliverByTurns()));
    setImmediate(() => this.#settle());
  }

  /** Bytes of the write under way that were posted already. */
  get postedOfWrite(): number {
    return this.#write?.posted ?? 0;
  }

  get writing(): boolean {
    return this.#write !== undefined;
  }

  /** The reader has room again. */
  pull(): void {
    this.#wanted = true;
    this.#giveBack();
    if (!this.#turns.waiting && !this.#handing) while (this.#deliver());
  }

  /** The reader wants nothing for now. */
  pause(): void {
    this.#wanted = false;
  }

  /** One write at a time; `done` comes when all of it was posted. */
  write(chunks: readonly Uint8Array[], done: (error?: Error | null) => void): void {
    if (this.#engineDone) done(systemError(this.#failure ?? 'EPIPE', 'write'));
    else {
      this.#write = { chunks, done, index: 0, offset: 0, posted: 0 };
      this.#flush();
    }
  }

  /** FIN after what was written. */
  shutdown(): void {
    if (this.#shutDown || this.#engineDone) return;
    this.#shutDown = true;
    this.#table.post({ kind: 'tcp-shutdown', socket: this.#id });
  }

  configure(options: Omit<TcpOptions, 'kind' | 'socket'>): void {
    if (!this.#engineDone) this.#table.post({ kind: 'tcp-options', socket: this.#id, ...options });
  }

  /** The user's side is gone: as close(2), a graceful end unless bytes were left unread (RFC 1122 §4.2.2.13). */
  release(): void {
    this.#leave();
    if (this.#engineDone) return;
    if (this.#inbox.length > 0) this.#table.abort(this.#id);
    else this.#table.linger(this.#id, this.#shutDown);
  }

  /** RST. */
  abort(): void {
    this.#leave();
    if (!this.#engineDone) this.#table.abort(this.#id);
  }

  /** After this the reader hears nothing; a write under way counts as done, as in Node. */
  #leave(): void {
    this.#released = true;
    this.#wanted = false;
    this.#settle();
    const write = this.#write;
    this.#write = undefined;
    write?.done(null);
  }

  #settle(): void {
    const early = this.#early;
    this.#early = undefined;
    for (const event of early ?? []) this.#handleEvent(event);
  }

  #handleEvent(event: SocketEvent): void {
    switch (event.kind) {
      case 'tcp-data':
        if (this.#reader.longestPiece) this.#handleLent(event.bytes);
        else {
          this.#inbox.push(event.bytes);
          this.#deliverByTurns();
        }
        break;
      case 'tcp-end':
        if (this.#remoteEnd === 'open') this.#remoteEnd = 'ended';
        this.#deliverByTurns();
        break;
      case 'tcp-write-credit':
        this.#credit += event.bytes;
        if (this.#write) this.#reader.handleActivity();
        this.#flush();
        break;
      case 'closed':
        this.#table.forget(this.#id);
        this.#engineDone = true;
        this.#failure = event.error;
        if (event.error) this.#fail();
        break;
    }
  }

  #deliverByTurns(): void {
    // Who copies what it is given has no listener that another turn could bring.
    while (this.#deliverable && (this.#reader.longestPiece || this.#turns.take())) this.#deliver();
  }

  get #deliverable(): boolean {
    return this.#wanted && (this.#inbox.length > 0 || this.#remoteEnd === 'ended');
  }

  /** One chunk, or the end behind the last one. False if there is no more for now. */
  #deliver(): boolean {
    if (!this.#deliverable) {
      if (this.#failure) this.#fail();
      return false;
    }
    const bytes = this.#reader.longestPiece ? this.#nextPiece(this.#reader.longestPiece()) : this.#inbox.shift();
    if (!bytes) {
      this.#remoteEnd = 'told';
      this.#reader.handleBytes(null);
      return true;
    }
    this.#owed += bytes.length;
    this.bytesRead += bytes.length;
    this.#reader.handleActivity();
    const more = this.#hand(bytes);
    this.#wanted &&= more && !this.#released;
    if (this.#wanted && this.#inbox.length === 0) this.#giveBack();
    return true;
  }

  /** The reader may ask for more from within: that is heard, but not answered within. */
  #hand(bytes: Uint8Array): boolean {
    this.#handing = this.#reader.longestPiece !== undefined;
    try {
      return this.#reader.handleBytes(bytes);
    } finally {
      this.#handing = false;
    }
  }

  #nextPiece(longest: number): Uint8Array | undefined {
    const first = this.#inbox.peek();
    if (!first) return undefined;
    const start = this.#offset;
    this.#offset = Math.min(first.length, start + longest);
    const piece = first.subarray(start, this.#offset);
    if (this.#offset === first.length) {
      this.#inbox.shift();
      this.#offset = 0;
    }
    return piece;
  }

  /** What the reader does not take at once is copied. */
  #handleLent(bytes: Uint8Array): void {
    if (!this.#wanted || this.#inbox.length > 0) {
      this.#inbox.push(Uint8Array.from(bytes));
      this.#deliverByTurns();
      return;
    }
    this.#inbox.push(bytes);
    try {
      this.#deliverByTurns();
    } finally {
      const rest = this.#inbox.shift();
      if (rest) this.#inbox.push(Uint8Array.from(rest));
      // The reader has thrown.
      if (rest && this.#wanted) setImmediate(() => this.#deliverByTurns());
    }
  }

  #kept(event: SocketEvent): SocketEvent {
    if (event.kind !== 'tcp-data' || !this.#reader.longestPiece) return event;
    return { ...event, bytes: Uint8Array.from(event.bytes) };
  }

  #giveBack(): void {
    if (this.#owed > 0 && !this.#engineDone && !this.#released)
      this.#table.post({ kind: 'tcp-credit', socket: this.#id, bytes: this.#owed });
    this.#owed = 0;
  }

  #flush(): void {
    const write = this.#write;
    if (!write) return;
    for (let chunk = write.chunks[write.index]; chunk; chunk = write.chunks[write.index]) {
      const rest = chunk.length - write.offset;
      const length = this.#credit >= Math.min(rest, this.#leastCredit) ? Math.min(rest, this.#credit) : 0;
      if (length > 0) this.#postBytes(write, chunk, length);
      if (write.offset < chunk.length) return;
      write.index++;
      write.offset = 0;
    }
    this.#write = undefined;
    this.#reader.handleActivity();
    write.done();
  }

  #postBytes(write: PendingWrite, chunk: Uint8Array, length: number): void {
    const bytes = length === chunk.length ? chunk : chunk.subarray(write.offset, write.offset + length);
    this.#table.post({ kind: 'tcp-write', socket: this.#id, bytes });
    this.#credit -= length;
    this.bytesWritten += length;
    write.offset += length;
    write.posted += length;
  }

  /** Bytes that wait come first, unless a write waits for credit that will never come. */
  #fail(): void {
    if (this.#released || (this.#inbox.length > 0 && !this.#write)) return;
    const error = systemError(this.#failure!, 'read');
    setImmediate(() => {
      if (!this.#released) this.#reader.handleFailure(error);
    });
  }
}
