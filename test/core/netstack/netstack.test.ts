import { describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../../src/core/base/address.ts';
import { ascii, concat, setU16be, u16be, u32be } from '../../../src/core/base/bytes.ts';
import { after } from '../../../src/core/base/instant.ts';
import type { EchoReply } from '../../../src/core/netstack/icmp.ts';
import { Netstack, type NetstackLimits } from '../../../src/core/netstack/netstack.ts';
import { checksum, sum } from '../../../src/core/wire/checksum.ts';
import { checkIcmp } from '../../../src/core/wire/icmp.ts';
import { checkUdp } from '../../../src/core/wire/udp.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import {
  deliver,
  eventsOf,
  icmpPacket,
  ipPacket,
  packetsOf,
  parsePacket,
  portsOf,
  T0,
  tcpPacket,
  udpPacket,
} from './packets.ts';

const A4 = '10.2.0.2';
const A6 = 'fd00::2';
const R4 = '203.0.113.7';
const R6 = '2001:db8::7';

const stack = (limits: Partial<NetstackLimits> = {}, addresses = [A4, A6]): Netstack =>
  new Netstack({ addresses: addresses.map(ip), mtu: 1420, random: new SeededRandom(1), limits }, T0);

const bind = (net: Netstack, socket: number, family: 4 | 6, port: number, address?: string): void =>
  net.handleCommand({ kind: 'udp-bind', socket, family, port, ...(address ? { address: ip(address) } : {}) }, T0);

const send = (net: Netstack, socket: number, to: string, port: number, bytes: Uint8Array): void =>
  net.handleCommand({ kind: 'udp-send', socket, to: { address: ip(to), port }, bytes }, T0);

