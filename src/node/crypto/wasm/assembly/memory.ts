/**
 * Where everything of the AEAD lies in the instance's memory. There is one of each, so an instance handles one packet at a time:
 * a thread has an instance of its own.
 */

/** The key, 32 bytes, and the nonce, 12. */
export const KEY: usize = memory.data(32, 16);
export const NONCE: usize = memory.data(16, 16);

/** Key stream of four blocks. Of the first four of a packet, the first is the key of Poly1305 (RFC 8439 §2.6). */
export const STREAM: usize = memory.data(256, 16);

/** Limbs of 26 bits, in 64-bit words, least significant first: r, r² and the accumulator. r and r² have 5 r1 … 5 r4 behind them. */
export const R: usize = memory.data(72, 16);
export const R2: usize = memory.data(72, 16);
export const ACCUMULATOR: usize = memory.data(40, 16);
/** The second half of the key of Poly1305, which is added at the end. */
export const PAD: usize = memory.data(16, 16);

/** A last, incomplete block, and the lengths. */
export const BLOCK: usize = memory.data(16, 16);
export const TAG: usize = memory.data(16, 16);
