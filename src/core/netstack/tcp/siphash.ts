/**
 * HalfSipHash-2-4 (Aumasson and Bernstein), the 32-bit member of the SipHash family, over whole 32-bit words: a keyed function of an
 * address pair that an outsider cannot predict, for initial sequence numbers and timestamp offsets (RFC 6528 §3, RFC 7323 §5.4).
 */

export interface SipKey {
  readonly k0: number;
  readonly k1: number;
}

let v0 = 0;
let v1 = 0;
let v2 = 0;
let v3 = 0;

/** The 32-bit hash of `count` words, taken as the little-endian message of 4 × `count` bytes. Signed. */
export function halfSipHash(key: SipKey, words: Int32Array, count: number): number {
  v0 = key.k0 | 0;
  v1 = key.k1 | 0;
  v2 = 0x6c796765 ^ key.k0;
  v3 = 0x74656462 ^ key.k1;
  for (let i = 0; i < count; i++) compress(words[i]!);
  compress((count * 4) << 24);
  v2 ^= 0xff;
  for (let i = 0; i < 4; i++) round();
  return v1 ^ v3;
}

function compress(word: number): void {
  v3 ^= word;
  round();
  round();
  v0 ^= word;
}

function round(): void {
  v0 = (v0 + v1) | 0;
  v1 = rotate(v1, 5) ^ v0;
  v0 = rotate(v0, 16);
  v2 = (v2 + v3) | 0;
  v3 = rotate(v3, 8) ^ v2;
  v0 = (v0 + v3) | 0;
  v3 = rotate(v3, 7) ^ v0;
  v2 = (v2 + v1) | 0;
  v1 = rotate(v1, 13) ^ v2;
  v2 = rotate(v2, 16);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
