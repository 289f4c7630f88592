/**
 * Replacing one end of a packet in place. Checksums are carried over, not computed again (RFC 1624 §3, eqn. 3), so that a packet
 * that was damaged on its way stays recognisably damaged.
 */

import { setU16be, u16be } from '../base/bytes.ts';
import { sum, updateChecksum } from '../wire/checksum.ts';
import { type IpHeader, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts';

/** Shortest transport header that can be translated, by protocol; 0 for one that cannot. */
export function transportHeaderLength(protocol: number): number {
  if (protocol === PROTOCOL_TCP) return 20;
  return protocol === PROTOCOL_UDP || protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6 ? 8 : 0;
}

/** Where the source port stands, or an ICMP echo's identifier, which takes the place of both ports (RFC 5508 §3.1). */
export function sourcePortOffset(ip: IpHeader): number {
  return isIcmp(ip.protocol) ? ip.payloadOffset + 4 : ip.payloadOffset;
}

export function destinationPortOffset(ip: IpHeader): number {
  return isIcmp(ip.protocol) ? ip.payloadOffset + 4 : ip.payloadOffset + 2;
}

/** Puts `address` (of the packet's family) and `port` in place of the source. */
export function rewriteSource(bytes: Uint8Array, ip: IpHeader, address: Uint8Array, port: number): void {
  rewrite(bytes, ip, ip.sourceOffset, sourcePortOffset(ip), address, port);
}

/** Puts `address` (of the packet's family) and `port` in place of the destination. */
export function rewriteDestination(bytes: Uint8Array, ip: IpHeader, address: Uint8Array, port: number): void {
  rewrite(bytes, ip, ip.destinationOffset, destinationPortOffset(ip), address, port);
}

/** Replaces one address of the IP header, and corrects the header's checksum (IPv4), but nothing in the payload. */
export function rewriteAddress(bytes: Uint8Array, ip: IpHeader, addressOffset: number, address: Uint8Array): void {
  const before = sum(bytes, addressOffset, address.length);
  for (let i = 0; i < address.length; i++) bytes[addressOffset + i] = address[i]!;
  if (ip.family !== 4) return;
  const at = ip.sourceOffset - 2;
  setU16be(bytes, at, updateChecksum(u16be(bytes, at), before, sum(address, 0, address.length)));
}

export function isIcmp(protocol: number): boolean {
  return protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6;
}

function rewrite(
  bytes: Uint8Array,
  ip: IpHeader,
  addressOffset: number,
  portOffset: number,
  address: Uint8Array,
  port: number,
): void {
  let before = u16be(bytes, portOffset);
  let after = port;
  // ICMP over IPv4 is the one checksum that does not cover the addresses.
  if (ip.protocol !== PROTOCOL_ICMP) {
    before += sum(bytes, addressOffset, address.length);
    after += sum(address, 0, address.length);
  }
  rewriteAddress(bytes, ip, addressOffset, address);
  setU16be(bytes, portOffset, port);
  const at = ip.payloadOffset + checksumOffset(ip.protocol);
  // A quoted packet may end before its checksum.
  if (at + 2 > ip.payloadOffset + ip.payloadLength) return;
  const field = u16be(bytes, at);
  if (ip.protocol !== PROTOCOL_UDP) setU16be(bytes, at, updateChecksum(field, before, after));
  // No checksum stays none; a computed zero is written as all ones (RFC 768).
  else if (field !== 0) setU16be(bytes, at, updateChecksum(field, before, after) || 0xffff);
}

function checksumOffset(protocol: number): number {
  if (protocol === PROTOCOL_TCP) return 16;
  return protocol === PROTOCOL_UDP ? 6 : 2;
}
