/**
 * ChaCha20 (RFC 8439 §2.3), four blocks side by side: word w of the state is a vector, whose lane i belongs to block i. These are the
 * pieces; the rounds themselves are in `crypt`, since AssemblyScript cannot inline what changes sixteen variables.
 */

// @ts-ignore: decorator
@inline
export function add(a: v128, b: v128): v128 {
  return i32x4.add(a, b);
}

// @ts-ignore: decorator
@inline
export function xor(a: v128, b: v128): v128 {
  return v128.xor(a, b);
}

// @ts-ignore: decorator
@inline
export function rotate16(a: v128): v128 {
  return i8x16.shuffle(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

/** By 8 as well: a shuffle of bytes takes 6 % longer, and `swizzle`, faster on Node 20 and 22, a quarter longer on 24. */
// @ts-ignore: decorator
@inline
export function rotate(a: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(a, bits), i32x4.shr_u(a, 32 - bits));
}

/**
 * Four words of four blocks, from lanes into the order of the stream: 16 bytes at `target` and 64, 128 and 192 bytes behind.
 * They are XORed with what is there, or replace it.
 */
// @ts-ignore: decorator
@inline
export function put(target: usize, a: v128, b: v128, c: v128, d: v128, replace: bool): void {
  const ab01 = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  const block0 = v128.shuffle<u64>(ab01, cd01, 0, 2);
  const block1 = v128.shuffle<u64>(ab01, cd01, 1, 3);
  const block2 = v128.shuffle<u64>(ab23, cd23, 0, 2);
  const block3 = v128.shuffle<u64>(ab23, cd23, 1, 3);
  v128.store(target, replace ? block0 : xor(block0, v128.load(target)));
  v128.store(target, replace ? block1 : xor(block1, v128.load(target, 64)), 64);
  v128.store(target, replace ? block2 : xor(block2, v128.load(target, 128)), 128);
  v128.store(target, replace ? block3 : xor(block3, v128.load(target, 192)), 192);
}

/** XORs `length` bytes at `text` with those at `stream`. */
export function xorBytes(text: usize, stream: usize, length: i32): void {
  for (; length >= 16; length -= 16, text += 16, stream += 16) v128.store(text, xor(v128.load(text), v128.load(stream)));
  for (; length > 0; length--, text++, stream++) store<u8>(text, load<u8>(text) ^ load<u8>(stream));
}
