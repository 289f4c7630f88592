/**
 * ICMP errors across the translator (RFC 5508 §4): the packet that an error quotes is translated too, or the host that it is meant
 * for would not know it. An error passes only if the quoted packet belongs to a live session (§4.1, §4.2).
 */

import { setU16be, u16be } from '../base/bytes.ts';
import type { Instant } from '../base/instant.ts';
import { checksum, pseudoHeaderSum, sum } from '../wire/checksum.ts';
import { checkIcmp, ICMP_HEADER_LENGTH } from '../wire/icmp.ts';
import { type IpHeader, ipHeader, PROTOCOL_ICMPV6 } from '../wire/ip.ts';
import type { NatDrop } from './drops.ts';
import {
  destinationPortOffset,
  isIcmp,
  rewriteAddress,
  rewriteDestination,
  rewriteSource,
  sourcePortOffset,
  transportHeaderLength,
} from './rewrite.ts';
import { type Binding, key, type NatTable } from './table.ts';

/** Reused from error to error. */
const quoted: IpHeader = ipHeader();

/** From outside, about a packet that went out: its source is our public end. */
export function translateErrorInbound(
  bytes: Uint8Array,
  ip: IpHeader,
  table: NatTable,
  now: Instant,
): NatDrop | undefined {
  const fault = readQuoted(bytes, ip);
  if (fault) return fault;
  const binding = table.external(quoted.protocol, u16be(bytes, sourcePortOffset(quoted)));
  if (!binding || !live(table, binding, bytes, quoted.destinationOffset, remotePort(bytes, true), now))
    return 'nat-icmp-unmatched';
  rewriteSource(bytes, quoted, binding.host.address, binding.insidePort);
  rewriteAddress(bytes, ip, ip.destinationOffset, binding.host.address);
  writeChecksum(bytes, ip);
  return undefined;
}

/** From inside, about a packet that came in: its destination is the host's inside end. */
export function translateErrorOutbound(
  bytes: Uint8Array,
  ip: IpHeader,
  table: NatTable,
  publicAddress: Uint8Array,
  now: Instant,
): NatDrop | undefined {
  const fault = readQuoted(bytes, ip);
  if (fault) return fault;
  const host = table.host(bytes, quoted.destinationOffset);
  const remote = remotePort(bytes, false);
  let binding = host?.bindings.get(key(quoted.protocol, u16be(bytes, destinationPortOffset(quoted))));
  while (binding && !live(table, binding, bytes, quoted.sourceOffset, remote, now)) binding = binding.older;
  if (!binding) return 'nat-icmp-unmatched';
  rewriteDestination(bytes, quoted, publicAddress, binding.externalPort);
  rewriteAddress(bytes, ip, ip.sourceOffset, publicAddress);
  writeChecksum(bytes, ip);
  return undefined;
}

function live(
  table: NatTable,
  binding: Binding,
  bytes: Uint8Array,
  remoteOffset: number,
  port: number,
  now: Instant,
): boolean {
  const session = table.session(binding, bytes, remoteOffset, port);
  return session !== undefined && session.expiresAt > now;
}

function remotePort(bytes: Uint8Array, wentOut: boolean): number {
  if (isIcmp(quoted.protocol)) return 0;
  return u16be(bytes, wentOut ? destinationPortOffset(quoted) : sourcePortOffset(quoted));
}

/**
 * Fills `quoted`. Unlike `parseIpPacket`, this takes a packet that is cut short: of the transport header only the first eight bytes
 * need be there (RFC 792), and `payloadLength` is what there is.
 */
function readQuoted(bytes: Uint8Array, ip: IpHeader): NatDrop | undefined {
  if (checkIcmp(bytes, ip)) return 'nat-icmp-checksum';
  const at = ip.payloadOffset + ICMP_HEADER_LENGTH;
  const end = ip.payloadOffset + ip.payloadLength;
  const headerLength = ip.family === 4 ? (bytes[at]! & 15) * 4 : 40;
  if (headerLength < 20 || at + headerLength + 8 > end || bytes[at]! >>> 4 !== ip.family) return 'nat-icmp-unmatched';
  if (ip.family === 4 && (u16be(bytes, at + 6) & 0x1fff) !== 0) return 'nat-fragment';
  quoted.family = ip.family;
  quoted.protocol = ip.family === 4 ? bytes[at + 9]! : bytes[at + 6]!;
  quoted.sourceOffset = at + (ip.family === 4 ? 12 : 8);
  quoted.destinationOffset = at + (ip.family === 4 ? 16 : 24);
  quoted.payloadOffset = at + headerLength;
  quoted.payloadLength = end - quoted.payloadOffset;
  return transportHeaderLength(quoted.protocol) === 0 ? 'nat-icmp-unmatched' : undefined;
}

/** Errors are rare and short: the sum is taken anew. It was right before (`readQuoted`). */
function writeChecksum(bytes: Uint8Array, ip: IpHeader): void {
  const { payloadOffset: at, payloadLength: length } = ip;
  setU16be(bytes, at + 2, 0);
  const pseudo =
    ip.family === 4
      ? 0
      : pseudoHeaderSum(bytes, ip.sourceOffset, bytes, ip.destinationOffset, 16, PROTOCOL_ICMPV6, length);
  setU16be(bytes, at + 2, checksum(sum(bytes, at, length, pseudo)));
}
