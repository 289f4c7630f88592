/**
 * A burst of datagrams in one slab of memory: the unit in which packets cross between the UDP port and the core, so that
 * per-burst costs (acknowledgements, system calls, wake-ups) are paid once.
 *
 * Slots have one fixed size. A slot starts 4-aligned, so that the inner packet of a WireGuard message, 16 bytes in, is
 * 4-aligned too and checksums can read words. Whoever holds the burst may write anywhere in it until it is cleared.
 *
 * A port that receives many datagrams in one piece places them where they came to lie, next to each other: its burst has slots of size
 * 0, and whoever holds it writes in datagrams only.
 */

import type { Endpoint } from './address.ts';

/** Room before an inner packet for the WireGuard transport header, and behind it for padding and the tag. */
export const TRANSPORT_HEADER_LENGTH = 16;

const DEFAULT_CAPACITY = 64;
const DEFAULT_SLOT_SIZE = 2048;

export class Burst {
  readonly slab: Uint8Array;
  readonly capacity: number;
  readonly slotSize: number;
  readonly offsets: Int32Array;
  readonly lengths: Int32Array;
  /** Source of each received datagram, destination of each one to send. */
  readonly endpoints: (Endpoint | undefined)[];
  count = 0;

  /** In memory of its own, unless `slab` is given: at least `capacity` slots, at a 4-aligned place (see `Crypto.allocate`). */
  constructor(
    capacity: number = DEFAULT_CAPACITY,
    slotSize: number = DEFAULT_SLOT_SIZE,
    slab: Uint8Array = new Uint8Array(capacity * slotSize),
  ) {
    if (slotSize % 4 !== 0) throw new RangeError(`"slotSize" expected a multiple of 4, got ${slotSize}`);
    if (slab.length < capacity * slotSize || slab.byteOffset % 4 !== 0)
      throw new RangeError(
        `"slab" expected ${capacity * slotSize} bytes, 4-aligned, got ${slab.length} at ${slab.byteOffset}`,
      );
    this.capacity = capacity;
    this.slotSize = slotSize;
    this.slab = slab;
    this.offsets = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
    this.endpoints = new Array(capacity);
  }

  get full(): boolean {
    return this.count === this.capacity;
  }

  /** Offset of the next free slot. Only while not `full`. */
  nextSlot(): number {
    return this.count * this.slotSize;
  }

  /** Takes the next free slot, whose first `length` bytes the caller has written. */
  push(length: number, endpoint: Endpoint | undefined): void {
    this.place(this.nextSlot(), length, endpoint);
  }

  /** Adds the datagram of `length` bytes that lies at `offset`, which is 4-aligned. Only while not `full`. */
  place(offset: number, length: number, endpoint: Endpoint | undefined): void {
    this.offsets[this.count] = offset;
    this.lengths[this.count] = length;
    this.endpoints[this.count] = endpoint;
    this.count++;
  }

  /** Copies one datagram in. False if the burst is full or the datagram does not fit a slot. */
  append(datagram: Uint8Array, endpoint: Endpoint | undefined): boolean {
    if (this.full || datagram.length > this.slotSize) return false;
    this.slab.set(datagram, this.nextSlot());
    this.push(datagram.length, endpoint);
    return true;
  }

  /** A view of datagram `index`, valid until the burst is cleared. */
  datagram(index: number): Uint8Array {
    const offset = this.offsets[index]!;
    return this.slab.subarray(offset, offset + this.lengths[index]!);
  }

  clear(): void {
    this.count = 0;
  }
}
