/**
 * IPv4 headers (RFC 791). Options are skipped, save source routes, which refuse the packet (RFC 7126 §3.2). Packets we send carry
 * DF, no options and, since they are never fragmented, identification 0 (RFC 6864 §4.1).
 */

import { setU16be, setU32be, u16be } from '../base/bytes.ts';
import { checksum, sum } from './checksum.ts';
import { DEFAULT_HOP_LIMIT, type IpFault, type IpHeader } from './ip.ts';

export const IPV4_HEADER_LENGTH = 20;

const DONT_FRAGMENT = 0x4000;
const OPTION_END = 0;
const OPTION_NO_OPERATION = 1;
const OPTION_LOOSE_SOURCE_ROUTE = 131;
const OPTION_STRICT_SOURCE_ROUTE = 137;

/** Fills `header` from the `length` bytes at `offset`, or says why they are no IPv4 packet. */
export function parseIpv4(bytes: Uint8Array, offset: number, length: number, header: IpHeader): IpFault | undefined {
  if (length < IPV4_HEADER_LENGTH) return 'ip-truncated';
  const headerLength = (bytes[offset]! & 15) * 4;
  const totalLength = u16be(bytes, offset + 2);
  if (bytes[offset]! >>> 4 !== 4) return 'ip-version';
  if (headerLength < IPV4_HEADER_LENGTH || totalLength < headerLength) return 'ip-header-length';
  if (totalLength > length) return 'ip-truncated';
  if (checksum(sum(bytes, offset, headerLength)) !== 0) return 'ip-header-checksum';
  if (headerLength > IPV4_HEADER_LENGTH && sourceRouted(bytes, offset + IPV4_HEADER_LENGTH, offset + headerLength))
    return 'ip-source-route';
  const fragment = u16be(bytes, offset + 6);
  header.family = 4;
  header.protocol = bytes[offset + 9]!;
  header.hopLimit = bytes[offset + 8]!;
  header.sourceOffset = offset + 12;
  header.destinationOffset = offset + 16;
  header.payloadOffset = offset + headerLength;
  header.payloadLength = totalLength - headerLength;
  header.fragmentOffset = (fragment & 0x1fff) * 8;
  header.moreFragments = (fragment & 0x2000) !== 0;
  header.identification = u16be(bytes, offset + 4);
  return undefined;
}

/**
 * Writes a 20-byte header at `offset` for a payload of `payloadLength` bytes behind it, and returns 20. `source` and `destination`
 * are addresses of 4 bytes. The caller has seen to it that the packet fits the path: DF is set (RFC 1191 §3).
 */
export function writeIpv4Header(
  bytes: Uint8Array,
  offset: number,
  payloadLength: number,
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  hopLimit: number = DEFAULT_HOP_LIMIT,
): number {
  setU16be(bytes, offset, 0x4500);
  setU16be(bytes, offset + 2, IPV4_HEADER_LENGTH + payloadLength);
  setU32be(bytes, offset + 4, DONT_FRAGMENT);
  bytes[offset + 8] = hopLimit;
  bytes[offset + 9] = protocol;
  setU16be(bytes, offset + 10, 0);
  for (let i = 0; i < 4; i++) {
    bytes[offset + 12 + i] = source[i]!;
    bytes[offset + 16 + i] = destination[i]!;
  }
  setU16be(bytes, offset + 10, checksum(sum(bytes, offset, IPV4_HEADER_LENGTH)));
  return IPV4_HEADER_LENGTH;
}

/** True also for options whose lengths lead nowhere: what cannot be read cannot be trusted not to be a route. */
function sourceRouted(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === OPTION_END) return false;
    if (kind === OPTION_NO_OPERATION) {
      at++;
      continue;
    }
    if (kind === OPTION_LOOSE_SOURCE_ROUTE || kind === OPTION_STRICT_SOURCE_ROUTE) return true;
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return true;
    at += length;
  }
  return false;
}
