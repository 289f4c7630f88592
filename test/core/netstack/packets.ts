/** Builds inner packets and reads them back, for tests of the stack. */
import { ip } from '../../../src/core/base/address.ts';
import { concat, setU16be, setU32be, u16be } from '../../../src/core/base/bytes.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import type { SocketEvent } from '../../../src/core/netstack/messages.ts';
import { checksum, pseudoHeaderSum, sum } from '../../../src/core/wire/checksum.ts';
import { type IpHeader, ipHeader } from '../../../src/core/wire/ip.ts';
import { ipHeaderLength, parseIpPacket, writeIpHeader } from '../../../src/core/wire/ip-packet.ts';
import { writeUdpHeader } from '../../../src/core/wire/udp.ts';

export const T0: Instant = instant(1_000_000);

export function ipPacket(protocol: number, from: string, to: string, payload: Uint8Array, hopLimit = 64): Uint8Array {
  const [source, destination] = [ip(from), ip(to)];
  const header = new Uint8Array(ipHeaderLength(source.family));
  writeIpHeader(header, 0, payload.length, protocol, source.bytes, destination.bytes, hopLimit);
  return concat(header, payload);
}

export interface Flow {
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
}

export function udpPacket(flow: Flow, data: Uint8Array): Uint8Array {
  const segment = concat(new Uint8Array(8), data);
  writeUdpHeader(segment, 0, flow.fromPort, flow.toPort, data.length, ip(flow.from).bytes, ip(flow.to).bytes);
  return ipPacket(17, flow.from, flow.to, segment);
}

export function icmpPacket(
  from: string,
  to: string,
  type: number,
  code: number,
  rest: number,
  body: Uint8Array,
): Uint8Array {
  const message = concat(Uint8Array.of(type, code, 0, 0, 0, 0, 0, 0), body);
  setU32be(message, 4, rest);
  const [source, destination] = [ip(from), ip(to)];
  const pseudo =
    source.family === 4 ? 0 : pseudoHeaderSum(source.bytes, 0, destination.bytes, 0, 16, 58, message.length);
  setU16be(message, 2, checksum(sum(message, 0, message.length, pseudo)));
  return ipPacket(source.family === 4 ? 1 : 58, from, to, message);
}

/** A TCP segment without options. */
export function tcpPacket(
  flow: Flow,
  flags: number,
  sequence = 1,
  acknowledgement = 0,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const segment = concat(new Uint8Array(20), data);
  setU16be(segment, 0, flow.fromPort);
  setU16be(segment, 2, flow.toPort);
  setU32be(segment, 4, sequence);
  setU32be(segment, 8, acknowledgement);
  setU16be(segment, 12, 0x5000 | flags);
  setU16be(segment, 14, 65535);
  const [source, destination] = [ip(flow.from).bytes, ip(flow.to).bytes];
  const pseudo = pseudoHeaderSum(source, 0, destination, 0, source.length, 6, segment.length);
  setU16be(segment, 16, checksum(sum(segment, 0, segment.length, pseudo)));
  return ipPacket(6, flow.from, flow.to, segment);
}

export interface Parsed {
  readonly header: IpHeader;
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** Throws if the packet's IP header is not correct. */
export function parsePacket(bytes: Uint8Array): Parsed {
  const header = ipHeader();
  const fault = parseIpPacket(bytes, 0, bytes.length, header);
  if (fault) throw new Error(fault);
  return { header, bytes, payload: bytes.subarray(header.payloadOffset, header.payloadOffset + header.payloadLength) };
}

interface Machine {
  handlePacket(bytes: Uint8Array, offset: number, length: number, now: Instant): void;
  endBurst(now: Instant): void;
  nextPacket(buffer: Uint8Array, offset: number, now: Instant): number;
  nextOutput(): SocketEvent | undefined;
}

/** Hands over one packet as a burst of one, from a slab, at the offset at which the tunnel has it. */
export function deliver(machine: Machine, packet: Uint8Array, now: Instant = T0): void {
  const slab = new Uint8Array(16 + packet.length + 16).fill(0xee);
  slab.set(packet, 16);
  machine.handlePacket(slab, 16, packet.length, now);
  slab.fill(0xdd);
  machine.endBurst(now);
}

export function packetsOf(machine: Machine, now: Instant = T0): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const buffer = new Uint8Array(2048);
  for (let length = machine.nextPacket(buffer, 16, now); length > 0; length = machine.nextPacket(buffer, 16, now))
    packets.push(buffer.slice(16, 16 + length));
  return packets;
}

export function eventsOf(machine: Machine): SocketEvent[] {
  const events: SocketEvent[] = [];
  for (let event = machine.nextOutput(); event; event = machine.nextOutput()) events.push(event);
  return events;
}

export const portsOf = (segment: Uint8Array): readonly [number, number] => [u16be(segment, 0), u16be(segment, 2)];
