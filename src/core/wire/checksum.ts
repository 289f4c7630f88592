/**
 * The Internet checksum (RFC 1071), over bytes that stay where they are.
 *
 * A *partial sum* is a non-negative integer below 2^31 whose value modulo 0xffff counts; partial sums may be added to each
 * other. `checksum` folds one to 16 bits and complements it. A part of odd length counts as padded with a zero byte, so only
 * the last part of a sum may be odd.
 */

import { LITTLE_ENDIAN, wordView } from './word-view.ts';

const SHORT = 48;

/** Adds `length` bytes from `offset` to the partial sum `initial`; the result is at most 0xffff. The range must lie inside `bytes`. */
export function sum(bytes: Uint8Array, offset: number, length: number, initial: number = 0): number {
  return length < SHORT ? sumBytes(bytes, offset, length, initial) : sumWords(bytes, offset, length, initial);
}

/** The 16-bit ones-complement value of a partial sum. */
export function fold(partial: number): number {
  partial = (partial & 0xffff) + (partial >>> 16);
  return (partial & 0xffff) + (partial >>> 16);
}

/** The checksum field for a partial sum taken with the field as zero; 0 for one taken over a correct checksum. */
export function checksum(partial: number): number {
  return ~fold(partial) & 0xffff;
}

/**
 * Partial sum of the pseudo header of TCP, UDP (RFC 768, 9293 §3.1) and of everything over IPv6 (RFC 8200 §8.1). The addresses
 * have `addressLength` (4 or 16) bytes each; `length` is that of the transport header and its data.
 */
export function pseudoHeaderSum(
  source: Uint8Array,
  sourceOffset: number,
  destination: Uint8Array,
  destinationOffset: number,
  addressLength: number,
  protocol: number,
  length: number,
): number {
  const addresses = sum(destination, destinationOffset, addressLength, sum(source, sourceOffset, addressLength));
  return addresses + protocol + (length & 0xffff) + (length >>> 16);
}

/**
 * The checksum field after part of what it covers changed (RFC 1624 §3, eqn. 3). `before` and `after` are partial sums of that
 * part. Of use where a whole packet is not summed again, such as address translation.
 */
export function updateChecksum(field: number, before: number, after: number): number {
  return checksum((~field & 0xffff) + (~fold(before) & 0xffff) + fold(after));
}

function sumBytes(bytes: Uint8Array, offset: number, length: number, initial: number): number {
  const end = offset + (length & ~1);
  let total = initial;
  for (let at = offset; at < end; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!;
  if (length & 1) total += bytes[end]! << 8;
  return fold(total);
}

/**
 * Words are summed in the byte order of the host, whole words being cut into halves so that a packet cannot overflow 31 bits, and
 * the result is swapped once (RFC 1071 §2 (B)). Words that start at an odd distance from `offset` are swapped already.
 */
function sumWords(bytes: Uint8Array, offset: number, length: number, initial: number): number {
  const view = wordView(bytes);
  if (view.sum !== undefined) return fold(view.sum(view.base + offset, length) + initial);
  const { words, base } = view;
  const lead = -(base + offset) & 3;
  let word = (base + offset + lead) >>> 2;
  const count = (length - lead) >>> 2;
  const end = word + count;
  let total = 0;
  for (const unrolled = end - 3; word < unrolled; word += 4) {
    const a = words[word]!;
    const b = words[word + 1]!;
    const c = words[word + 2]!;
    const d = words[word + 3]!;
    total +=
      (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) + (c & 0xffff) + (c >>> 16) + (d & 0xffff) + (d >>> 16);
  }
  for (; word < end; word++) total += (words[word]! & 0xffff) + (words[word]! >>> 16);
  total = fold(total);
  const odd = (lead & 1) === 1;
  if (LITTLE_ENDIAN !== odd) total = ((total & 0xff) << 8) | (total >>> 8);
  total = sumBytes(bytes, offset, lead, total);
  const done = lead + 4 * count;
  // Behind an odd lead, the tail's bytes change places: as after one more leading byte of zero.
  if (odd && done < length)
    return sumBytes(bytes, offset + done + 1, length - done - 1, total + initial + bytes[offset + done]!);
  return sumBytes(bytes, offset + done, length - done, total + initial);
}