describe('UDP sockets (RFC 768)', () => {
  it.each([
    [4, A4, R4],
    [6, A6, R6],
  ] as const)('carries datagrams both ways over IPv%d', (family, local, remote) => {
    const net = stack();
    bind(net, 1, family, 6881);
    expect(eventsOf(net)).toMatchObject([{ kind: 'bound', socket: 1, local: { port: 6881 } }]);
    send(net, 1, remote, 1337, ascii('ping!'));
    const [packet] = packetsOf(net);
    const { header, payload } = parsePacket(packet!);
    expect(header).toMatchObject({ protocol: 17, hopLimit: 64, moreFragments: false });
    expect(checkUdp(packet!, header)).toBeUndefined();
    expect(portsOf(payload)).toEqual([6881, 1337]);
    expect(payload.subarray(8)).toEqual(ascii('ping!'));

    deliver(net, udpPacket({ from: remote, fromPort: 1337, to: local, toPort: 6881 }, ascii('pong')));
    const [event] = eventsOf(net);
    if (event?.kind !== 'udp-datagram') throw new Error(`expected udp-datagram, got ${event?.kind}`);
    expect(formatIp(event.from.address)).toBe(remote);
    expect(event).toMatchObject({ socket: 1, bytes: ascii('pong'), from: { port: 1337 } });
  });

  it('sets DF on every IPv4 packet, with identification 0 (RFC 1191 §3, RFC 6864 §4.1)', () => {
    const net = stack();
    bind(net, 1, 4, 0);
    send(net, 1, R4, 9, ascii('x'));
    const [packet] = packetsOf(net);
    expect(u32be(packet!, 4)).toBe(0x4000);
  });

  it('keeps the data of a datagram when the slab that it came in is overwritten', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    for (let i = 0; i < 40; i++)
      deliver(net, udpPacket({ from: R4, fromPort: i + 1, to: A4, toPort: 6881 }, new Uint8Array(1300).fill(i)));
    const datagrams = eventsOf(net).filter((event) => event.kind === 'udp-datagram');
    expect(
      datagrams.map((event) => [
        event.from.port,
        event.bytes.length,
        event.bytes.every((b) => b === event.from.port - 1),
      ]),
    ).toEqual(Array.from({ length: 40 }, (_, i) => [i + 1, 1300, true]));
  });

  it('hands over an empty datagram, and one of 65507 bytes less what the MTU allows', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    deliver(net, udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 6881 }, new Uint8Array(0)));
    expect(eventsOf(net).at(-1)).toMatchObject({ kind: 'udp-datagram', bytes: new Uint8Array(0) });
    send(net, 1, R4, 9, new Uint8Array(1420 - 28));
    send(net, 1, R4, 9, new Uint8Array(1420 - 27));
    expect(packetsOf(net).map((packet) => packet.length)).toEqual([1420]);
    expect(net.drops.toJSON()).toEqual({ 'udp-too-large': 1 });
  });

  it('takes IPv4 datagrams without checksum, and refuses them over IPv6 (RFC 768, RFC 8200 §8.1)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    bind(net, 2, 6, 6881);
    eventsOf(net);
    const v4 = udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 6881 }, ascii('a'));
    const v6 = udpPacket({ from: R6, fromPort: 1, to: A6, toPort: 6881 }, ascii('a'));
    setU16be(v4, 26, 0);
    setU16be(v6, 46, 0);
    deliver(net, v4);
    deliver(net, v6);
    expect(eventsOf(net)).toMatchObject([{ socket: 1 }]);
    expect(net.drops.toJSON()).toEqual({ 'udp-checksum': 1 });
  });

  it('sends an all-ones checksum where the computed one is zero (RFC 768)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    for (let i = 0; i < 65536; i += 1) {
      send(net, 1, R4, 9, Uint8Array.of(i >>> 8, i));
      const [packet] = packetsOf(net);
      if (u16be(packet!, 26) === 0) expect.fail(`checksum 0 for ${i}`);
    }
  });

  it.each([
    ['a wrong checksum', 'udp-checksum', (p: Uint8Array): void => p.set([p.at(-1)! ^ 1], p.length - 1)],
    ['a length beyond the packet', 'udp-truncated', (p: Uint8Array) => setU16be(p, 24, 2000)],
    ['a length below the header', 'udp-truncated', (p: Uint8Array) => setU16be(p, 24, 7)],
  ] as const)('drops and counts a datagram with %s', (_, reason, spoil) => {
    const net = stack();
    bind(net, 1, 4, 6881);
    eventsOf(net);
    const packet = udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 6881 }, ascii('abc'));
    spoil(packet);
    deliver(net, packet);
    expect(eventsOf(net)).toEqual([]);
    expect(packetsOf(net)).toEqual([]);
    expect(net.drops.of(reason)).toBe(1);
  });

  it('ignores padding behind the IP packet, as WireGuard adds it (whitepaper §5.4.6)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    deliver(net, concat(udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 6881 }, ascii('abc')), new Uint8Array(13)));
    expect(eventsOf(net).at(-1)).toMatchObject({ kind: 'udp-datagram', bytes: ascii('abc') });
  });

  it('refuses a port that is taken, unless both share it; the families are apart', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    bind(net, 2, 4, 6881);
    bind(net, 3, 6, 6881);
    for (const socket of [4, 5])
      net.handleCommand({ kind: 'udp-bind', socket, family: 4, port: 7000, reuseAddress: true }, T0);
    expect(eventsOf(net).map((event) => [event.kind, 'socket' in event && event.socket])).toEqual([
      ['bound', 1],
      ['closed', 2],
      ['bound', 3],
      ['bound', 4],
      ['bound', 5],
    ]);
    expect(net.counts().udp).toBe(4);
  });

  it('refuses to bind an address that is not ours (EADDRNOTAVAIL)', () => {
    const net = stack();
    bind(net, 1, 4, 0, '10.9.9.9');
    bind(net, 2, 4, 0, '0.0.0.0');
    bind(net, 3, 4, 0, A4);
    expect(eventsOf(net)).toMatchObject([
      { kind: 'closed', error: 'EADDRNOTAVAIL' },
      { kind: 'bound', socket: 2, local: { address: ip('0.0.0.0') } },
      { kind: 'bound', socket: 3, local: { address: ip(A4) } },
    ]);
  });

  it('frees the port on close, and says closed once', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    net.handleCommand({ kind: 'close', socket: 1 }, T0);
    net.handleCommand({ kind: 'close', socket: 1 }, T0);
    bind(net, 2, 4, 6881);
    expect(eventsOf(net).map((event) => event.kind)).toEqual(['bound', 'closed', 'bound']);
  });

  it('gives EMFILE beyond the bound of sockets', () => {
    const net = stack({ udpSockets: 2 });
    for (let i = 1; i <= 3; i++) bind(net, i, 4, 0);
    expect(eventsOf(net).at(-1)).toEqual({ kind: 'closed', socket: 3, error: 'EMFILE' });
  });

  it.each([
    ['another family', R6],
    ['loopback', '127.0.0.1'],
    ['multicast', '239.192.152.143'],
    ['broadcast', '255.255.255.255'],
    ['ourselves', A4],
    ['the unspecified address', '0.0.0.0'],
  ])('sends nothing to %s', (_, to) => {
    const net = stack();
    bind(net, 1, 4, 0);
    send(net, 1, to, 9, ascii('x'));
    expect(packetsOf(net)).toEqual([]);
    expect(net.drops.toJSON()).toEqual({ 'udp-no-route': 1 });
  });

  it('bounds the transmit queue and the datagrams that nobody takes, by name', () => {
    const net = stack({ udpTransmitQueue: 3, eventQueue: 2 });
    bind(net, 1, 4, 6881);
    for (let i = 0; i < 5; i++) send(net, 1, R4, 9, ascii('x'));
    for (let i = 0; i < 5; i++) deliver(net, udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 6881 }, ascii('x')));
    expect(packetsOf(net)).toHaveLength(3);
    expect(eventsOf(net)).toHaveLength(2);
    expect(net.drops.toJSON()).toEqual({ 'udp-transmit-queue-full': 2, 'udp-receive-queue-full': 4 });
  });

  it('drops what no longer fits when the MTU shrinks', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    for (const length of [1300, 100]) send(net, 1, R4, 9, new Uint8Array(length));
    net.setMtu(1280);
    expect(packetsOf(net).map((packet) => packet.length)).toEqual([128]);
    expect(net.drops.toJSON()).toEqual({ 'udp-too-large': 1 });
  });

  it('sends nothing to port 0 (RFC 768)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    send(net, 1, R4, 0, ascii('x'));
    expect([packetsOf(net), net.drops.toJSON()]).toEqual([[], { 'udp-no-route': 1 }]);
  });

  it('prefers the socket bound to the very address, and sends from that address', () => {
    const net = stack({}, ['10.2.0.2', '10.2.0.3']);
    bind(net, 1, 4, 6881, '10.2.0.3');
    bind(net, 2, 4, 6882);
    eventsOf(net);
    deliver(net, udpPacket({ from: R4, fromPort: 1, to: '10.2.0.2', toPort: 6881 }, ascii('x')));
    deliver(net, udpPacket({ from: R4, fromPort: 1, to: '10.2.0.3', toPort: 6881 }, ascii('x')));
    expect(eventsOf(net)).toMatchObject([{ socket: 1 }]);
    packetsOf(net);
    send(net, 1, R4, 9, ascii('x'));
    expect(packetsOf(net)[0]!.subarray(12, 16)).toEqual(ip('10.2.0.3').bytes);
  });
});

