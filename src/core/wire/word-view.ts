/**
 * Memory as 32-bit words in the byte order of the host: headers are read and written in a quarter of the accesses, sums are faster by
 * more. Views are kept for the memory that packets come and go in, the receive and the transmit slab of a burst; they are found by the
 * byte view, since reading `.buffer` costs more than reading a header. At most two slabs are kept alive by it.
 */

/** As `sum` of checksum.ts, of the bytes from `address` of one memory; the result is at most 0xffff. */
export type MemorySum = (address: number, length: number) => number;

export interface WordView {
  bytes: Uint8Array;
  /** Where `bytes` begins in its memory. */
  base: number;
  /** All of the memory, save a last incomplete word. */
  words: Int32Array;
  /** What sums this memory faster than we could. */
  sum: MemorySum | undefined;
}

export const LITTLE_ENDIAN: boolean = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

let hot: WordView = { bytes: new Uint8Array(0), base: 0, words: new Int32Array(0), sum: undefined };
let warm: WordView = { bytes: new Uint8Array(0), base: 0, words: new Int32Array(0), sum: undefined };

const sums = new WeakMap<ArrayBufferLike, MemorySum>();

/** What lies in `memory`, that of a WebAssembly instance say, is summed by `memorySum` from now on. */
export function sumMemoryWith(memory: ArrayBufferLike, memorySum: MemorySum): void {
  sums.set(memory, memorySum);
}

/** The view of the memory that `bytes` lies in. Another call may make it that of others: as long as it has these `bytes`, it is theirs. */
export function wordView(bytes: Uint8Array): WordView {
  return hot.bytes === bytes ? hot : select(bytes);
}

function select(bytes: Uint8Array): WordView {
  const entry = warm;
  warm = hot;
  hot = entry;
  if (entry.bytes === bytes) return entry;
  entry.bytes = bytes;
  entry.base = bytes.byteOffset;
  entry.words = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >>> 2);
  entry.sum = sums.get(bytes.buffer);
  return entry;
}
