/** `struct mmsghdr[]` of `recvmmsg(2)` and `sendmmsg(2)`, with room for what its messages point to. */

import type { Libc } from './ffi.ts';
import { NativeMemory } from './native-memory.ts';

/** Offsets in a `struct mmsghdr`, in bytes. */
const HEADER = {
  name: 0,
  nameLength: 8,
  parts: 16,
  partCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
  size: 64,
} as const;
/** A `struct iovec`. */
const PART = { base: 0, length: 8, size: 16 } as const;
/** Room for a `sockaddr_in6`. */
const NAME_SIZE = 32;
/** Room for one `struct cmsghdr` with an int. */
const CONTROL = { length: 0, level: 8, type: 12, data: 16, size: 24 } as const;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;

export class MessageTable {
  readonly memory: NativeMemory;
  readonly #names: number;
  readonly #controls: number;
  readonly #parts: number;

  constructor(libc: Libc, messages: number, parts: number) {
    this.#names = messages * HEADER.size;
    this.#controls = this.#names + messages * NAME_SIZE;
    this.#parts = this.#controls + messages * CONTROL.size;
    this.memory = new NativeMemory(libc, this.#parts + parts * PART.size);
    for (let i = 0; i < messages; i++) {
      this.memory.setPointer(i * HEADER.size + HEADER.name, this.memory.address + this.nameOffset(i));
      this.memory.setPointer(i * HEADER.size + HEADER.control, this.memory.address + this.#controls + i * CONTROL.size);
    }
  }

  addressOf(message: number): number {
    return this.memory.address + message * HEADER.size;
  }

  /** Where the socket address of a message lies, in `memory`. */
  nameOffset(message: number): number {
    return this.#names + message * NAME_SIZE;
  }

  /** Part `part` of all is `length` bytes at `address`. */
  setPart(part: number, address: number, length: number): void {
    const at = this.#parts + part * PART.size;
    this.memory.setPointer(at + PART.base, address);
    this.memory.words[(at + PART.length) >> 2] = length;
  }

  /** The message consists of `count` parts from `part`. */
  setParts(message: number, part: number, count: number): void {
    const at = message * HEADER.size;
    this.memory.setPointer(at + HEADER.parts, this.memory.address + this.#parts + part * PART.size);
    this.memory.words[(at + HEADER.partCount) >> 2] = count;
  }

  /** Where the message goes to; a connected socket needs none. */
  setName(message: number, socketAddress: Uint8Array): void {
    this.memory.bytes.set(socketAddress, this.nameOffset(message));
    this.memory.words[(message * HEADER.size + HEADER.nameLength) >> 2] = socketAddress.length;
  }

  /** The system cuts the message into datagrams of `bytes` each; 0: it is one datagram. */
  setSegmentSize(message: number, bytes: number): void {
    const { words } = this.memory;
    words[(message * HEADER.size + HEADER.controlLength) >> 2] = bytes === 0 ? 0 : CONTROL.size;
    if (bytes === 0) return;
    const at = (this.#controls + message * CONTROL.size) >> 2;
    words[at + (CONTROL.length >> 2)] = CONTROL.data + 2;
    words[at + (CONTROL.level >> 2)] = SOL_UDP;
    words[at + (CONTROL.type >> 2)] = UDP_SEGMENT;
    words[at + (CONTROL.data >> 2)] = bytes;
  }

  /** Makes a message ready to be received, again. */
  prepareToReceive(message: number): void {
    const { words } = this.memory;
    const at = (message * HEADER.size) >> 2;
    words[at + (HEADER.nameLength >> 2)] = NAME_SIZE;
    words[at + (HEADER.controlLength >> 2)] = CONTROL.size;
  }

  /** For `recvmsg` and `sendmsg`, which return the length instead of writing it into the table. */
  setReceivedLength(message: number, length: number): void {
    this.memory.words[(message * HEADER.size + HEADER.length) >> 2] = length;
  }

  receivedLength(message: number): number {
    return this.memory.words[(message * HEADER.size + HEADER.length) >> 2]!;
  }

  truncated(message: number): boolean {
    return (this.memory.words[(message * HEADER.size + HEADER.flags) >> 2]! & MSG_TRUNC) !== 0;
  }

  /** The size of the datagrams that the received message consists of (the last may be shorter); 0 if it is one datagram. */
  receivedSegmentSize(message: number): number {
    const { words } = this.memory;
    if (words[(message * HEADER.size + HEADER.controlLength) >> 2]! < CONTROL.data + 4) return 0;
    const at = (this.#controls + message * CONTROL.size) >> 2;
    const isGro = words[at + (CONTROL.level >> 2)] === SOL_UDP && words[at + (CONTROL.type >> 2)] === UDP_GRO;
    return isGro ? words[at + (CONTROL.data >> 2)]! : 0;
  }
}
