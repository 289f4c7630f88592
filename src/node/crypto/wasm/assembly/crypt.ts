/**
 * The loop of the AEAD: ChaCha20 and Poly1305 interleaved. The one uses the vector units of a processor and the other its multiplier,
 * so Poly1305 hides behind ChaCha20 for the most part.
 */

import { add, put, rotate, rotate16, xor } from './chacha20';
import { ACCUMULATOR, FACTOR, NONCE_AT, STREAM } from './memory';
import { ABOVE_BLOCK, BELOW_2_130 } from './poly1305';

/** What is encrypted at once: four blocks. */
export const GROUP: i32 = 256;

/**
 * XORs the groups of `length` bytes at `text` with the key stream of `key`, from block `counter` on. Of the last group, if incomplete, the key
 * stream is left in STREAM, for the caller to use. With each double round Poly1305 takes in two blocks, from `absorbed` on: when
 * opening, all of the group in work, since it is then overwritten; when sealing, of the groups before. Returns how far Poly1305 has
 * come. Branches depend on lengths alone.
 */
export function crypt(key: usize, text: usize, length: i32, counter: u32, absorbed: usize, opening: bool): usize {
  const c0 = i32x4.splat(0x61707865), c1 = i32x4.splat(0x3320646e), c2 = i32x4.splat(0x79622d32), c3 = i32x4.splat(0x6b206574);
  const k0 = v128.load32_splat(key), k1 = v128.load32_splat(key, 4), k2 = v128.load32_splat(key, 8), k3 = v128.load32_splat(key, 12);
  const k4 = v128.load32_splat(key, 16), k5 = v128.load32_splat(key, 20), k6 = v128.load32_splat(key, 24), k7 = v128.load32_splat(key, 28);
  const n0 = v128.load32_splat(key, NONCE_AT), n1 = v128.load32_splat(key, NONCE_AT + 4), n2 = v128.load32_splat(key, NONCE_AT + 8);
  let block = add(i32x4.splat(counter), i32x4(0, 1, 2, 3));

  // As in poly1305.ts, and again for each block: AssemblyScript cannot inline what changes four variables.
  const r0: u64 = load<u32>(FACTOR), r1: u64 = load<u32>(FACTOR, 4), r2: u64 = load<u32>(FACTOR, 8), r3: u64 = load<u32>(FACTOR, 12);
  const t1: u64 = load<u32>(FACTOR, 20), t2: u64 = load<u32>(FACTOR, 24), t3: u64 = load<u32>(FACTOR, 28);
  let h0 = load<u64>(ACCUMULATOR);
  let h1 = load<u64>(ACCUMULATOR, 8);
  let h2 = load<u64>(ACCUMULATOR, 16);
  let h3 = load<u64>(ACCUMULATOR, 24);

  for (;;) {
    let x0 = c0, x1 = c1, x2 = c2, x3 = c3, x4 = k0, x5 = k1, x6 = k2, x7 = k3;
    let x8 = k4, x9 = k5, xa = k6, xb = k7, xc = block, xd = n0, xe = n1, xf = n2;
    // The end of the ciphertext that is there and not yet overwritten, in pairs of blocks.
    const absorbable = opening ? text + (min(length, GROUP) & ~31) : text;
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

      if (absorbed < absorbable) {
        h0 += load<u32>(absorbed);
        h1 += load<u32>(absorbed, 4);
        h2 += load<u32>(absorbed, 8);
        h3 += ABOVE_BLOCK + load<u32>(absorbed, 12);
        let d0 = h0 * r0 + h1 * t3 + h2 * t2 + h3 * t1;
        let d1 = h0 * r1 + h1 * r0 + h2 * t3 + h3 * t2 + (d0 >> 32);
        let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * t3 + (d1 >> 32);
        let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
        h0 = <u64>(<u32>d0) + (d3 >> 34) * 5;
        h1 = <u32>d1;
        h2 = <u32>d2;
        h3 = d3 & BELOW_2_130;

        h0 += load<u32>(absorbed, 16);
        h1 += load<u32>(absorbed, 20);
        h2 += load<u32>(absorbed, 24);
        h3 += ABOVE_BLOCK + load<u32>(absorbed, 28);
        d0 = h0 * r0 + h1 * t3 + h2 * t2 + h3 * t1;
        d1 = h0 * r1 + h1 * r0 + h2 * t3 + h3 * t2 + (d0 >> 32);
        d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * t3 + (d1 >> 32);
        d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + (d2 >> 32);
        h0 = <u64>(<u32>d0) + (d3 >> 34) * 5;
        h1 = <u32>d1;
        h2 = <u32>d2;
        h3 = d3 & BELOW_2_130;
        absorbed += 32;
      }
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
  return absorbed;
}
