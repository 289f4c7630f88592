/** The errors that a router sends (RFC 1812 §4.3, RFC 4443 §3): each quotes the packet that it is about. */

import { setU16be, setU32be } from '../core/base/bytes.ts';
import { checksum, pseudoHeaderSum, sum } from '../core/wire/checksum.ts';
import { ICMP_HEADER_LENGTH, icmpKind } from '../core/wire/icmp.ts';
import { type IpHeader, PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '../core/wire/ip.ts';
import { ipHeaderLength, writeIpHeader } from '../core/wire/ip-packet.ts';

export type RouterError = 'time-exceeded' | 'no-route' | 'too-big';

/** Type and code, for IPv4 and for IPv6. */
const CODES: Record<RouterError, Readonly<Record<4 | 6, readonly [number, number]>>> = {
  'time-exceeded': { 4: [11, 0], 6: [3, 0] },
  'no-route': { 4: [3, 1], 6: [1, 0] },
  'too-big': { 4: [3, 4], 6: [2, 0] },
};
/** No error may be longer (RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)). */
export const MAX_ERROR_LENGTH = 1280;
const MAX_LENGTH: Readonly<Record<4 | 6, number>> = { 4: 576, 6: MAX_ERROR_LENGTH };

/**
 * Writes an error about the packet of `length` bytes at `offset` into `out`, to be sent to its source, and returns its length; 0 if
 * there must be none: about another error, or a fragment that is not the first (RFC 1122 §3.2.2). `value` is the MTU of `too-big`.
 */
export function writeRouterError(
  out: Uint8Array,
  error: RouterError,
  source: Uint8Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
  ip: IpHeader,
  value: number = 0,
): number {
  if (ip.fragmentOffset !== 0 || isIcmpError(bytes, ip)) return 0;
  const headerLength = ipHeaderLength(ip.family);
  const quoted = Math.min(length, MAX_LENGTH[ip.family] - headerLength - ICMP_HEADER_LENGTH);
  const size = ICMP_HEADER_LENGTH + quoted;
  const addressLength = ip.family === 4 ? 4 : 16;
  const destination = bytes.slice(ip.sourceOffset, ip.sourceOffset + addressLength);
  const protocol = ip.family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
  writeIpHeader(out, 0, size, protocol, source, destination);
  const [type, code] = CODES[error][ip.family];
  out[headerLength] = type;
  out[headerLength + 1] = code;
  setU16be(out, headerLength + 2, 0);
  setU32be(out, headerLength + 4, value);
  out.set(bytes.subarray(offset, offset + quoted), headerLength + ICMP_HEADER_LENGTH);
  const pseudo = ip.family === 4 ? 0 : pseudoHeaderSum(source, 0, destination, 0, 16, protocol, size);
  setU16be(out, headerLength + 2, checksum(sum(out, headerLength, size, pseudo)));
  return headerLength + size;
}

function isIcmpError(bytes: Uint8Array, ip: IpHeader): boolean {
  if (ip.protocol !== PROTOCOL_ICMP && ip.protocol !== PROTOCOL_ICMPV6) return false;
  const kind = icmpKind(bytes, ip.payloadOffset, ip.family);
  return kind !== 'echo-request' && kind !== 'echo-reply' && kind !== 'other';
}
