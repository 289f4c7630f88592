/**
 * Poly1305 (RFC 8439 §2.5): the accumulator h takes in a block m as h = (h + m) · r mod 2¹³⁰ − 5.
 *
 * Numbers have four limbs of 32 bits, the last one of h 34. As r is clamped, its limbs are below 2²⁸, so that sums of products of limbs
 * fit 64 bits though those of h come to exceed theirs: h0, to which is added what was left above 2¹³⁰, to 2³⁴, h3 to 2³⁵, and the largest sum
 * to 0.97 · 2⁶⁴. A product that lies k limbs above 2¹²⁸ comes back k limbs from the bottom times 5/4, since 2¹³⁰ = 5: hence t = 5/4 r, which
 * is whole, as r1 to r3 are multiples of 4.
 */

import { add } from './chacha20';
import { ACCUMULATOR, BLOCK, FACTOR, PAD, TAG } from './memory';

/** Of the last limb: the bit above a block of 16 bytes (RFC 8439 §2.5), and what is below 2¹³⁰. */
export const ABOVE_BLOCK: u64 = 1 << 32;
export const BELOW_2_130: u64 = (1 << 34) - 1;

/** Begins with the 32 bytes at `key`. */
export function begin(key: usize): void {
  const r = v128.and(v128.load(key), i32x4(0x0fffffff, 0x0ffffffc, 0x0ffffffc, 0x0ffffffc));
  v128.store(FACTOR, r);
  v128.store(FACTOR, add(r, i32x4.shr_u(r, 2)), 16);
  v128.store(PAD, v128.load(key, 16));
  for (let limb: usize = 0; limb < 4; limb++) store<u64>(ACCUMULATOR + 8 * limb, 0);
}

/** Takes in `length` bytes at `bytes`, the last block padded with zeros (RFC 8439 §2.8). */
export function absorb(bytes: usize, length: i32): void {
  absorbBlocks(bytes, length >> 4);
  const left = length & 15;
  if (left == 0) return;
  v128.store(BLOCK, i64x2.splat(0));
  for (let i = 0; i < left; i++) store<u8>(BLOCK + i, load<u8>(bytes + (length & ~15) + i));
  absorbBlocks(BLOCK, 1);
}

/** Takes in the two lengths, the last block of all. */
export function absorbLengths(associated: i32, text: i32): void {
  store<u64>(BLOCK, associated);
  store<u64>(BLOCK, text, 8);
  absorbBlocks(BLOCK, 1);
}

function absorbBlocks(block: usize, count: i32): void {
  const r0: u64 = load<u32>(FACTOR), r1: u64 = load<u32>(FACTOR, 4), r2: u64 = load<u32>(FACTOR, 8), r3: u64 = load<u32>(FACTOR, 12);
  const t1: u64 = load<u32>(FACTOR, 20), t2: u64 = load<u32>(FACTOR, 24), t3: u64 = load<u32>(FACTOR, 28);
  let h0 = load<u64>(ACCUMULATOR);
  let h1 = load<u64>(ACCUMULATOR, 8);
  let h2 = load<u64>(ACCUMULATOR, 16);
  let h3 = load<u64>(ACCUMULATOR, 24);
  for (; count > 0; count--, block += 16) {
    h0 += load<u32>(block);
    h1 += load<u32>(block, 4);
    h2 += load<u32>(block, 8);
    h3 += ABOVE_BLOCK + load<u32>(block, 12);
    const d0 = h0 * r0 + h1 * t3 + h2 * t2 + h3 * t1;
    const d1 = h0 * r1 + h1 * r0 + h2 * t3 + h3 * t2 + (d0 >> 32);
    const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * t3 + (d1 >> 32);
    const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
    h0 = <u64>(<u32>d0) + (d3 >> 34) * 5;
    h1 = <u32>d1;
    h2 = <u32>d2;
    h3 = d3 & BELOW_2_130;
  }
  store<u64>(ACCUMULATOR, h0);
  store<u64>(ACCUMULATOR, h1, 8);
  store<u64>(ACCUMULATOR, h2, 16);
  store<u64>(ACCUMULATOR, h3, 24);
}

/** Writes the tag: h mod 2¹³⁰ − 5, plus the pad, mod 2¹²⁸. */
export function finish(): void {
  const h0 = load<u64>(ACCUMULATOR);
  const h1 = load<u64>(ACCUMULATOR, 8) + (h0 >> 32);
  const h2 = load<u64>(ACCUMULATOR, 16) + (h1 >> 32);
  const h3 = load<u64>(ACCUMULATOR, 24) + (h2 >> 32);
  const h4 = h3 >> 32;
  // h is below twice 2¹³⁰ − 5. If h + 5 reaches 2¹³⁰, it is the remainder: added as a number, without a branch.
  const g0 = <u64>(<u32>h0) + 5;
  const g1 = <u64>(<u32>h1) + (g0 >> 32);
  const g2 = <u64>(<u32>h2) + (g1 >> 32);
  const g3 = <u64>(<u32>h3) + (g2 >> 32);
  const five: u64 = 5 * ((h4 + (g3 >> 32)) >> 2);
  let sum = <u64>(<u32>h0) + five + load<u32>(PAD);
  store<u32>(TAG, <u32>sum);
  sum = <u64>(<u32>h1) + load<u32>(PAD, 4) + (sum >> 32);
  store<u32>(TAG, <u32>sum, 4);
  sum = <u64>(<u32>h2) + load<u32>(PAD, 8) + (sum >> 32);
  store<u32>(TAG, <u32>sum, 8);
  sum = <u64>(<u32>h3) + load<u32>(PAD, 12) + (sum >> 32);
  store<u32>(TAG, <u32>sum, 12);
}
