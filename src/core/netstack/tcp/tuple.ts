/**
 * Who a connection is between: addresses and ports as 32-bit words, and an open-addressed table keyed by them. Lookups read the
 * packet's own bytes; nothing is allocated per packet. The hash is seeded, so that nobody outside can aim at one bucket.
 */

/** Family, ports, local address (4 words), remote address (4 words). IPv4 uses the first word of each. */
export const TUPLE_WORDS = 10;

const INITIAL_CAPACITY = 16;
const EMPTY = -1;

/** Fills `tuple` from addresses that lie in `bytes` (or in two arrays of their own). */
export function setTuple(
  tuple: Int32Array,
  family: 4 | 6,
  localPort: number,
  remotePort: number,
  local: Uint8Array,
  localOffset: number,
  remote: Uint8Array,
  remoteOffset: number,
): void {
  tuple[0] = family;
  tuple[1] = (localPort << 16) | remotePort;
  const words = family === 4 ? 1 : 4;
  for (let i = 0; i < words; i++) {
    tuple[2 + i] = word(local, localOffset + 4 * i);
    tuple[6 + i] = word(remote, remoteOffset + 4 * i);
  }
  if (family === 4) {
    tuple[3] = tuple[4] = tuple[5] = 0;
    tuple[7] = tuple[8] = tuple[9] = 0;
  }
}

/** Maps tuples to small non-negative integers: indexes into a table of the owner's. */
export class TupleTable {
  size = 0;
  readonly #seed: number;
  #mask = INITIAL_CAPACITY - 1;
  #keys: Int32Array = new Int32Array(INITIAL_CAPACITY * TUPLE_WORDS);
  #values: Int32Array = new Int32Array(INITIAL_CAPACITY).fill(EMPTY);

  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  /** The value stored for `tuple`, or -1. */
  get(tuple: Int32Array): number {
    return this.#values[this.#place(tuple)]!;
  }

  /** As `get`, for a tuple of IPv4 that is not written out: its words as `setTuple` makes them. */
  getV4(ports: number, local: number, remote: number): number {
    const keys = this.#keys;
    let place = scramble(mix(mix(mix(this.#seed, ports), local), remote)) & this.#mask;
    for (;;) {
      const value = this.#values[place]!;
      const at = place * TUPLE_WORDS;
      if (
        value === EMPTY ||
        (keys[at + 1] === ports && keys[at + 6] === remote && keys[at + 2] === local && keys[at] === 4)
      )
        return value;
      place = (place + 1) & this.#mask;
    }
  }

  /** Stores a value for a tuple that is not in the table. */
  set(tuple: Int32Array, value: number): void {
    if (2 * (this.size + 1) > this.#mask + 1) this.#grow();
    const place = this.#place(tuple);
    this.#keys.set(tuple, place * TUPLE_WORDS);
    this.#values[place] = value;
    this.size++;
  }

  delete(tuple: Int32Array): void {
    let hole = this.#place(tuple);
    if (this.#values[hole] === EMPTY) return;
    this.size--;
    // What follows moves back over the hole unless it stands before its own place (Knuth 6.4 algorithm R): no tombstones.
    for (let at = (hole + 1) & this.#mask; this.#values[at] !== EMPTY; at = (at + 1) & this.#mask) {
      const home = hash(this.#keys, at * TUPLE_WORDS, this.#seed) & this.#mask;
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      this.#keys.copyWithin(hole * TUPLE_WORDS, at * TUPLE_WORDS, (at + 1) * TUPLE_WORDS);
      this.#values[hole] = this.#values[at]!;
      hole = at;
    }
    this.#values[hole] = EMPTY;
  }

  clear(): void {
    this.size = 0;
    this.#mask = INITIAL_CAPACITY - 1;
    this.#keys = new Int32Array(INITIAL_CAPACITY * TUPLE_WORDS);
    this.#values = new Int32Array(INITIAL_CAPACITY).fill(EMPTY);
  }

  /** Where `tuple` stands, or the empty place where it would. */
  #place(tuple: Int32Array): number {
    let place = hash(tuple, 0, this.#seed) & this.#mask;
    while (this.#values[place] !== EMPTY && !same(this.#keys, place * TUPLE_WORDS, tuple))
      place = (place + 1) & this.#mask;
    return place;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const capacity = 2 * (this.#mask + 1);
    this.#mask = capacity - 1;
    this.#keys = new Int32Array(capacity * TUPLE_WORDS);
    this.#values = new Int32Array(capacity).fill(EMPTY);
    for (let i = 0; i < values.length; i++) {
      if (values[i] === EMPTY) continue;
      const tuple = keys.subarray(i * TUPLE_WORDS, (i + 1) * TUPLE_WORDS);
      const place = this.#place(tuple);
      this.#keys.set(tuple, place * TUPLE_WORDS);
      this.#values[place] = values[i]!;
    }
  }
}

/** The mixing of MurmurHash3, over as many words as the family uses. */
function hash(words: Int32Array, at: number, seed: number): number {
  let h = mix(mix(mix(seed, words[at + 1]!), words[at + 2]!), words[at + 6]!);
  if (words[at] === 6) for (let i = 1; i < 4; i++) h = mix(mix(h, words[at + 2 + i]!), words[at + 6 + i]!);
  return scramble(h);
}

function scramble(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function mix(h: number, k: number): number {
  k = Math.imul(k, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  h ^= Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

function same(keys: Int32Array, at: number, tuple: Int32Array): boolean {
  if (keys[at + 1] !== tuple[1] || keys[at + 6] !== tuple[6] || keys[at + 2] !== tuple[2] || keys[at] !== tuple[0])
    return false;
  if (tuple[0] === 4) return true;
  for (let i = 3; i < TUPLE_WORDS; i++) if (keys[at + i] !== tuple[i]) return false;
  return true;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
