/**
 * Mutated packets against a live stack with open sockets: nothing throws, nothing that is sent is malformed, and memory stays flat.
 * SLUICE_DEEP=1 runs a million of them.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { ascii, concat, fromHex, setU16be, u16be } from '../../../src/core/base/bytes.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { Netstack } from '../../../src/core/netstack/netstack.ts';
import { checksum, pseudoHeaderSum, sum } from '../../../src/core/wire/checksum.ts';
import { checkIcmp } from '../../../src/core/wire/icmp.ts';
import { ipHeader } from '../../../src/core/wire/ip.ts';
import { parseIpPacket } from '../../../src/core/wire/ip-packet.ts';
import { checkUdp } from '../../../src/core/wire/udp.ts';
import { DEEP } from '../../support/deep.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { deliver, eventsOf, type Flow, icmpPacket, ipPacket, packetsOf, T0, tcpPacket, udpPacket } from './packets.ts';

const PACKETS = DEEP ? 1_000_000 : 20_000;
const MTU = 1420;
const A = { 4: '10.2.0.2', 6: 'fd00::2' } as const;
const B = { 4: '203.0.113.7', 6: '2001:db8::7' } as const;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function memory(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function stack(addresses: { 4: string; 6: string }, seed: number): Netstack {
  const net = new Netstack(
    { addresses: [ip(addresses[4]), ip(addresses[6])], mtu: MTU, random: new SeededRandom(seed) },
    T0,
  );
  net.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 8 }, T0);
  net.handleCommand({ kind: 'udp-bind', socket: 2, family: 4, port: 6881 }, T0);
  net.handleCommand({ kind: 'udp-bind', socket: 3, family: 6, port: 6881 }, T0);
  return net;
}

/** Packets of every kind that a stack can meet; TCP of live connections comes from the peer. */
function samples(): Uint8Array[] {
  const data = ascii('0123456789abcdef');
  const packets: Uint8Array[] = [];
  for (const family of [4, 6] as const) {
    const [from, to] = [B[family], A[family]];
    const udp: Flow = { from, fromPort: 6881, to, toPort: 6881 };
    const sent: Flow = { from: to, fromPort: 80, to: from, toPort: 40_000 };
    const echo = family === 4 ? 8 : 128;
    const [unreachable, tooBig] = family === 4 ? ([3, 3] as const) : ([1, 2] as const);
    packets.push(udpPacket(udp, data), udpPacket({ ...udp, toPort: 9 }, data), udpPacket(udp, new Uint8Array(1200)));
    packets.push(icmpPacket(from, to, echo, 0, 0x10001, data));
    packets.push(icmpPacket(from, to, unreachable, 1, 0, tcpPacket(sent, 0x10).subarray(0, family === 4 ? 28 : 60)));
    packets.push(icmpPacket(from, to, tooBig, 4, 1280, udpPacket({ ...sent, fromPort: 6881 }, data)));
    packets.push(tcpPacket({ ...udp, toPort: 80 }, 0x02), tcpPacket({ ...udp, toPort: 81 }, 0x10, 5, 6, data));
  }
  const fragment = udpPacket({ from: B[4], fromPort: 6881, to: A[4], toPort: 6881 }, data);
  setU16be(fragment, 6, 0x2001);
  packets.push(repaired(fragment));
  const datagram = udpPacket({ from: B[6], fromPort: 6881, to: A[6], toPort: 6881 }, data).subarray(40);
  const options = fromHex('2c00010400000000');
  packets.push(ipPacket(0, B[6], A[6], concat(options, fromHex('1100000112345678'), datagram)));
  packets.push(ipPacket(60, B[6], A[6], concat(fromHex('1100010400000000'), datagram)));
  return packets;
}

/** Makes checksums right again, as far as the packet can be read, so that a mutation gets past them. */
function repaired(packet: Uint8Array): Uint8Array {
  const headerLength = (packet[0]! & 15) * 4;
  if (packet[0]! >>> 4 === 4 && headerLength >= 20 && packet.length >= headerLength) {
    setU16be(packet, 10, 0);
    setU16be(packet, 10, checksum(sum(packet, 0, headerLength)));
  }
  const header = ipHeader();
  if (parseIpPacket(packet, 0, packet.length, header)) return packet;
  const { family, protocol, sourceOffset, destinationOffset, payloadOffset, payloadLength } = header;
  const fieldAt = payloadOffset + (protocol === 6 ? 16 : protocol === 17 ? 6 : 2);
  if (![1, 6, 17, 58].includes(protocol) || fieldAt + 2 > payloadOffset + payloadLength) return packet;
  const size = family === 4 ? 4 : 16;
  const length = protocol === 17 ? Math.min(payloadLength, u16be(packet, payloadOffset + 4)) : payloadLength;
  const pseudo =
    protocol === 1 ? 0 : pseudoHeaderSum(packet, sourceOffset, packet, destinationOffset, size, protocol, length);
  setU16be(packet, fieldAt, 0);
  setU16be(packet, fieldAt, checksum(sum(packet, payloadOffset, length, pseudo)) || 0xffff);
  return packet;
}

