/**
 * Where everything of the AEAD lies in the instance's memory. There is one of each, so an instance handles one packet at a time:
 * a thread has an instance of its own.
 */

/** The key, 32 bytes, and the nonce, 12. */
export const KEY: usize = memory.data(32, 16);
export const NONCE: usize = memory.data(16, 16);

/** Key stream of four blocks. Of the first four of a packet, the first is the key of Poly1305 (RFC 8439 §2.6). */
export const STREAM: usize = memory.data(256, 16);

/** Poly1305's factor r, clamped, and 5/4 r, as four words each; and what is added at the end, s of RFC 8439 §2.5. */
export const FACTOR: usize = memory.data(32, 16);
export const PAD: usize = memory.data(16, 16);
/** Its accumulator: four limbs in words of 64 bits. */
export const ACCUMULATOR: usize = memory.data(32, 16);

/** A last, incomplete block, and the lengths. */
export const BLOCK: usize = memory.data(16, 16);
export const TAG: usize = memory.data(16, 16);