describe('what is dropped before any transport', () => {
  const flow = { from: R4, fromPort: 1, to: A4, toPort: 6881 };
  const drop = (packet: Uint8Array): Record<string, number> => {
    const net = stack();
    bind(net, 1, 4, 6881);
    eventsOf(net);
    deliver(net, packet);
    expect(eventsOf(net)).toEqual([]);
    expect(packetsOf(net)).toEqual([]);
    return net.drops.toJSON();
  };

  it('a packet for another address', () => {
    expect(drop(udpPacket({ ...flow, to: '10.2.0.9' }, ascii('x')))).toEqual({ 'not-our-address': 1 });
  });

  it.each([A4, '127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255'])(
    'a packet from %s, a martian (RFC 1122 §3.2.1.3)',
    (from) => {
      expect(drop(udpPacket({ ...flow, from }, ascii('x')))).toEqual({ 'martian-source': 1 });
    },
  );

  it.each(['::', '::1', 'ff02::1', '::ffff:1.2.3.4', A6])('a packet from %s, a martian (RFC 4291 §2.5)', (from) => {
    expect(drop(udpPacket({ ...flow, from, to: A6 }, ascii('x')))).toEqual({ 'martian-source': 1 });
  });

  it('a protocol that is not spoken', () => {
    expect(drop(ipPacket(47, R4, A4, new Uint8Array(20)))).toEqual({ 'protocol-unknown': 1 });
    expect(drop(ipPacket(58, R4, A4, new Uint8Array(20)))).toEqual({ 'protocol-unknown': 1 });
  });
});

