/** IP packets of either version: which of `ipv4.ts` and `ipv6.ts` it is. */

import { DEFAULT_HOP_LIMIT, type IpFault, type IpHeader } from './ip.ts';
import { IPV4_HEADER_LENGTH, parseIpv4, writeIpv4Header } from './ipv4.ts';
import { IPV6_HEADER_LENGTH, parseIpv6, writeIpv6Header } from './ipv6.ts';

/** Parses the packet of `length` bytes at `offset` by its version. `undefined`: `header` is filled; otherwise why not. */
export function parseIpPacket(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: IpHeader,
): IpFault | undefined {
  if (length < 1) return 'ip-truncated';
  const version = bytes[offset]! >>> 4;
  if (version === 4) return parseIpv4(bytes, offset, length, header);
  if (version === 6) return parseIpv6(bytes, offset, length, header);
  return 'ip-version';
}

export function ipHeaderLength(family: 4 | 6): number {
  return family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
}

/** Writes the header of the family that the length of `source` (4 or 16 bytes) tells, and returns its length. */
export function writeIpHeader(
  bytes: Uint8Array,
  offset: number,
  payloadLength: number,
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  hopLimit: number = DEFAULT_HOP_LIMIT,
): number {
  return source.length === 4
    ? writeIpv4Header(bytes, offset, payloadLength, protocol, source, destination, hopLimit)
    : writeIpv6Header(bytes, offset, payloadLength, protocol, source, destination, hopLimit);
}
