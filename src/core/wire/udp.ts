/** UDP headers (RFC 768; RFC 8200 §8.1 for IPv6). */

import { setU16be, u16be } from '../base/bytes.ts';
import { checksum, pseudoHeaderSum, sum } from './checksum.ts';
import { type IpHeader, PROTOCOL_UDP } from './ip.ts';

export const UDP_HEADER_LENGTH = 8;

/** Why a datagram is not one: names of drop counters. */
export type UdpFault = 'udp-truncated' | 'udp-checksum';

/**
 * Checks the datagram that `ip` carries. `undefined`: it is good, its ports stand at `ip.payloadOffset`, and its data has
 * `udpDataLength` bytes. A zero checksum means "none" over IPv4 (RFC 768) and is refused over IPv6 (RFC 8200 §8.1).
 */
export function checkUdp(bytes: Uint8Array, ip: IpHeader): UdpFault | undefined {
  const at = ip.payloadOffset;
  if (ip.payloadLength < UDP_HEADER_LENGTH) return 'udp-truncated';
  const length = u16be(bytes, at + 4);
  if (length < UDP_HEADER_LENGTH || length > ip.payloadLength) return 'udp-truncated';
  if (u16be(bytes, at + 6) === 0) return ip.family === 6 ? 'udp-checksum' : undefined;
  const addressLength = ip.family === 4 ? 4 : 16;
  const pseudo = pseudoHeaderSum(
    bytes,
    ip.sourceOffset,
    bytes,
    ip.destinationOffset,
    addressLength,
    PROTOCOL_UDP,
    length,
  );
  return checksum(sum(bytes, at, length, pseudo)) === 0 ? undefined : 'udp-checksum';
}

/** Bytes of data behind the UDP header at `offset`, by its length field. */
export function udpDataLength(bytes: Uint8Array, offset: number): number {
  return u16be(bytes, offset + 4) - UDP_HEADER_LENGTH;
}

/** Writes the header for the `dataLength` bytes already standing behind it, checksum included, and returns 8. */
export function writeUdpHeader(
  bytes: Uint8Array,
  offset: number,
  sourcePort: number,
  destinationPort: number,
  dataLength: number,
  source: Uint8Array,
  destination: Uint8Array,
): number {
  const length = UDP_HEADER_LENGTH + dataLength;
  setU16be(bytes, offset, sourcePort);
  setU16be(bytes, offset + 2, destinationPort);
  setU16be(bytes, offset + 4, length);
  setU16be(bytes, offset + 6, 0);
  const pseudo = pseudoHeaderSum(source, 0, destination, 0, source.length, PROTOCOL_UDP, length);
  // A computed zero is sent as all ones (RFC 768).
  setU16be(bytes, offset + 6, checksum(sum(bytes, offset, length, pseudo)) || 0xffff);
  return UDP_HEADER_LENGTH;
}
