/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8) in place, for the key and the nonce that lie at SEALING or OPENING. Built by scripts/wasm.mjs.
 *
 * The first four blocks of the key stream are made at once: one is the key of Poly1305, three are for the first 192 bytes. A packet of at
 * most 64 bytes, an acknowledgement, needs but two, and these cost less.
 */

import { xorBytes } from './chacha20';
import { sum } from './checksum';
import { crypt, GROUP } from './crypt';
import { OPENING, SEALING, STREAM, TAG } from './memory';
import { PAIR_TEXT, pair } from './pair';
import { absorb, absorbLengths, begin, finish } from './poly1305';

export { OPENING, SEALING, sum };
/** Where the embedder may put packets and slabs: from here on, the memory is its own. */
export const FREE: usize = __heap_base;

const FIRST: i32 = 192;
const FIRST_STREAM: usize = STREAM + 64;

/** Encrypts `length` bytes at `text` and writes the tag behind them. */
export function seal(text: usize, length: i32, associated: usize, associatedLength: i32): void {
  start(SEALING, length, associated, associatedLength);
  const first = min(length, FIRST);
  xorBytes(text, FIRST_STREAM, first);
  const end = text + length;
  let absorbed = text;
  if (length > FIRST) {
    absorbed = crypt(SEALING, text + FIRST, length - FIRST, 4, text, false);
    const left = (length - FIRST) & (GROUP - 1);
    xorBytes(end - left, STREAM, left);
  }
  absorb(absorbed, <i32>(end - absorbed));
  absorbLengths(associatedLength, length);
  finish();
  v128.store(end, v128.load(TAG));
}

/** Decrypts `length` bytes at `text`, behind which lies the tag. False if the tag is wrong: then the bytes are undefined. */
export function open(text: usize, length: i32, associated: usize, associatedLength: i32): bool {
  start(OPENING, length, associated, associatedLength);
  const end = text + length;
  let absorbed = text;
  let left = length;
  let stream = FIRST_STREAM;
  if (length > FIRST) {
    absorb(text, FIRST);
    xorBytes(text, FIRST_STREAM, FIRST);
    absorbed = crypt(OPENING, text + FIRST, length - FIRST, 4, text + FIRST, true);
    left = (length - FIRST) & (GROUP - 1);
    stream = STREAM;
  }
  absorb(absorbed, <i32>(end - absorbed));
  xorBytes(end - left, stream, left);
  absorbLengths(associatedLength, length);
  finish();
  // All sixteen bytes are compared, whatever they are.
  return !v128.any_true(v128.xor(v128.load(TAG), v128.load(end)));
}

/** Makes the first four blocks of the key stream, or the two that are enough, and begins Poly1305 with the associated data. */
function start(key: usize, length: i32, associated: usize, associatedLength: i32): void {
  if (length <= PAIR_TEXT) pair(key);
  else crypt(key, 0, 0, 0, 0, false);
  begin(STREAM);
  absorb(associated, associatedLength);
}
