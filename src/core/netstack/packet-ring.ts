/**
 * Packets waiting to be sent, one behind the other in one piece of memory that grows with need and is used again and again, so that
 * queueing allocates nothing. Packets start 4-aligned, for the checksum's sake.
 */

const INITIAL_SIZE = 16_384;

export class PacketRing {
  /** How many packets it holds at most. */
  readonly capacity: number;
  /** Replaced when it grows: read it after `reserve`. */
  bytes: Uint8Array = new Uint8Array(0);
  readonly #offsets: Int32Array;
  readonly #lengths: Int32Array;
  #first = 0;
  #count = 0;
  /** Behind the newest packet. */
  #tail = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#offsets = new Int32Array(capacity);
    this.#lengths = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** Takes room for a packet of `length` bytes and returns its offset in `bytes`, where the caller writes it now; -1 if full. */
  reserve(length: number): number {
    if (this.#count === this.capacity) return -1;
    let offset = this.#roomFor(length);
    while (offset < 0) {
      this.#grow();
      offset = this.#roomFor(length);
    }
    const slot = (this.#first + this.#count++) % this.capacity;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#tail = aligned(offset + length);
    return offset;
  }

  /** Length of the oldest packet; 0 if there is none. */
  get nextLength(): number {
    return this.#count === 0 ? 0 : this.#lengths[this.#first]!;
  }

  /** Removes the oldest packet, copied to `offset` of `target`, and returns its length. Only while `count` is not 0. */
  shift(target: Uint8Array, offset: number): number {
    const start = this.#offsets[this.#first]!;
    const length = this.#lengths[this.#first]!;
    target.set(this.bytes.subarray(start, start + length), offset);
    this.drop();
    return length;
  }

  /** Removes the oldest packet. Only while `count` is not 0. */
  drop(): void {
    this.#first = (this.#first + 1) % this.capacity;
    this.#count--;
  }

  clear(): void {
    this.#count = 0;
  }

  /** An offset with enough room behind it, without growing; -1 if there is none. */
  #roomFor(length: number): number {
    if (this.#count === 0) return length <= this.bytes.length ? 0 : -1;
    const head = this.#offsets[this.#first]!;
    // Filled up to the very byte before the head, or around the end.
    if (this.#tail <= head) return this.#tail + length <= head ? this.#tail : -1;
    if (this.#tail + length <= this.bytes.length) return this.#tail;
    return length <= head ? 0 : -1;
  }

  #grow(): void {
    const larger = new Uint8Array(Math.max(INITIAL_SIZE, 2 * this.bytes.length));
    let at = 0;
    for (let i = 0; i < this.#count; i++) {
      const slot = (this.#first + i) % this.capacity;
      const start = this.#offsets[slot]!;
      const length = this.#lengths[slot]!;
      larger.set(this.bytes.subarray(start, start + length), at);
      this.#offsets[slot] = at;
      at = aligned(at + length);
    }
    this.bytes = larger;
    this.#tail = at;
  }
}

function aligned(offset: number): number {
  return (offset + 3) & ~3;
}
