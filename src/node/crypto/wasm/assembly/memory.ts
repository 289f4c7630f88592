/**
 * Where everything of the AEAD lies in the instance's memory. There is one of each, so an instance handles one packet at a time:
 * a thread has an instance of its own.
 */

/** A key of 32 bytes, and its nonce, of 12, behind it: two of them, since in small bursts one is used to open and the other to seal. */
export const SEALING: usize = memory.data(48, 16);
export const OPENING: usize = memory.data(48, 16);
export const NONCE_AT: usize = 32;

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
