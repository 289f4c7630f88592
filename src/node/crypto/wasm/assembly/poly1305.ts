/**
 * Poly1305 (RFC 8439 §2.5): the accumulator h takes in a block m as h = (h + m) · r mod 2¹³⁰ − 5. Numbers are five limbs of 26 bits, so
 * that the sums of products of limbs fit 64 bits. What passes 2¹³⁰ comes back times 5, hence the multiples 5 r1 … 5 r4.
 */

import { ACCUMULATOR, BLOCK, PAD, R, R2, TAG } from './memory';

const LIMB: u64 = 0x3ffffff;

/** Begins with the 32 bytes at `key`: r, clamped, and the pad. */
export function begin(key: usize): void {
  const low = load<u64>(key) & 0x0ffffffc0fffffff;
  const high = load<u64>(key, 8) & 0x0ffffffc0ffffffc;
  storeFactor(R, low & LIMB, (low >> 26) & LIMB, ((low >> 52) | (high << 12)) & LIMB, (high >> 14) & LIMB, high >> 40);
  memory.fill(ACCUMULATOR, 0, 40);
  v128.store(PAD, v128.load(key, 16));
}

/** r², for those who take in two blocks at once: h = (h + m₁) · r² + m₂ · r. */
export function square(): void {
  const r0 = load<u64>(R), r1 = load<u64>(R, 8), r2 = load<u64>(R, 16), r3 = load<u64>(R, 24), r4 = load<u64>(R, 32);
  const s1 = r1 * 5, s2 = r2 * 5, s3 = r3 * 5, s4 = r4 * 5;
  let d0 = r0 * r0 + 2 * (r1 * s4 + r2 * s3);
  let d1 = 2 * (r0 * r1 + r2 * s4) + r3 * s3;
  let d2 = 2 * (r0 * r2 + r3 * s4) + r1 * r1;
  let d3 = 2 * (r0 * r3 + r1 * r2) + r4 * s4;
  let d4 = 2 * (r0 * r4 + r1 * r3) + r2 * r2;
  d1 += d0 >> 26;
  d2 += d1 >> 26;
  d3 += d2 >> 26;
  d4 += d3 >> 26;
  d0 = (d0 & LIMB) + (d4 >> 26) * 5;
  storeFactor(R2, d0 & LIMB, (d1 & LIMB) + (d0 >> 26), d2 & LIMB, d3 & LIMB, d4 & LIMB);
}

function storeFactor(target: usize, r0: u64, r1: u64, r2: u64, r3: u64, r4: u64): void {
  store<u64>(target, r0);
  store<u64>(target, r1, 8);
  store<u64>(target, r2, 16);
  store<u64>(target, r3, 24);
  store<u64>(target, r4, 32);
  store<u64>(target, r1 * 5, 40);
  store<u64>(target, r2 * 5, 48);
  store<u64>(target, r3 * 5, 56);
  store<u64>(target, r4 * 5, 64);
}

/** Takes in `length` bytes at `bytes`, the last block padded with zeros (RFC 8439 §2.8). */
export function absorb(bytes: usize, length: i32): void {
  absorbBlocks(bytes, length >> 4);
  const left = length & 15;
  if (left == 0) return;
  v128.store(BLOCK, i64x2.splat(0));
  memory.copy(BLOCK, bytes + (length & ~15), left);
  absorbBlocks(BLOCK, 1);
}

/** Takes in the two lengths, the last block of all. */
export function absorbLengths(associated: i32, text: i32): void {
  store<u64>(BLOCK, associated);
  store<u64>(BLOCK, text, 8);
  absorbBlocks(BLOCK, 1);
}

function absorbBlocks(block: usize, count: i32): void {
  const r0 = load<u64>(R), r1 = load<u64>(R, 8), r2 = load<u64>(R, 16), r3 = load<u64>(R, 24), r4 = load<u64>(R, 32);
  const s1 = load<u64>(R, 40), s2 = load<u64>(R, 48), s3 = load<u64>(R, 56), s4 = load<u64>(R, 64);
  let h0 = load<u64>(ACCUMULATOR);
  let h1 = load<u64>(ACCUMULATOR, 8);
  let h2 = load<u64>(ACCUMULATOR, 16);
  let h3 = load<u64>(ACCUMULATOR, 24);
  let h4 = load<u64>(ACCUMULATOR, 32);
  for (; count > 0; count--, block += 16) {
    const low = load<u64>(block), high = load<u64>(block, 8);
    h0 += low & LIMB;
    h1 += (low >> 26) & LIMB;
    h2 += ((low >> 52) | (high << 12)) & LIMB;
    h3 += (high >> 14) & LIMB;
    h4 += (high >> 40) | (1 << 24);
    const d0 = h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1;
    let d1 = h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2;
    let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3;
    let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4;
    let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0;
    d1 += d0 >> 26;
    d2 += d1 >> 26;
    d3 += d2 >> 26;
    d4 += d3 >> 26;
    h0 = (d0 & LIMB) + (d4 >> 26) * 5;
    h1 = (d1 & LIMB) + (h0 >> 26);
    h0 &= LIMB;
    h2 = d2 & LIMB;
    h3 = d3 & LIMB;
    h4 = d4 & LIMB;
  }
  store<u64>(ACCUMULATOR, h0);
  store<u64>(ACCUMULATOR, h1, 8);
  store<u64>(ACCUMULATOR, h2, 16);
  store<u64>(ACCUMULATOR, h3, 24);
  store<u64>(ACCUMULATOR, h4, 32);
}

/** Writes the tag: h mod 2¹³⁰ − 5, plus the pad, mod 2¹²⁸. */
export function finish(): void {
  let h0 = load<u64>(ACCUMULATOR);
  let h1 = load<u64>(ACCUMULATOR, 8);
  let h2 = load<u64>(ACCUMULATOR, 16);
  let h3 = load<u64>(ACCUMULATOR, 24);
  let h4 = load<u64>(ACCUMULATOR, 32);
  h2 += h1 >> 26;
  h1 &= LIMB;
  h3 += h2 >> 26;
  h2 &= LIMB;
  h4 += h3 >> 26;
  h3 &= LIMB;
  h0 += (h4 >> 26) * 5;
  h4 &= LIMB;
  h1 += h0 >> 26;
  h0 &= LIMB;
  // g = h − (2¹³⁰ − 5), taken if it is not negative: by a mask, without a branch.
  let g0 = h0 + 5;
  let g1 = h1 + (g0 >> 26);
  let g2 = h2 + (g1 >> 26);
  let g3 = h3 + (g2 >> 26);
  const g4 = h4 + (g3 >> 26) - (1 << 26);
  const keep: u64 = <u64>(<i64>g4 >> 63);
  h0 = (h0 & keep) | (g0 & LIMB & ~keep);
  h1 = (h1 & keep) | (g1 & LIMB & ~keep);
  h2 = (h2 & keep) | (g2 & LIMB & ~keep);
  h3 = (h3 & keep) | (g3 & LIMB & ~keep);
  h4 = (h4 & keep) | (g4 & ~keep);
  const low = h0 | (h1 << 26) | (h2 << 52);
  const high = (h2 >> 12) | (h3 << 14) | (h4 << 40);
  const tag = low + load<u64>(PAD);
  store<u64>(TAG, tag);
  store<u64>(TAG, high + load<u64>(PAD, 8) + u64(tag < low), 8);
}
