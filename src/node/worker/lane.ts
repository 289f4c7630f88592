/**
 * One direction between the two threads: a ring for bytes and what comes with every burst, a message port for the rest, and a bell that
 * wakes the other side once for everything that it has not looked at yet.
 */

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { Queue } from '../../core/base/queue.ts';
import type { SocketId } from '../../core/netstack/messages.ts';
import { type Downward, decode, encode, type Upward } from './codec.ts';
import { RingReader, RingWriter } from './ring.ts';

export interface LaneMemory {
  readonly ring: SharedArrayBuffer;
  readonly messages: MessagePort;
}

/** Credit is waited for only where windows are small, so it wakes nobody at once, unless there is so much of it. */
const LAZY_CREDIT_BYTES = 64 * 1024;
const LAZY_MS = 1;

/** Longer chunks are cut, so that a piece of a large one finds room sooner. */
const LONGEST_PIECE = 128 * 1024;

type Message = Upward | Downward;

/** The sender's end. What finds no room waits here, in order; datagrams do not. */
export class Outbox {
  readonly #ring: RingWriter;
  readonly #messages: MessagePort;
  readonly #wake: () => void;
  readonly #onDrop: () => void;
  readonly #longest: number;
  /**
   * Bounded by what may be under way: stream bytes by windows and credit, the rest by the number of sockets. Bytes are copies if their
   * owner may reuse them.
   */
  readonly #waiting: Queue<Message> = new Queue();
  /** What was written since the last `flush` is awaited. */
  #urgent = false;
  /** Credit since the other side was woken last. */
  #creditBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ ring, messages }: LaneMemory, host: { readonly wake: () => void; readonly onDrop: () => void }) {
    this.#ring = new RingWriter(ring);
    this.#messages = messages;
    this.#wake = host.wake;
    this.#onDrop = host.onDrop;
    this.#longest = Math.min(LONGEST_PIECE, this.#ring.longest);
  }

  /** Takes one message; `flush` shows it. True if nothing of it waits: its bytes, if it has any, were copied. */
  send(message: Message): boolean {
    if ((message.kind !== 'tcp-data' && message.kind !== 'tcp-write') || message.bytes.length <= this.#longest)
      return this.#place(message);
    const { bytes } = message;
    let copied = true;
    for (let at = 0; at < bytes.length; at += this.#longest)
      copied = this.#place({ ...message, bytes: bytes.subarray(at, at + this.#longest) }) && copied;
    return copied;
  }

  /** Shows the other side what was sent, and wakes it, or will do so soon. */
  flush(): void {
    if (!this.#ring.publish()) return;
    if (this.#urgent || this.#creditBytes >= LAZY_CREDIT_BYTES) this.#wakeNow();
    else this.#timer ??= setTimeout(this.#wakeIfUnseen, LAZY_MS);
  }

  /** Whether the other side is to be woken by a timer. */
  get wakesSoon(): boolean {
    return this.#timer !== undefined;
  }

  /** There may be room again. */
  retry(): void {
    for (let message = this.#waiting.peek(); message && this.#write(message); message = this.#waiting.peek())
      this.#waiting.shift();
    this.flush();
  }

  #wakeNow(): void {
    this.#urgent = false;
    this.#creditBytes = 0;
    this.#wake();
  }

  readonly #wakeIfUnseen = (): void => {
    this.#timer = undefined;
    if (!this.#ring.empty) this.#wakeNow();
  };

  #place(message: Message): boolean {
    if (this.#waiting.length === 0 && this.#write(message)) return true;
    if (message.kind === 'udp-datagram' || message.kind === 'udp-send') {
      this.#onDrop();
      return true;
    }
    const owned = message.kind === 'tcp-write' ? { ...message, bytes: Uint8Array.from(message.bytes) } : message;
    this.#waiting.push(owned);
    return false;
  }

  #write(message: Message): boolean {
    if (message.kind === 'tcp-credit' || message.kind === 'tcp-write-credit') this.#creditBytes += message.bytes;
    else this.#urgent = true;
    if (encode(this.#ring, message, this.#post)) return true;
    this.#ring.starve();
    // Room may have come between the two.
    return encode(this.#ring, message, this.#post);
  }

  readonly #post = (message: Message): void => this.#messages.postMessage(message);
}

/** The receiver's end. */
export class Inbox<Received extends Message> {
  readonly #ring: RingReader;
  readonly #messages: MessagePort;
  /** The sender waits for room, and there is some. */
  readonly #onRoom: () => void;
  /** Whose stream bytes are handed over where they are. */
  readonly #isLent: (socket: SocketId) => boolean;

  constructor({ ring, messages }: LaneMemory, onRoom: () => void, isLent: (socket: SocketId) => boolean = () => false) {
    this.#ring = new RingReader(ring);
    this.#messages = messages;
    this.#onRoom = onRoom;
    this.#isLent = isLent;
  }

  /** Whether nothing was shown since the last `drain`. */
  get empty(): boolean {
    return this.#ring.empty;
  }

  /** Hands over everything that was shown before the call. */
  drain(take: (message: Received) => void): void {
    const { tail } = this.#ring;
    while (this.#ring.next(tail)) take(decode(this.#ring, this.#receive, this.#isLent) as Received);
    if (this.#ring.takeStarved()) this.#onRoom();
  }

  readonly #receive = (): unknown => receiveMessageOnPort(this.#messages)?.message;
}
