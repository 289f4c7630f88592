/** TCP as part of the stack; its own behaviour is the matter of `tcp/`. */
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { ascii, u32be } from '../../../src/core/base/bytes.ts';
import { after, type Instant } from '../../../src/core/base/instant.ts';
import type { SocketEvent } from '../../../src/core/netstack/messages.ts';
import { Netstack } from '../../../src/core/netstack/netstack.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { deliver, eventsOf, icmpPacket, packetsOf, parsePacket, portsOf, T0 } from './packets.ts';

const A4 = '10.2.0.2';
const B4 = '203.0.113.7';
const A6 = 'fd00::2';
const B6 = '2001:db8::7';

const stack = (addresses: readonly string[], seed = 1): Netstack =>
  new Netstack({ addresses: addresses.map(ip), mtu: 1420, random: new SeededRandom(seed) }, T0);

/** Carries packets both ways until there are none. */
function exchange(a: Netstack, b: Netstack, now: Instant = T0): void {
  for (let busy = true; busy; ) {
    busy = false;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      for (const packet of packetsOf(from, now)) {
        busy = true;
        deliver(to, packet, now);
      }
  }
}

const dial = (net: Netstack, socket: number, to: string, port: number): void =>
  net.handleCommand({ kind: 'tcp-connect', socket, to: { address: ip(to), port } }, T0);

const textOf = (events: readonly SocketEvent[]): string =>
  events.map((event) => (event.kind === 'tcp-data' ? Buffer.from(event.bytes).toString() : '')).join('');

describe('TCP over the stack', () => {
  it.each([
    [A4, B4],
    [A6, B6],
  ])('connects %s with a listener at %s, carries bytes both ways and closes', (local, remote) => {
    const a = stack([A4, A6]);
    const b = stack([B4, B6], 2);
    b.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 5 }, T0);
    dial(a, 1, remote, 80);
    exchange(a, b);
    const accepted = eventsOf(b).find((event) => event.kind === 'tcp-accepted');
    expect(accepted).toMatchObject({ remote: { address: ip(local) }, local: { address: ip(remote), port: 80 } });
    expect(eventsOf(a)).toMatchObject([{ kind: 'tcp-connected', socket: 1 }]);
    const peer = accepted!.kind === 'tcp-accepted' ? accepted!.socket : 0;
    a.handleCommand({ kind: 'tcp-write', socket: 1, bytes: ascii('GET /') }, T0);
    exchange(a, b);
    expect(textOf(eventsOf(b))).toBe('GET /');
    b.handleCommand({ kind: 'tcp-write', socket: peer, bytes: ascii('200 OK') }, T0);
    b.handleCommand({ kind: 'tcp-shutdown', socket: peer }, T0);
    exchange(a, b);
    const events = eventsOf(a);
    expect(textOf(events)).toBe('200 OK');
    expect(events.some((event) => event.kind === 'tcp-end')).toBe(true);
    expect([a.counts(), b.counts()]).toMatchObject([
      { tcp: 1, listening: 0 },
      { tcp: 1, listening: 1 },
    ]);
    a.handleCommand({ kind: 'tcp-shutdown', socket: 1 }, T0);
    exchange(a, b);
    expect(eventsOf(a).at(-1)).toEqual({ kind: 'closed', socket: 1 });
    expect(a.counts().tcp).toBe(0);
  });

  it('refuses what nobody listens for with RST, which ends the connection (RFC 9293 §3.10.7.1)', () => {
    const a = stack([A4]);
    const b = stack([B4], 2);
    dial(a, 1, B4, 81);
    exchange(a, b);
    expect(eventsOf(a)).toEqual([{ kind: 'closed', socket: 1, error: 'ECONNREFUSED' }]);
  });

  it('shares its ports with nobody: an ephemeral connection never gets a listener’s', () => {
    const net = stack([A4]);
    dial(net, 1, B4, 80);
    const [syn] = packetsOf(net);
    const [port] = portsOf(parsePacket(syn!).payload);
    expect(port).toBeGreaterThanOrEqual(32768);
    net.handleCommand({ kind: 'tcp-listen', socket: 2, port: 6881, backlog: 5 }, T0);
    net.handleCommand({ kind: 'tcp-listen', socket: 3, port: 6881, backlog: 5 }, T0);
    expect(eventsOf(net).at(-1)).toEqual({ kind: 'closed', socket: 3, error: 'EADDRINUSE' });
  });

  it.each([
    ['another family', B6],
    ['ourselves', A4],
    ['loopback', '127.0.0.1'],
    ['multicast', '224.0.0.1'],
  ])('cannot reach %s (ENETUNREACH)', (_, to) => {
    const net = stack([A4]);
    dial(net, 1, to, 80);
    expect(eventsOf(net)).toEqual([{ kind: 'closed', socket: 1, error: 'ENETUNREACH' }]);
    expect(packetsOf(net)).toEqual([]);
  });

  it('leaves from and listens on its own addresses alone; the unspecified one means any', () => {
    const net = stack([A4]);
    const to = { address: ip(B4), port: 80 };
    net.handleCommand({ kind: 'tcp-connect', socket: 1, to, localAddress: ip('10.9.9.9') }, T0);
    net.handleCommand({ kind: 'tcp-listen', socket: 2, port: 80, backlog: 1, address: ip('10.9.9.9') }, T0);
    net.handleCommand({ kind: 'tcp-listen', socket: 3, port: 80, backlog: 1, address: ip('0.0.0.0') }, T0);
    net.handleCommand({ kind: 'tcp-connect', socket: 4, to, localAddress: ip('0.0.0.0') }, T0);
    net.handleCommand({ kind: 'tcp-connect', socket: 5, to, localAddress: ip(A4) }, T0);
    expect(eventsOf(net)).toMatchObject([
      { kind: 'closed', socket: 1, error: 'EADDRNOTAVAIL' },
      { kind: 'closed', socket: 2, error: 'EADDRNOTAVAIL' },
      { kind: 'bound', socket: 3 },
    ]);
    expect(packetsOf(net)).toHaveLength(2);
  });

  it('takes turns between TCP and UDP when both have much to send', () => {
    const a = stack([A4]);
    const b = stack([B4], 2);
    b.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 5 }, T0);
    dial(a, 1, B4, 80);
    exchange(a, b);
    a.handleCommand({ kind: 'udp-bind', socket: 2, family: 4, port: 0 }, T0);
    a.handleCommand({ kind: 'tcp-write', socket: 1, bytes: new Uint8Array(8 * 1300) }, T0);
    for (let i = 0; i < 8; i++)
      a.handleCommand({ kind: 'udp-send', socket: 2, to: { address: ip(B4), port: 9 }, bytes: ascii('x') }, T0);
    const protocols = packetsOf(a).map((packet) => parsePacket(packet).header.protocol);
    expect(protocols.slice(0, 12).filter((protocol) => protocol === 17)).toHaveLength(6);
  });

  it('ends all connections at a reset, and keeps listeners', () => {
    const net = stack([A4]);
    net.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 5 }, T0);
    dial(net, 2, B4, 80);
    net.reset('ECONNABORTED', T0);
    expect(eventsOf(net)).toMatchObject([{ kind: 'bound' }, { kind: 'closed', socket: 2, error: 'ECONNABORTED' }]);
    expect([packetsOf(net), net.counts()]).toMatchObject([[], { tcp: 0, listening: 1 }]);
  });

  it('retransmits by its timer', () => {
    const net = stack([A4]);
    dial(net, 1, B4, 80);
    packetsOf(net);
    const due = net.nextTimeout()!;
    net.handleTimeout(due);
    expect(packetsOf(net, due)).toHaveLength(1);
  });
});