function mutated(original: Uint8Array, random: SeededRandom): Uint8Array {
  let packet: Uint8Array = Uint8Array.from(original);
  for (let changes = random.below(4); changes > 0; changes--) {
    // Most of what matters stands at the front.
    const at = random.below(random.chance(0.7) ? Math.min(packet.length, 80) : packet.length);
    if (random.chance(0.5)) packet[at]! ^= 1 << random.below(8);
    else packet[at] = random.chance(0.3) ? 255 * random.below(2) : random.u32();
  }
  if (random.chance(0.1)) packet = packet.slice(0, random.below(packet.length + 1));
  if (random.chance(0.05)) packet = concat(packet, random.bytes(random.below(40)));
  if (packet.length > 0 && random.chance(0.8)) repaired(packet);
  return packet;
}

/** Everything that the stack sends must be a correct packet. */
function checkSent(packet: Uint8Array): void {
  const header = ipHeader();
  const fault = parseIpPacket(packet, 0, packet.length, header);
  const end = header.payloadOffset + header.payloadLength;
  const { protocol } = header;
  const wrong =
    fault ??
    (protocol === 17 ? checkUdp(packet, header) : undefined) ??
    (protocol === 1 || protocol === 58 ? checkIcmp(packet, header) : undefined);
  if (wrong || end !== packet.length || packet.length > MTU) expect.fail(`sent ${wrong} ${packet.length}: ${packet}`);
}

it(`survives ${PACKETS} mutated packets with open sockets, in constant memory`, { timeout: 600_000 }, () => {
  const random = new SeededRandom(20);
  const a = stack(A, 1);
  const b = stack(B, 2);
  const fixed = samples();
  const live: Uint8Array[] = [];
  let now: Instant = T0;
  let nextSocket = 10;
  let open: number[] = [];
  let baseline = 0;
  let delivered = 0;

  const carry = (): void => {
    for (let busy = true, rounds = 0; busy && rounds < 50; rounds++) {
      busy = false;
      for (const packet of packetsOf(a, now)) {
        checkSent(packet);
        busy = true;
        deliver(b, packet, now);
      }
      for (const packet of packetsOf(b, now)) {
        live[random.below(64)] = packet;
        busy = true;
        deliver(a, packet, now);
      }
    }
  };
  const settle = (): void => {
    for (const event of eventsOf(a)) {
      if (event.kind === 'udp-datagram') delivered++;
      if (event.kind === 'tcp-connected' || event.kind === 'tcp-accepted') open.push(event.socket);
      if (event.kind === 'tcp-data')
        a.handleCommand({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now);
      if (event.kind === 'tcp-end') a.handleCommand({ kind: 'tcp-shutdown', socket: event.socket }, now);
      if (event.kind === 'closed') open = open.filter((socket) => socket !== event.socket);
    }
    for (const event of eventsOf(b)) {
      if (event.kind === 'tcp-data')
        b.handleCommand({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now);
      if (event.kind === 'tcp-end') b.handleCommand({ kind: 'tcp-shutdown', socket: event.socket }, now);
      if (event.kind === 'tcp-accepted')
        b.handleCommand({ kind: 'tcp-write', socket: event.socket, bytes: new Uint8Array(4000) }, now);
    }
  };
  const live5 = (): void => {
    const family = random.chance(0.5) ? 4 : 6;
    while (open.length > 20) a.handleCommand({ kind: 'tcp-abort', socket: open.shift()! }, now);
    a.handleCommand({ kind: 'tcp-connect', socket: nextSocket++, to: { address: ip(B[family]), port: 80 } }, now);
    carry();
    settle();
    const socket = open[random.below(open.length)];
    if (socket !== undefined) a.handleCommand({ kind: 'tcp-write', socket, bytes: new Uint8Array(100) }, now);
    if (socket !== undefined && random.chance(0.2)) a.handleCommand({ kind: 'tcp-shutdown', socket }, now);
    carry();
    settle();
  };

  for (let i = 0; i < PACKETS; i++) {
    if (i % 50 === 0) live5();
    if (i === PACKETS / 4) baseline = memory();
    const sample = random.chance(0.5) ? fixed[random.below(fixed.length)] : live[random.below(64)];
    if (!sample) continue;
    deliver(a, mutated(sample, random), now);
    for (const packet of packetsOf(a, now)) checkSent(packet);
    settle();
    now = instant(now + random.below(40));
    for (const net of [a, b]) {
      const due = net.nextTimeout();
      if (due === undefined || due > now) continue;
      net.handleTimeout(now);
      const next = net.nextTimeout();
      if (next !== undefined && next <= now) expect.fail(`progress: ${next} after ${now}`);
    }
  }
  const grown = memory() - baseline;
  expect(delivered).toBeGreaterThan(PACKETS / 100);
  expect(Object.keys(a.drops.toJSON()).length).toBeGreaterThan(15);
  expect(grown).toBeLessThan(12 * 1024 * 1024);
});
