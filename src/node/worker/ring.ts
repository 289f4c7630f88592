/**
 * A ring of entries in shared memory, from one thread to one other. Nothing waits in it: what does not fit is refused, and the reader
 * tells the writer when there is room again.
 *
 * An entry is a header of 16 bytes (kind and padding, value, number) and, for kinds that have bytes, `value` bytes. Their place is
 * aligned as the memory that they come from, since copies to and from shared memory are four times slower otherwise. `head` and `tail`
 * count bytes without end, modulo 2^32. What the writer stores before it moves `tail`, the reader sees behind it.
 */

/** Words of the control block. */
const HEAD = 0;
const TAIL = 1;
/** 1 while the writer waits for room. */
const STARVED = 2;
const CONTROL_BYTES = 64;

const HEADER_BYTES = 16;
/** The rest of the ring up to its end is not used. */
const SKIP = 0;
/** Kinds from here on have bytes. */
export const FIRST_WITH_BYTES = 64;

/** Room for `bytes`, a power of two. */
export function createRing(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + bytes);
}

/** Both sides' view of the memory. */
class Ring {
  readonly control: Int32Array;
  readonly words: Int32Array;
  readonly numbers: Float64Array;
  readonly bytes: Uint8Array;
  readonly mask: number;

  constructor(memory: SharedArrayBuffer) {
    const size = memory.byteLength - CONTROL_BYTES;
    this.control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.words = new Int32Array(memory, CONTROL_BYTES, size / 4);
    this.numbers = new Float64Array(memory, CONTROL_BYTES, size / 8);
    this.bytes = new Uint8Array(memory, CONTROL_BYTES, size);
    this.mask = size - 1;
  }
}

export class RingWriter {
  readonly #ring: Ring;
  /** The entries that `publish` has yet to show end here. */
  #tail = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
  }

  /** The longest `bytes` that an empty ring is sure to take. */
  get longest(): number {
    return (this.#ring.mask + 1) / 2 - 3 * HEADER_BYTES;
  }

  /** Adds one entry of a kind without bytes. False if there is no room. */
  write(kind: number, number: number, value: number): boolean {
    const at = this.#reserve(HEADER_BYTES);
    if (at < 0) return false;
    this.#writeHeader(at, kind, number, value);
    return true;
  }

  /** Adds one entry with these bytes, at most `longest`. False if there is no room. */
  writeBytes(kind: number, number: number, bytes: Uint8Array): boolean {
    const padding = bytes.byteOffset & 7;
    const at = this.#reserve(entryLength(padding + bytes.length));
    if (at < 0) return false;
    this.#writeHeader(at, kind | (padding << 8), number, bytes.length);
    this.#ring.bytes.set(bytes, at + HEADER_BYTES + padding);
    return true;
  }

  /** Shows the reader everything written so far. False if it was shown before. */
  publish(): boolean {
    const { control } = this.#ring;
    if (Atomics.load(control, TAIL) === this.#tail) return false;
    Atomics.store(control, TAIL, this.#tail);
    return true;
  }

  /** Whether the reader has taken everything that was published. */
  get empty(): boolean {
    const { control } = this.#ring;
    return Atomics.load(control, HEAD) === Atomics.load(control, TAIL);
  }

  /** Asks to be told of room. Try again after: it may have come just before. */
  starve(): void {
    Atomics.store(this.#ring.control, STARVED, 1);
  }

  /** The place of an entry of this length, or -1. */
  #reserve(length: number): number {
    const { control, mask, words } = this.#ring;
    const at = this.#tail & mask;
    const rest = mask + 1 - at;
    const skipped = length > rest ? rest : 0;
    const used = (this.#tail - Atomics.load(control, HEAD)) | 0;
    if (used + skipped + length > mask + 1) return -1;
    if (skipped > 0) words[at >> 2] = SKIP;
    this.#tail = (this.#tail + skipped + length) | 0;
    return skipped > 0 ? 0 : at;
  }

  #writeHeader(at: number, kind: number, number: number, value: number): void {
    const { words, numbers } = this.#ring;
    words[at >> 2] = kind;
    words[(at >> 2) + 1] = value;
    numbers[(at >> 3) + 1] = number;
  }
}

export class RingReader {
  /** Of the entry that `next` came to. */
  kind = 0;
  number = 0;
  value = 0;
  readonly #ring: Ring;
  #at = 0;
  #head = 0;
  /** Where the entry ends. */
  #end = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new Ring(memory);
  }

  /** Up to here entries can be read now. */
  get tail(): number {
    return Atomics.load(this.#ring.control, TAIL);
  }

  get empty(): boolean {
    return this.#end === this.tail;
  }

  /** Goes to the next entry before `tail`; false if there is none. The entry before is done with: its memory may be overwritten. */
  next(tail: number): boolean {
    const { control, words, numbers, mask } = this.#ring;
    if (this.#end !== this.#head) {
      this.#head = this.#end;
      Atomics.store(control, HEAD, this.#head);
    }
    if (this.#head === tail) return false;
    let at = this.#head & mask;
    if (words[at >> 2] === SKIP) {
      this.#head = (this.#head + mask + 1 - at) | 0;
      at = 0;
    }
    const tag = words[at >> 2]!;
    this.kind = tag & 0xff;
    this.value = words[(at >> 2) + 1]!;
    this.number = numbers[(at >> 3) + 1]!;
    const padding = tag >> 8;
    this.#at = at + HEADER_BYTES + padding;
    const length = this.kind < FIRST_WITH_BYTES ? HEADER_BYTES : entryLength(padding + this.value);
    this.#end = (this.#head + length) | 0;
    return true;
  }

  /** The entry's bytes where they are, until `next`. */
  view(): Uint8Array {
    return this.#ring.bytes.subarray(this.#at, this.#at + this.value);
  }

  /** The entry's bytes in memory of the caller's own. */
  copy(): Buffer {
    const padding = this.#at & 7;
    const memory = Buffer.allocUnsafeSlow(padding + this.value);
    const bytes = padding === 0 ? memory : memory.subarray(padding);
    bytes.set(this.view());
    return bytes;
  }

  /** True once after the writer has found no room: it is to be told that there is some now. */
  takeStarved(): boolean {
    return Atomics.exchange(this.#ring.control, STARVED, 0) === 1;
  }
}

/** Entries are multiples of the header, so that a header always fits before the end of the ring. */
function entryLength(length: number): number {
  return HEADER_BYTES + ((length + HEADER_BYTES - 1) & -HEADER_BYTES);
}