describe('ICMP errors about TCP (RFC 5927)', () => {
  const established = (): { net: Netstack; segment: Uint8Array } => {
    const net = stack([A4]);
    const peer = stack([B4], 2);
    peer.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 5 }, T0);
    dial(net, 1, B4, 80);
    exchange(net, peer);
    net.handleCommand({ kind: 'tcp-write', socket: 1, bytes: new Uint8Array(1300) }, T0);
    const [segment] = packetsOf(net);
    return { net, segment: segment! };
  };

  it('believe a packet too big about a segment in flight, for ten minutes (RFC 1191 §6.3)', () => {
    const { net, segment } = established();
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 4, 1280, segment.subarray(0, 28)));
    expect(net.mtuFor(ip(B4), T0)).toBe(1280);
    expect(packetsOf(net).every((packet) => packet.length <= 1280)).toBe(true);
    expect(net.mtuFor(ip(B4), after(T0, 600_000))).toBe(1420);
    expect(net.drops.of('icmp-error-unmatched')).toBe(0);
  });

  it('believe none that quotes a sequence number out of flight (§4.1), or a connection that is not', () => {
    const { net, segment } = established();
    const wrongSequence = Uint8Array.from(segment.subarray(0, 28));
    wrongSequence[24]! ^= 0x80;
    expect(u32be(wrongSequence, 24)).not.toBe(u32be(segment, 24));
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 4, 1280, wrongSequence));
    const wrongPort = Uint8Array.from(segment.subarray(0, 28));
    wrongPort[23]! ^= 1;
    deliver(net, icmpPacket('198.51.100.1', A4, 3, 4, 1280, wrongPort));
    expect(net.mtuFor(ip(B4), T0)).toBe(1420);
    expect(net.drops.of('icmp-error-unmatched')).toBe(2);
  });

  it('end a connection attempt that is refused by a host (RFC 1122 §4.2.3.9)', () => {
    const net = stack([A4]);
    dial(net, 1, B4, 80);
    const [syn] = packetsOf(net);
    deliver(net, icmpPacket(B4, A4, 3, 3, 0, syn!.subarray(0, 28)));
    expect(eventsOf(net)).toEqual([{ kind: 'closed', socket: 1, error: 'ECONNREFUSED' }]);
  });
});
