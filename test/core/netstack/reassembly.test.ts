import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { concat, fromHex, setU16be, setU32be } from '../../../src/core/base/bytes.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { Netstack } from '../../../src/core/netstack/netstack.ts';
import { checksum, sum } from '../../../src/core/wire/checksum.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { deliver, eventsOf, ipPacket, packetsOf, parsePacket, T0, tcpPacket, udpPacket } from './packets.ts';

const A = { 4: '10.2.0.2', 6: 'fd00::2' } as const;
const B = { 4: '203.0.113.7', 6: '2001:db8::7' } as const;
type Family = 4 | 6;

const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31) >>> 3);
const later = (ms: number) => instant(T0 + ms);

const stack = (): Netstack => {
  const net = new Netstack({ addresses: [ip(A[4]), ip(A[6])], mtu: 1420, random: new SeededRandom(1) }, T0);
  net.handleCommand({ kind: 'udp-bind', socket: 4, family: 4, port: 6881 }, T0);
  net.handleCommand({ kind: 'udp-bind', socket: 6, family: 6, port: 6881 }, T0);
  eventsOf(net);
  return net;
};

const datagram = (family: Family, length: number): Uint8Array => {
  const packet = udpPacket({ from: B[family], fromPort: 9, to: A[family], toPort: 6881 }, data(length));
  return parsePacket(packet).payload;
};

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly more: boolean;
}

/** Cuts at these places, which are multiples of 8. */
const cut = (payload: Uint8Array, ...places: readonly number[]): Piece[] =>
  [0, ...places].map((offset, i) => ({
    offset,
    bytes: payload.subarray(offset, places[i] ?? payload.length),
    more: i < places.length,
  }));

const fragment = (family: Family, { offset, bytes, more }: Piece, id = 7, protocol = 17): Uint8Array => {
  if (family === 6) {
    const header = fromHex('1100000000000000');
    header[0] = protocol;
    setU16be(header, 2, offset | Number(more));
    setU32be(header, 4, id);
    return ipPacket(44, B[6], A[6], concat(header, bytes));
  }
  const packet = ipPacket(protocol, B[4], A[4], bytes);
  setU16be(packet, 4, id);
  setU16be(packet, 6, (offset >>> 3) | (more ? 0x2000 : 0));
  setU16be(packet, 10, 0);
  setU16be(packet, 10, checksum(sum(packet, 0, 20)));
  return packet;
};

const received = (net: Netstack): number[] =>
  eventsOf(net).map((event) => (event.kind === 'udp-datagram' ? event.bytes.length : -1));