describe('ICMP (RFC 792, RFC 4443)', () => {
  const body = ascii('abcdefghijklmnopqrstuvwabcdefghi');

  it.each([
    ['ICMP', A4, R4, 8, 0],
    ['ICMPv6', A6, R6, 128, 129],
  ] as const)(
    'answers an %s echo request with its identifier, sequence and data (RFC 1122 §3.2.2.6)',
    (_, local, remote, type, reply) => {
      const net = stack();
      deliver(net, icmpPacket(remote, local, type, 0, 0x12345678, body));
      const [packet] = packetsOf(net);
      const { header, payload } = parsePacket(packet!);
      expect(checkIcmp(packet!, header)).toBeUndefined();
      expect([payload[0], payload[1], u32be(payload, 4)]).toEqual([reply, 0, 0x12345678]);
      expect(payload.subarray(8)).toEqual(body);
      expect(packet!.subarray(header.destinationOffset).subarray(0, ip(remote).bytes.length)).toEqual(ip(remote).bytes);
    },
  );

  it.each([
    ['ICMP', A4, R4, 8, 0],
    ['ICMPv6', A6, R6, 128, 129],
  ] as const)('asks for an %s echo of any length, and tells who asked of the answer (RFC 8899 §4.1)', (...given) => {
    const [, local, remote, request, reply] = given;
    const net = stack();
    const replies: EchoReply[] = [];
    net.onEchoReply = (answer) => answer.ids === 0xfedcba98 && replies.push(answer) > 0;
    net.ping({ to: ip(remote), ids: 0xfedcba98, length: 1500 }, T0);
    const [packet] = packetsOf(net);
    const { header, payload } = parsePacket(packet!);
    expect(checkIcmp(packet!, header)).toBeUndefined();
    expect([packet!.length, payload[0], payload[1], u32be(payload, 4)]).toEqual([1500, request, 0, 0xfedcba98]);
    deliver(net, icmpPacket(remote, local, reply, 0, 0xfedcba98, payload.subarray(8)));
    expect(replies).toEqual([{ from: ip(remote), ids: 0xfedcba98, length: 1500 }]);
    deliver(net, icmpPacket(remote, local, reply, 0, 1, payload.subarray(8)));
    expect(net.drops.toJSON()).toEqual({ 'icmp-type-unknown': 1 });
  });

  it('asks nobody whom it has no address for', () => {
    const net = stack({}, [A4]);
    net.ping({ to: ip(R6), ids: 1, length: 1280 }, T0);
    expect(packetsOf(net)).toEqual([]);
  });

  it('limits the rate of its answers, which comes back with time (RFC 1812 §4.3.2.8)', () => {
    const net = stack();
    let answered = 0;
    for (let i = 0; i < 100; i++) {
      deliver(net, icmpPacket(R4, A4, 8, 0, i, body));
      answered += packetsOf(net).length;
    }
    expect(answered).toBe(50);
    expect(net.drops.of('icmp-rate-limited')).toBe(50);
    deliver(net, icmpPacket(R4, A4, 8, 0, 1, body), after(T0, 20));
    expect(packetsOf(net)).toHaveLength(1);
  });

  it('drops a message with a wrong checksum', () => {
    const net = stack();
    const packet = icmpPacket(R4, A4, 8, 0, 1, body);
    packet[30]! ^= 1;
    deliver(net, packet);
    expect(packetsOf(net)).toEqual([]);
    expect(net.drops.toJSON()).toEqual({ 'icmp-checksum': 1 });
  });

  it.each([
    [A4, R4, 3, 3, 576],
    [A6, R6, 1, 4, 1280],
  ] as const)(
    'answers a datagram to a closed port of %s with port unreachable that quotes it (RFC 1122 §4.1.3.1)',
    (local, remote, type, code, room) => {
      const net = stack();
      const datagram = udpPacket({ from: remote, fromPort: 5, to: local, toPort: 9 }, new Uint8Array(1300));
      deliver(net, datagram);
      const [packet] = packetsOf(net);
      expect(packet).toHaveLength(room);
      const { header, payload } = parsePacket(packet!);
      expect(checkIcmp(packet!, header)).toBeUndefined();
      expect([payload[0], payload[1]]).toEqual([type, code]);
      expect(payload.subarray(8)).toEqual(datagram.subarray(0, payload.length - 8));
    },
  );

  it('limits the rate of errors to 10 a second (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f))', () => {
    const net = stack();
    for (let i = 0; i < 100; i++) deliver(net, udpPacket({ from: R4, fromPort: 5, to: A4, toPort: i + 1 }, body));
    expect(packetsOf(net)).toHaveLength(10);
    expect(net.drops.toJSON()).toEqual({ 'udp-no-socket': 100, 'icmp-rate-limited': 90 });
  });

  it('never answers an ICMP error with another (RFC 1122 §3.2.2)', () => {
    const net = stack();
    deliver(net, icmpPacket(R4, A4, 3, 3, 0, udpPacket({ from: A4, fromPort: 5, to: R4, toPort: 9 }, body)));
    expect(packetsOf(net)).toEqual([]);
    expect(net.drops.toJSON()).toEqual({ 'icmp-error-unmatched': 1 });
  });

  it('tells errors about live UDP sockets from others (RFC 5927 §4)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    const quote = (from: string, fromPort: number): Uint8Array =>
      udpPacket({ from, fromPort, to: R4, toPort: 9 }, body).subarray(0, 28);
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 3, 0, quote(A4, 6881)));
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 3, 0, quote(A4, 6882)));
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 3, 0, quote('10.2.0.3', 6881)));
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 4, 600, quote(A4, 6881)));
    expect(net.drops.toJSON()).toEqual({ 'icmp-error-udp': 2, 'icmp-error-unmatched': 2 });
    expect(net.mtuFor(ip(R4), T0)).toBe(1420);
  });

  it('looks for eight bytes behind the quoted header, of a first fragment (RFC 792)', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    const quoted = udpPacket({ from: A4, fromPort: 6881, to: R4, toPort: 9 }, body);
    deliver(net, icmpPacket(R4, A4, 3, 3, 0, quoted.subarray(0, 27)));
    const fragment = Uint8Array.from(quoted);
    setU16be(fragment, 6, 0x0001);
    deliver(net, icmpPacket(R4, A4, 3, 3, 0, fragment));
    expect(net.drops.toJSON()).toEqual({ 'icmp-error-unmatched': 2 });
  });

  it('does not answer an echo request that is larger than what it can send', () => {
    const net = stack();
    deliver(net, icmpPacket(R4, A4, 8, 0, 1, new Uint8Array(1420 - 28)));
    deliver(net, icmpPacket(R4, A4, 8, 0, 2, new Uint8Array(1420 - 27)));
    expect(packetsOf(net).map((packet) => packet.length)).toEqual([1420]);
    expect(net.drops.toJSON()).toEqual({ 'icmp-too-large': 1 });
  });

  it.each([0, 1, 19, 20, 27])('survives an error that quotes only %d bytes', (length) => {
    const net = stack();
    const quoted = tcpPacket({ from: A4, fromPort: 5, to: R4, toPort: 9 }, 2).subarray(0, length);
    deliver(net, icmpPacket(R4, A4, 3, 3, 0, quoted));
    expect(net.drops.toJSON()).toEqual({ 'icmp-error-unmatched': 1 });
  });
});

describe('reset', () => {
  it('keeps UDP sockets and forgets what waited to be sent', () => {
    const net = stack();
    bind(net, 1, 4, 6881);
    send(net, 1, R4, 9, ascii('x'));
    net.reset('ECONNRESET', T0);
    expect(packetsOf(net)).toEqual([]);
    send(net, 1, R4, 9, ascii('y'));
    expect(packetsOf(net)).toHaveLength(1);
    expect(eventsOf(net).map((event) => event.kind)).toEqual(['bound']);
  });
});

it('writes header checksums that add up (RFC 791 §3.1)', () => {
  const packet = udpPacket({ from: R4, fromPort: 1, to: A4, toPort: 2 }, ascii('x'));
  expect(checksum(sum(packet, 0, 20))).toBe(0);
});
