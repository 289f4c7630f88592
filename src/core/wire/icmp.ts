/** ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and the errors that transports act on. */

import { setU16be, setU32be, u16be, u32be } from '../base/bytes.ts';
import { checksum, pseudoHeaderSum, sum } from './checksum.ts';
import { type IpHeader, PROTOCOL_ICMPV6 } from './ip.ts';

/** Type, code, checksum and the four bytes that each type uses in its own way. */
export const ICMP_HEADER_LENGTH = 8;

const V4_ECHO_REPLY = 0;
const V4_UNREACHABLE = 3;
const V4_ECHO_REQUEST = 8;
const V4_TIME_EXCEEDED = 11;
const V4_PARAMETER_PROBLEM = 12;
const V4_CODE_PROTOCOL = 2;
const V4_CODE_PORT = 3;
const V4_CODE_FRAGMENTATION_NEEDED = 4;
const V6_UNREACHABLE = 1;
const V6_PACKET_TOO_BIG = 2;
const V6_TIME_EXCEEDED = 3;
const V6_PARAMETER_PROBLEM = 4;
const V6_CODE_PORT = 4;
const V6_CODE_UNRECOGNIZED_NEXT_HEADER = 1;
const V6_ECHO_REQUEST = 128;
const V6_ECHO_REPLY = 129;

/**
 * What a message means to us. `unreachable-hard`: the host is there and refuses (port or protocol unreachable). `unreachable-soft`:
 * may pass (RFC 1122 §4.2.3.9, RFC 5461). The three kinds of error quote the packet that they are about.
 */
export type IcmpKind =
  | 'echo-request'
  | 'echo-reply'
  | 'unreachable-soft'
  | 'unreachable-hard'
  | 'packet-too-big'
  | 'other-error'
  | 'other';

/** Why a message is not one: names of drop counters. */
export type IcmpFault = 'icmp-truncated' | 'icmp-checksum';

/** Checks length and checksum of the message that `ip` carries; its type is for `icmpKind`. */
export function checkIcmp(bytes: Uint8Array, ip: IpHeader): IcmpFault | undefined {
  if (ip.payloadLength < ICMP_HEADER_LENGTH) return 'icmp-truncated';
  const pseudo =
    ip.family === 4
      ? 0
      : pseudoHeaderSum(bytes, ip.sourceOffset, bytes, ip.destinationOffset, 16, PROTOCOL_ICMPV6, ip.payloadLength);
  return checksum(sum(bytes, ip.payloadOffset, ip.payloadLength, pseudo)) === 0 ? undefined : 'icmp-checksum';
}

/** The meaning of the message at `offset`, which `checkIcmp` has passed. */
export function icmpKind(bytes: Uint8Array, offset: number, family: 4 | 6): IcmpKind {
  const type = bytes[offset]!;
  const code = bytes[offset + 1]!;
  return family === 4 ? kindV4(type, code) : kindV6(type, code);
}

/** The MTU that a packet-too-big tells; 0 from routers older than RFC 1191 §4. */
export function icmpMtu(bytes: Uint8Array, offset: number, family: 4 | 6): number {
  return family === 4 ? u16be(bytes, offset + 6) : u32be(bytes, offset + 4);
}

/** The identifier of the echo message at `offset` in the upper 16 bits, its sequence number in the lower. */
export function icmpEchoIds(bytes: Uint8Array, offset: number): number {
  return u32be(bytes, offset + 4);
}

/**
 * Turns the echo request of `length` bytes at `offset` into its reply, in place: identifier, sequence and data stay (RFC 1122
 * §3.2.2.6, RFC 4443 §4.2). `source` and `destination` are those of the reply.
 */
export function writeEchoReply(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
): void {
  bytes[offset] = source.length === 4 ? V4_ECHO_REPLY : V6_ECHO_REPLY;
  bytes[offset + 1] = 0;
  writeIcmpChecksum(bytes, offset, length, source, destination);
}

/** As `writeEchoReply`, for a request made here: identifier and sequence number stand there already. */
export function writeEchoRequest(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
): void {
  bytes[offset] = source.length === 4 ? V4_ECHO_REQUEST : V6_ECHO_REQUEST;
  bytes[offset + 1] = 0;
  writeIcmpChecksum(bytes, offset, length, source, destination);
}

/** Makes the `length` bytes at `offset`, whose last `length - 8` quote a packet, the header of a port unreachable. */
export function writePortUnreachable(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
): void {
  writeError(bytes, offset, length, source, destination, V4_UNREACHABLE, V4_CODE_PORT, V6_UNREACHABLE, V6_CODE_PORT, 0);
}

/** As `writePortUnreachable`, for a packet that is larger than `mtu` (RFC 1191 §4, RFC 4443 §3.2). Routers send it. */
export function writePacketTooBig(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
  mtu: number,
): void {
  const code = V4_CODE_FRAGMENTATION_NEEDED;
  writeError(bytes, offset, length, source, destination, V4_UNREACHABLE, code, V6_PACKET_TOO_BIG, 0, mtu);
}

function kindV4(type: number, code: number): IcmpKind {
  switch (type) {
    case V4_ECHO_REQUEST:
      return 'echo-request';
    case V4_ECHO_REPLY:
      return 'echo-reply';
    case V4_UNREACHABLE:
      if (code === V4_CODE_FRAGMENTATION_NEEDED) return 'packet-too-big';
      return code === V4_CODE_PORT || code === V4_CODE_PROTOCOL ? 'unreachable-hard' : 'unreachable-soft';
    case V4_TIME_EXCEEDED:
      return 'unreachable-soft';
    case V4_PARAMETER_PROBLEM:
      return 'other-error';
    default:
      return 'other';
  }
}

function kindV6(type: number, code: number): IcmpKind {
  switch (type) {
    case V6_ECHO_REQUEST:
      return 'echo-request';
    case V6_ECHO_REPLY:
      return 'echo-reply';
    case V6_UNREACHABLE:
      return code === V6_CODE_PORT ? 'unreachable-hard' : 'unreachable-soft';
    case V6_PACKET_TOO_BIG:
      return 'packet-too-big';
    case V6_TIME_EXCEEDED:
      return 'unreachable-soft';
    case V6_PARAMETER_PROBLEM:
      return code === V6_CODE_UNRECOGNIZED_NEXT_HEADER ? 'unreachable-hard' : 'other-error';
    default:
      // Types below 128 are errors (RFC 4443 §2.1).
      return type < 128 ? 'other-error' : 'other';
  }
}

function writeError(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
  type4: number,
  code4: number,
  type6: number,
  code6: number,
  value: number,
): void {
  const v4 = source.length === 4;
  bytes[offset] = v4 ? type4 : type6;
  bytes[offset + 1] = v4 ? code4 : code6;
  setU32be(bytes, offset + 4, v4 ? value & 0xffff : value);
  writeIcmpChecksum(bytes, offset, length, source, destination);
}

function writeIcmpChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Uint8Array,
  destination: Uint8Array,
): void {
  setU16be(bytes, offset + 2, 0);
  const pseudo = source.length === 4 ? 0 : pseudoHeaderSum(source, 0, destination, 0, 16, PROTOCOL_ICMPV6, length);
  setU16be(bytes, offset + 2, checksum(sum(bytes, offset, length, pseudo)));
}
