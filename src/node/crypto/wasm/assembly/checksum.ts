/** The Internet checksum's sum (RFC 1071), here because the packets are: four times as fast as what JavaScript can do. */

/** Sum of the 16-bit big-endian words of `length` bytes at `address`, an odd last byte padded with zero, folded to 16 bits. */
export function sum(address: usize, length: i32): u32 {
  const end = address + length;
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let at = address;
  for (; at + 32 <= end; at += 32) {
    a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
  }
  a = i32x4.add(a, b);
  let total: u32 = i32x4.extract_lane(a, 0) + i32x4.extract_lane(a, 1) + i32x4.extract_lane(a, 2) + i32x4.extract_lane(a, 3);
  for (; at + 2 <= end; at += 2) total += load<u16>(at);
  if (at < end) total += load<u8>(at);
  total = (total & 0xffff) + (total >>> 16);
  total = (total & 0xffff) + (total >>> 16);
  // Summed in the byte order of WebAssembly, and swapped once (RFC 1071 §2 (B)).
  return ((total & 0xff) << 8) | (total >>> 8);
}
