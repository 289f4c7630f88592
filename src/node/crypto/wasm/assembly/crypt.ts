/**
 * The loop of the AEAD: ChaCha20 and Poly1305 interleaved. The one uses the vector units of a processor and the other its multiplier,
 * so together they take little longer than ChaCha20 alone.
 */

import { add, put, rotate, rotate16, xor } from './chacha20';
import { ACCUMULATOR, KEY, NONCE, R, R2, STREAM } from './memory';

/** What is encrypted at once: four blocks. */
export const GROUP: i32 = 256;
const LIMB: u64 = 0x3ffffff;

/**
 * XORs the groups of `length` bytes at `text` with the key stream, from block `counter` on. Of the last group, if incomplete, the key
 * stream is left in STREAM, for the caller to use. With each double round Poly1305 takes in two blocks, from `absorbed` on, as long
 * as there is ciphertext: when opening, up to the end of the group in work, and all of it, since it is then overwritten; when
 * sealing, up to its beginning. Returns how far Poly1305 has come. Branches depend on lengths alone.
 */
export function crypt(text: usize, length: i32, counter: u32, absorbed: usize, opening: bool): usize {
  const c0 = i32x4.splat(0x61707865), c1 = i32x4.splat(0x3320646e), c2 = i32x4.splat(0x79622d32), c3 = i32x4.splat(0x6b206574);
  const k0 = v128.load32_splat(KEY), k1 = v128.load32_splat(KEY, 4), k2 = v128.load32_splat(KEY, 8), k3 = v128.load32_splat(KEY, 12);
  const k4 = v128.load32_splat(KEY, 16), k5 = v128.load32_splat(KEY, 20), k6 = v128.load32_splat(KEY, 24), k7 = v128.load32_splat(KEY, 28);
  const n0 = v128.load32_splat(NONCE), n1 = v128.load32_splat(NONCE, 4), n2 = v128.load32_splat(NONCE, 8);
  let block = add(i32x4.splat(counter), i32x4(0, 1, 2, 3));

  // Factors and accumulator as in poly1305.ts; q and t are r² as r and s are r.
  const r0 = load<u64>(R), r1 = load<u64>(R, 8), r2 = load<u64>(R, 16), r3 = load<u64>(R, 24), r4 = load<u64>(R, 32);
  const s1 = load<u64>(R, 40), s2 = load<u64>(R, 48), s3 = load<u64>(R, 56), s4 = load<u64>(R, 64);
  const q0 = load<u64>(R2), q1 = load<u64>(R2, 8), q2 = load<u64>(R2, 16), q3 = load<u64>(R2, 24), q4 = load<u64>(R2, 32);
  const t1 = load<u64>(R2, 40), t2 = load<u64>(R2, 48), t3 = load<u64>(R2, 56), t4 = load<u64>(R2, 64);
  let h0 = load<u64>(ACCUMULATOR);
  let h1 = load<u64>(ACCUMULATOR, 8);
  let h2 = load<u64>(ACCUMULATOR, 16);
  let h3 = load<u64>(ACCUMULATOR, 24);
  let h4 = load<u64>(ACCUMULATOR, 32);

  for (;;) {
    let x0 = c0, x1 = c1, x2 = c2, x3 = c3, x4 = k0, x5 = k1, x6 = k2, x7 = k3;
    let x8 = k4, x9 = k5, xa = k6, xb = k7, xc = block, xd = n0, xe = n1, xf = n2;
    const absorbable = opening ? text + min(length, GROUP) : text;
    for (let i = 0; i < 10; i++) {
      // Four quarter rounds on the columns, line by line.
      x0 = add(x0, x4); x1 = add(x1, x5); x2 = add(x2, x6); x3 = add(x3, x7);
      xc = rotate16(xor(xc, x0)); xd = rotate16(xor(xd, x1)); xe = rotate16(xor(xe, x2)); xf = rotate16(xor(xf, x3));
      x8 = add(x8, xc); x9 = add(x9, xd); xa = add(xa, xe); xb = add(xb, xf);
      x4 = rotate(xor(x4, x8), 12); x5 = rotate(xor(x5, x9), 12); x6 = rotate(xor(x6, xa), 12); x7 = rotate(xor(x7, xb), 12);
      x0 = add(x0, x4); x1 = add(x1, x5); x2 = add(x2, x6); x3 = add(x3, x7);
      xc = rotate(xor(xc, x0), 8); xd = rotate(xor(xd, x1), 8); xe = rotate(xor(xe, x2), 8); xf = rotate(xor(xf, x3), 8);
      x8 = add(x8, xc); x9 = add(x9, xd); xa = add(xa, xe); xb = add(xb, xf);
      x4 = rotate(xor(x4, x8), 7); x5 = rotate(xor(x5, x9), 7); x6 = rotate(xor(x6, xa), 7); x7 = rotate(xor(x7, xb), 7);
      // Four on the diagonals.
      x0 = add(x0, x5); x1 = add(x1, x6); x2 = add(x2, x7); x3 = add(x3, x4);
      xf = rotate16(xor(xf, x0)); xc = rotate16(xor(xc, x1)); xd = rotate16(xor(xd, x2)); xe = rotate16(xor(xe, x3));
      xa = add(xa, xf); xb = add(xb, xc); x8 = add(x8, xd); x9 = add(x9, xe);
      x5 = rotate(xor(x5, xa), 12); x6 = rotate(xor(x6, xb), 12); x7 = rotate(xor(x7, x8), 12); x4 = rotate(xor(x4, x9), 12);
      x0 = add(x0, x5); x1 = add(x1, x6); x2 = add(x2, x7); x3 = add(x3, x4);
      xf = rotate(xor(xf, x0), 8); xc = rotate(xor(xc, x1), 8); xd = rotate(xor(xd, x2), 8); xe = rotate(xor(xe, x3), 8);
      xa = add(xa, xf); xb = add(xb, xc); x8 = add(x8, xd); x9 = add(x9, xe);
      x5 = rotate(xor(x5, xa), 7); x6 = rotate(xor(x6, xb), 7); x7 = rotate(xor(x7, x8), 7); x4 = rotate(xor(x4, x9), 7);

      if (absorbed + 32 > absorbable) continue;
      // h = (h + first block) · r² + second block · r
      let low = load<u64>(absorbed), high = load<u64>(absorbed, 8);
      h0 += low & LIMB;
      h1 += (low >> 26) & LIMB;
      h2 += ((low >> 52) | (high << 12)) & LIMB;
      h3 += (high >> 14) & LIMB;
      h4 += (high >> 40) | (1 << 24);
      let d0 = h0 * q0 + h1 * t4 + h2 * t3 + h3 * t2 + h4 * t1;
      let d1 = h0 * q1 + h1 * q0 + h2 * t4 + h3 * t3 + h4 * t2;
      let d2 = h0 * q2 + h1 * q1 + h2 * q0 + h3 * t4 + h4 * t3;
      let d3 = h0 * q3 + h1 * q2 + h2 * q1 + h3 * q0 + h4 * t4;
      let d4 = h0 * q4 + h1 * q3 + h2 * q2 + h3 * q1 + h4 * q0;
      low = load<u64>(absorbed, 16), high = load<u64>(absorbed, 24);
      const m0 = low & LIMB;
      const m1 = (low >> 26) & LIMB;
      const m2 = ((low >> 52) | (high << 12)) & LIMB;
      const m3 = (high >> 14) & LIMB;
      const m4 = (high >> 40) | (1 << 24);
      d0 += m0 * r0 + m1 * s4 + m2 * s3 + m3 * s2 + m4 * s1;
      d1 += m0 * r1 + m1 * r0 + m2 * s4 + m3 * s3 + m4 * s2;
      d2 += m0 * r2 + m1 * r1 + m2 * r0 + m3 * s4 + m4 * s3;
      d3 += m0 * r3 + m1 * r2 + m2 * r1 + m3 * r0 + m4 * s4;
      d4 += m0 * r4 + m1 * r3 + m2 * r2 + m3 * r1 + m4 * r0;
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
      absorbed += 32;
    }

    if (length < GROUP) {
      put(STREAM, add(x0, c0), add(x1, c1), add(x2, c2), add(x3, c3), true);
      put(STREAM + 16, add(x4, k0), add(x5, k1), add(x6, k2), add(x7, k3), true);
      put(STREAM + 32, add(x8, k4), add(x9, k5), add(xa, k6), add(xb, k7), true);
      put(STREAM + 48, add(xc, block), add(xd, n0), add(xe, n1), add(xf, n2), true);
      break;
    }
    put(text, add(x0, c0), add(x1, c1), add(x2, c2), add(x3, c3), false);
    put(text + 16, add(x4, k0), add(x5, k1), add(x6, k2), add(x7, k3), false);
    put(text + 32, add(x8, k4), add(x9, k5), add(xa, k6), add(xb, k7), false);
    put(text + 48, add(xc, block), add(xd, n0), add(xe, n1), add(xf, n2), false);
    text += GROUP;
    length -= GROUP;
    if (length == 0) break;
    block = add(block, i32x4.splat(4));
  }
  store<u64>(ACCUMULATOR, h0);
  store<u64>(ACCUMULATOR, h1, 8);
  store<u64>(ACCUMULATOR, h2, 16);
  store<u64>(ACCUMULATOR, h3, 24);
  store<u64>(ACCUMULATOR, h4, 32);
  return absorbed;
}
