/**
 * IPv6 headers (RFC 8200). Hop-by-hop, destination options, routing and fragment headers are skipped within bounds; the ones that
 * would make us do something (a type 0 route, RFC 5095; an option that must be understood, §4.2) refuse the packet. Jumbograms
 * and authentication headers are not supported. Packets we send have no extension headers and flow label 0.
 */

import { setU16be, setU32be, u16be, u32be } from '../base/bytes.ts';
import { DEFAULT_HOP_LIMIT, type IpFault, type IpHeader } from './ip.ts';

export const IPV6_HEADER_LENGTH = 40;
/** Every IPv6 path carries packets of this size (RFC 8200 §5). */
export const IPV6_MINIMUM_MTU = 1280;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const NO_NEXT_HEADER = 59;
const DESTINATION_OPTIONS = 60;
const MAX_EXTENSION_HEADERS = 8;

/** Fills `header` from the `length` bytes at `offset`, or says why they are no IPv6 packet that we take. */
export function parseIpv6(bytes: Uint8Array, offset: number, length: number, header: IpHeader): IpFault | undefined {
  if (length < IPV6_HEADER_LENGTH) return 'ip-truncated';
  if (bytes[offset]! >>> 4 !== 6) return 'ip-version';
  const payloadLength = u16be(bytes, offset + 4);
  if (IPV6_HEADER_LENGTH + payloadLength > length) return 'ip-truncated';
  header.family = 6;
  header.protocol = bytes[offset + 6]!;
  header.hopLimit = bytes[offset + 7]!;
  header.sourceOffset = offset + 8;
  header.destinationOffset = offset + 24;
  header.payloadOffset = offset + IPV6_HEADER_LENGTH;
  header.payloadLength = payloadLength;
  header.fragmentOffset = 0;
  header.moreFragments = false;
  header.identification = 0;
  return skipExtensionHeaders(bytes, header);
}

/** Writes a 40-byte header at `offset` for a payload of `payloadLength` bytes behind it, and returns 40. Addresses have 16 bytes. */
export function writeIpv6Header(
  bytes: Uint8Array,
  offset: number,
  payloadLength: number,
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  hopLimit: number = DEFAULT_HOP_LIMIT,
): number {
  setU32be(bytes, offset, 0x60000000);
  setU16be(bytes, offset + 4, payloadLength);
  bytes[offset + 6] = protocol;
  bytes[offset + 7] = hopLimit;
  for (let i = 0; i < 16; i++) {
    bytes[offset + 8 + i] = source[i]!;
    bytes[offset + 24 + i] = destination[i]!;
  }
  return IPV6_HEADER_LENGTH;
}

/** Moves `header` on to the transport; stops at a fragment header of a real fragment, whose rest is not to be read. */
function skipExtensionHeaders(bytes: Uint8Array, header: IpHeader): IpFault | undefined {
  const end = header.payloadOffset + header.payloadLength;
  for (let seen = 0; seen <= MAX_EXTENSION_HEADERS; seen++) {
    const kind = header.protocol;
    if (kind !== HOP_BY_HOP && kind !== ROUTING && kind !== FRAGMENT && kind !== DESTINATION_OPTIONS) return undefined;
    // Only the first header may be hop-by-hop (RFC 8200 §4.1).
    if (kind === HOP_BY_HOP && seen > 0) return 'ip-extension-header';
    const at = header.payloadOffset;
    if (at + 8 > end) return 'ip-extension-header';
    const size = kind === FRAGMENT ? 8 : 8 + 8 * bytes[at + 1]!;
    if (at + size > end) return 'ip-extension-header';
    if (kind === ROUTING && bytes[at + 3] !== 0) return 'ip-source-route';
    if ((kind === HOP_BY_HOP || kind === DESTINATION_OPTIONS) && !optionsIgnorable(bytes, at + 2, at + size))
      return 'ip-extension-header';
    header.protocol = bytes[at]!;
    header.payloadOffset += size;
    header.payloadLength -= size;
    if (kind === FRAGMENT) {
      header.fragmentOffset = u16be(bytes, at + 2) & 0xfff8;
      header.moreFragments = (bytes[at + 3]! & 1) !== 0;
      header.identification = u32be(bytes, at + 4);
      // An atomic fragment is a whole packet (RFC 6946 §4).
      if (header.fragmentOffset !== 0 || header.moreFragments) return undefined;
    }
    if (header.protocol === NO_NEXT_HEADER) return undefined;
  }
  return 'ip-extension-header';
}

/** True if every option may be skipped by who does not know it: its two high bits are zero (RFC 8200 §4.2). */
function optionsIgnorable(bytes: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === 0) {
      at++;
      continue;
    }
    if (kind >>> 6 !== 0 || at + 2 > end) return false;
    at += 2 + bytes[at + 1]!;
  }
  return at === end;
}