describe.each([4, 6] as const)('fragments of UDP datagrams over IPv%d (RFC 815, RFC 8200 §4.5)', (family) => {
  it('make the datagram again, in any order, some of them twice', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 9, max: 5000 }),
        fc.array(fc.nat(600), { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(fc.nat()),
        (length, cuts, shuffle) => {
          const net = stack();
          const payload = datagram(family, length);
          const places = [...new Set(cuts.map((place) => 8 * (place + 1)))].filter((p) => p < payload.length);
          const pieces = cut(payload, ...places.sort((a, b) => a - b));
          const mixed = pieces
            .map((piece) => ({ piece, at: shuffle.next().value ?? 0 }))
            .sort((a, b) => a.at - b.at)
            .map(({ piece }) => piece);
          if (pieces.length > 1) deliver(net, fragment(family, mixed[0]!));
          for (const piece of mixed) deliver(net, fragment(family, piece));
          const [event] = eventsOf(net);
          expect(event?.kind === 'udp-datagram' && event.bytes).toEqual(data(length));
          expect(net.nextTimeout()).toBeUndefined();
        },
      ),
      { numRuns: 100 },
    );
  });

  it('of several datagrams are told apart by their identification', () => {
    const net = stack();
    const pieces = cut(datagram(family, 100), 40);
    deliver(net, fragment(family, pieces[0]!, 1));
    deliver(net, fragment(family, pieces[1]!, 2));
    expect(received(net)).toEqual([]);
    deliver(net, fragment(family, pieces[1]!, 1));
    expect(received(net)).toEqual([100]);
  });

  it('that overlap condemn their datagram, and what comes of it later (RFC 5722 §4)', () => {
    const net = stack();
    const payload = datagram(family, 100);
    const [first, second, third] = cut(payload, 40, 80) as [Piece, Piece, Piece];
    deliver(net, fragment(family, first));
    deliver(net, fragment(family, { offset: 32, bytes: payload.subarray(32, 80), more: true }));
    deliver(net, fragment(family, second));
    deliver(net, fragment(family, third));
    expect([received(net), net.drops.toJSON()]).toEqual([[], { 'fragment-overlap': 3 }]);
  });

  it.each([
    [
      'behind the end',
      [
        { offset: 80, more: false },
        { offset: 88, more: true },
      ],
    ],
    [
      'with a second end',
      [
        { offset: 80, more: false },
        { offset: 96, more: false },
      ],
    ],
    [
      'with an end before others',
      [
        { offset: 80, more: true },
        { offset: 40, more: false },
      ],
    ],
  ])('%s condemn it too', (_, places) => {
    const net = stack();
    for (const { offset, more } of places) deliver(net, fragment(family, { offset, more, bytes: new Uint8Array(8) }));
    expect(net.drops.toJSON()).toEqual({ 'fragment-overlap': 1 });
  });

  it.each([
    ['nothing', { offset: 8, bytes: new Uint8Array(0), more: true }],
    ['12 bytes and more to come', { offset: 0, bytes: new Uint8Array(12), more: true }],
    ['more than a datagram can have', { offset: 65_512, bytes: new Uint8Array(8), more: false }],
  ])('that carry %s are dropped', (_, piece) => {
    const net = stack();
    deliver(net, fragment(family, piece));
    expect([net.drops.toJSON(), net.nextTimeout()]).toEqual([{ 'fragment-invalid': 1 }, undefined]);
  });

  it('are forgotten after 30 s', () => {
    const net = stack();
    const [first, second] = cut(datagram(family, 100), 40) as [Piece, Piece];
    deliver(net, fragment(family, first));
    expect(net.nextTimeout()).toBe(later(30_000));
    net.handleTimeout(later(30_000));
    expect([net.nextTimeout(), net.drops.toJSON()]).toEqual([undefined, { 'fragment-timeout': 1 }]);
    deliver(net, fragment(family, second), later(30_000));
    expect(received(net)).toEqual([]);
  });

  it('of TCP are dropped', () => {
    const net = stack();
    const segment = parsePacket(tcpPacket({ from: B[family], fromPort: 9, to: A[family], toPort: 80 }, 2)).payload;
    for (const piece of cut(segment, 8)) deliver(net, fragment(family, piece, 7, 6));
    expect([packetsOf(net), net.drops.toJSON()]).toEqual([[], { 'fragment-unsupported': 2 }]);
  });
});

describe('the bounds of reassembly', () => {
  it('are 64 datagrams, the oldest giving way', () => {
    const net = stack();
    const [first, second] = cut(datagram(4, 100), 40) as [Piece, Piece];
    for (let id = 0; id < 65; id++) deliver(net, fragment(4, first, id));
    expect(net.drops.toJSON()).toEqual({ 'fragment-memory': 1 });
    deliver(net, fragment(4, second, 1));
    expect(received(net)).toEqual([100]);
  });

  it('are 64 pieces of a datagram', () => {
    const net = stack();
    for (let i = 0; i < 65; i++) deliver(net, fragment(4, { offset: 8 * i, bytes: new Uint8Array(8), more: true }));
    expect(net.drops.toJSON()).toEqual({ 'fragment-memory': 1 });
  });

  it('are 512 KiB over all', () => {
    const net = stack();
    const bytes = new Uint8Array(1400);
    for (let id = 0; id < 12; id++)
      for (let i = 0; i < 40; i++) deliver(net, fragment(4, { offset: 1400 * i, bytes, more: true }, id));
    // 12 × 56 000 bytes are 147 712 too many: three datagrams.
    expect(net.drops.of('fragment-memory')).toBe(3);
  });
});
