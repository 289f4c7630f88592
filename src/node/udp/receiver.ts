/** Receiving with `recvmmsg(2)`: many messages in one system call, and with UDP GRO (udp(7)) many datagrams in one message. */

import { constants } from 'node:os';
import type { Endpoint } from '../../core/base/address.ts';
import { Burst } from '../../core/base/burst.ts';
import type { UdpPortCounters } from '../udp-port.ts';
import type { Libc } from './ffi.ts';
import { MessageTable } from './message-table.ts';
import type { Sources } from './socket-address.ts';

/** The largest message that UDP can carry, however many datagrams are joined in it. */
const MAX_MESSAGE = 65_535;
/** The kernel joins no more in one message (UDP_MAX_SEGMENTS). */
const MAX_SEGMENTS = 128;
/** What a message may grow by when each of its segments is moved to a multiple of four. */
const ALIGNMENT_SLACK = 3 * MAX_SEGMENTS;
/** Between slots, so that their beginnings do not compete for the same lines of the processor’s cache. */
const CACHE_STAGGER = 1600;
const JOINED_SLOT_BYTES = MAX_MESSAGE + 1 + ALIGNMENT_SLACK + CACHE_STAGGER;

const MSG_DONTWAIT = 0x40;
const { EINTR, ENOSYS, EPERM } = constants.errno;

export interface ReceiverOptions {
  /** Messages for each system call. */
  readonly slots: number;
  /** Absent: as large as messages get, for sockets with UDP GRO. */
  readonly slotBytes?: number;
  readonly allocate?: ((bytes: number) => Uint8Array) | undefined;
}

/** What a datagram is judged by. */
export interface ReceivingPort {
  readonly descriptor: number;
  readonly remote: Endpoint | undefined;
  readonly sources: Sources;
  readonly largestDatagram: number;
  readonly counters: UdpPortCounters;
}

export class Receiver {
  /** What was received, until the consumer clears it. */
  readonly burst: Burst;
  readonly slots: number;
  readonly slotBytes: number;
  readonly #libc: Libc;
  readonly #table: MessageTable;
  #oneByOne = false;

  constructor(libc: Libc, { slots, slotBytes, allocate }: ReceiverOptions) {
    this.slots = slots;
    this.slotBytes = slotBytes ?? JOINED_SLOT_BYTES;
    this.#libc = libc;
    this.#table = new MessageTable(libc, slots, slots);
    const bytes = slots * this.slotBytes;
    const slab = allocate?.(bytes) ?? new Uint8Array(bytes);
    this.burst = slotBytes === undefined ? new Burst(slots * MAX_SEGMENTS, 0, slab) : new Burst(slots, slotBytes, slab);
    const address = libc.addressOf(slab);
    for (let i = 0; i < slots; i++) {
      this.#table.setPart(i, address + i * this.slotBytes, Math.min(this.slotBytes, MAX_MESSAGE));
      this.#table.setParts(i, i, 1);
    }
  }

  /**
   * One system call into the slots from `firstSlot`, without waiting; what came is added to the burst. Returns the number of messages, or
   * the system’s error number below zero.
   */
  receive(port: ReceivingPort, firstSlot: number = 0): number {
    const messages = this.#read(port.descriptor, firstSlot);
    for (let slot = firstSlot; slot < firstSlot + messages; slot++) this.#take(port, slot);
    return messages;
  }

  #read(descriptor: number, firstSlot: number): number {
    for (let slot = firstSlot; slot < this.slots; slot++) this.#table.prepareToReceive(slot);
    for (;;) {
      const result = this.#oneByOne
        ? this.#readOneByOne(descriptor, firstSlot)
        : this.#libc.recvmmsg(descriptor, this.#table.addressOf(firstSlot), this.slots - firstSlot, MSG_DONTWAIT, 0);
      if (result >= 0) return result;
      const errno = this.#libc.errno();
      // A filter of system calls (seccomp) may know the old call only.
      if (!this.#oneByOne && (errno === ENOSYS || errno === EPERM)) this.#oneByOne = true;
      else if (errno !== EINTR) return -errno;
    }
  }

  #readOneByOne(descriptor: number, firstSlot: number): number {
    let slot = firstSlot;
    for (; slot < this.slots; slot++) {
      const length = this.#libc.recvmsg(descriptor, this.#table.addressOf(slot), MSG_DONTWAIT);
      if (length < 0) break;
      this.#table.setReceivedLength(slot, length);
    }
    return slot === firstSlot ? -1 : slot - firstSlot;
  }

  #take({ remote, sources, largestDatagram, counters }: ReceivingPort, slot: number): void {
    const table = this.#table;
    const length = table.receivedLength(slot);
    const size = table.receivedSegmentSize(slot) || length;
    const count = size === 0 ? 1 : Math.min(MAX_SEGMENTS, Math.ceil(length / size));
    counters.received += count;
    if (size > largestDatagram || table.truncated(slot)) {
      counters.oversized += count;
      return;
    }
    const endpoint = remote ?? sources.ofSocketAddress(table.memory.bytes, table.nameOffset(slot));
    const offset = slot * this.slotBytes;
    const stride = (size + 3) & ~3;
    if (stride !== size) this.#align(offset, size, stride, length, count);
    for (let i = 0; i < count; i++)
      this.burst.place(offset + i * stride, i === count - 1 ? length - i * size : size, endpoint);
  }

  /** Moves the segments apart, the last one first, so that each starts at a multiple of four. */
  #align(offset: number, size: number, stride: number, length: number, count: number): void {
    for (let i = count - 1; i > 0; i--) {
      const from = offset + i * size;
      const end = i === count - 1 ? offset + length : from + size;
      this.burst.slab.copyWithin(offset + i * stride, from, end);
    }
  }
}
