/** Packets for the translator's tests: built whole, taken apart into what the tests compare, checksums verified. */

import { formatIp, ip, ipFromBytes } from '../../../src/core/base/address.ts';
import { setU16be, u16be } from '../../../src/core/base/bytes.ts';
import type { Random } from '../../../src/core/base/crypto.ts';
import { checksum, pseudoHeaderSum, sum } from '../../../src/core/wire/checksum.ts';
import { checkIcmp } from '../../../src/core/wire/icmp.ts';
import { type IpHeader, ipHeader } from '../../../src/core/wire/ip.ts';
import { parseIpPacket, writeIpHeader } from '../../../src/core/wire/ip-packet.ts';
import { checkUdp } from '../../../src/core/wire/udp.ts';

export const TCP = 6;
export const UDP = 17;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;
export const FIN = 1;

export interface Parsed {
  readonly source: string;
  readonly destination: string;
  /** Whether every checksum of the packet holds. */
  readonly intact: boolean;
}

/** Offsets that are no multiple of anything, so that nothing relies on them. */
export const OFFSET = 7;

export function udp(
  from: string,
  to: string,
  data: Uint8Array = Uint8Array.of(1, 2, 3),
  withChecksum = true,
): Uint8Array {
  return transport(UDP, from, to, 8, 6, data, withChecksum);
}

export function tcp(from: string, to: string, flags = SYN, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return transport(TCP, from, to, 20, 16, data, true, flags);
}

export function echo(from: string, to: string, identifier: number, reply = false): Uint8Array {
  const v4 = !from.includes(':');
  const message = Uint8Array.of(v4 ? (reply ? 0 : 8) : reply ? 129 : 128, 0, 0, 0, 0, 0, 0, 1, 9, 9, 9);
  setU16be(message, 4, identifier);
  return icmp(from, to, message);
}

/** A port unreachable (or another type) from one address to another, quoting the first bytes of a packet. */
export function icmpError(
  from: string,
  to: string,
  packet: Uint8Array,
  quotedLength = 28 + 20,
  type?: number,
): Uint8Array {
  const v4 = !from.includes(':');
  const message = new Uint8Array(8 + Math.min(packet.length - OFFSET, quotedLength));
  message[0] = type ?? (v4 ? 3 : 1);
  message[1] = v4 ? 3 : 4;
  message.set(packet.subarray(OFFSET, OFFSET + message.length - 8), 8);
  return icmp(from, to, message);
}

/** Parses the packet as the router does. Throws if it is none. */
export function header(packet: Uint8Array): IpHeader {
  const parsed = ipHeader();
  const fault = parseIpPacket(packet, OFFSET, packet.length - OFFSET, parsed);
  if (fault) throw new Error(fault);
  return parsed;
}

export function parse(packet: Uint8Array): Parsed {
  const parsed = header(packet);
  const at = parsed.payloadOffset;
  const length = parsed.family === 4 ? 4 : 16;
  const address = (offset: number): string => formatIp(ipFromBytes(packet.slice(offset, offset + length)));
  const icmpPacket = parsed.protocol === 1 || parsed.protocol === 58;
  const port = (offset: number): number => u16be(packet, icmpPacket ? at + 4 : offset);
  return {
    source: `${address(parsed.sourceOffset)}#${port(at)}`,
    destination: `${address(parsed.destinationOffset)}#${port(at + 2)}`,
    intact: intact(packet, parsed),
  };
}

/** What an ICMP error quotes: ends of the packet, and whether its IP header's checksum holds. */
export function quotedIn(packet: Uint8Array): Parsed {
  const outer = header(packet);
  const at = outer.payloadOffset + 8;
  const v4 = outer.family === 4;
  const address = (offset: number): string => formatIp(ipFromBytes(packet.slice(offset, offset + (v4 ? 4 : 16))));
  const ports = at + (v4 ? 20 : 40);
  return {
    source: `${address(at + (v4 ? 12 : 8))}#${u16be(packet, ports)}`,
    destination: `${address(at + (v4 ? 16 : 24))}#${u16be(packet, ports + 2)}`,
    intact: !v4 || checksum(sum(packet, at, 20)) === 0,
  };
}

/** A repeatable `Random`: a linear congruence, good enough to choose ports. */
export function countingRandom(seed = 1): Random {
  let state = seed;
  return {
    fill(target) {
      for (let i = 0; i < target.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        target[i] = state >>> 24;
      }
    },
  };
}

function intact(packet: Uint8Array, parsed: IpHeader): boolean {
  if (parsed.protocol === UDP) return checkUdp(packet, parsed) === undefined;
  if (parsed.protocol !== TCP) return checkIcmp(packet, parsed) === undefined;
  const { sourceOffset, destinationOffset, payloadOffset, payloadLength, family } = parsed;
  const length = family === 4 ? 4 : 16;
  const pseudo = pseudoHeaderSum(packet, sourceOffset, packet, destinationOffset, length, TCP, payloadLength);
  return checksum(sum(packet, payloadOffset, payloadLength, pseudo)) === 0;
}

function split(end: string): [Uint8Array, number] {
  const at = end.lastIndexOf('#');
  return [ip(end.slice(0, at)).bytes, Number(end.slice(at + 1))];
}

function transport(
  protocol: number,
  from: string,
  to: string,
  headerLength: number,
  checksumAt: number,
  data: Uint8Array,
  withChecksum: boolean,
  flags = 0,
): Uint8Array {
  const [source, sourcePort] = split(from);
  const [destination, destinationPort] = split(to);
  const segment = new Uint8Array(headerLength + data.length);
  setU16be(segment, 0, sourcePort);
  setU16be(segment, 2, destinationPort);
  if (protocol === TCP) segment.set([0x50, flags], 12);
  else setU16be(segment, 4, segment.length);
  segment.set(data, headerLength);
  const pseudo = pseudoHeaderSum(source, 0, destination, 0, source.length, protocol, segment.length);
  if (withChecksum) setU16be(segment, checksumAt, checksum(sum(segment, 0, segment.length, pseudo)));
  return packet(source, destination, protocol, segment);
}

function icmp(from: string, to: string, message: Uint8Array): Uint8Array {
  const source = ip(from).bytes;
  const destination = ip(to).bytes;
  const pseudo = source.length === 4 ? 0 : pseudoHeaderSum(source, 0, destination, 0, 16, 58, message.length);
  setU16be(message, 2, checksum(sum(message, 0, message.length, pseudo)));
  return packet(source, destination, source.length === 4 ? 1 : 58, message);
}

function packet(source: Uint8Array, destination: Uint8Array, protocol: number, payload: Uint8Array): Uint8Array {
  const headerLength = source.length === 4 ? 20 : 40;
  const bytes = new Uint8Array(OFFSET + headerLength + payload.length);
  writeIpHeader(bytes, OFFSET, payload.length, protocol, source, destination);
  bytes.set(payload, OFFSET + headerLength);
  return bytes;
}
