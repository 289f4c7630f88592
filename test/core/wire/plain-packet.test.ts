import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setU16be } from '../../../src/core/base/bytes.ts';
import { checksum, sum } from '../../../src/core/wire/checksum.ts';
import { ipHeader, PROTOCOL_TCP } from '../../../src/core/wire/ip.ts';
import { parseIpPacket, writeIpHeader } from '../../../src/core/wire/ip-packet.ts';
import {
  PlainHeaders,
  type PlainTuple,
  parsePlain,
  plainSegment,
  plainSumIsRight,
} from '../../../src/core/wire/plain-packet.ts';
import { ACK, FIN, PSH, parseTcp, TcpSegment, writeTcpHeader, writeTimestamps } from '../../../src/core/wire/tcp.ts';
import { wordView } from '../../../src/core/wire/word-view.ts';

interface Packet {
  readonly addresses: Uint8Array;
  readonly ports: readonly [number, number];
  readonly numbers: Int32Array;
  readonly window: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

const packets: fc.Arbitrary<Packet> = fc.record({
  addresses: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  ports: fc.tuple(fc.nat(0xffff), fc.nat(0xffff)),
  numbers: fc.int32Array({ minLength: 4, maxLength: 4 }),
  window: fc.nat(0xffff),
  flags: fc.constantFrom(ACK, ACK | PSH),
  payload: fc.uint8Array({ maxLength: 90 }),
});

const OFFSET = 16;

/** As any stack writes it, byte by byte. */
function written({ addresses, ports, numbers, window, flags, payload }: Packet): Uint8Array {
  const bytes = new Uint8Array(200);
  const tcp = OFFSET + 20;
  const length = 32 + payload.length;
  bytes.set(payload, tcp + 32);
  writeIpHeader(bytes, OFFSET, length, PROTOCOL_TCP, addresses.subarray(0, 4), addresses.subarray(4));
  writeTcpHeader(bytes, tcp, ports[0], ports[1], numbers[0]!, numbers[1]!, flags, window, 12);
  writeTimestamps(bytes, tcp + 20, numbers[2]!, numbers[3]!);
  setU16be(bytes, tcp + 16, checksum(sum(bytes, tcp - 8, 8 + length, PROTOCOL_TCP + length)));
  return bytes;
}

const lengthOf = ({ payload }: Packet): number => 52 + payload.length;

/** What the short way makes of a packet. */
function short(bytes: Uint8Array, length: number, offset = OFFSET): TcpSegment | undefined {
  const segment = plainSegment();
  const tuple: PlainTuple = { source: 0, destination: 0, ports: 0 };
  const view = wordView(bytes);
  if (!parsePlain(view, offset, length, segment, tuple)) return undefined;
  return plainSumIsRight(view, offset, length) ? segment : undefined;
}

/** What the long way makes of it. */
function long(bytes: Uint8Array, length: number): TcpSegment | undefined {
  const ip = ipHeader();
  const segment = new TcpSegment();
  if (parseIpPacket(bytes, OFFSET, length, ip) || ip.moreFragments || ip.fragmentOffset > 0) return undefined;
  if (ip.protocol !== PROTOCOL_TCP || !parseTcp(bytes, ip.payloadOffset, ip.payloadLength, segment)) return undefined;
  const right = sum(bytes, ip.payloadOffset - 8, 8 + ip.payloadLength, PROTOCOL_TCP + ip.payloadLength) === 0xffff;
  return right ? segment : undefined;
}

describe('plain packets (RFC 791, RFC 9293 §3.1, RFC 7323 appendix A)', () => {
  it('are written with words as they are byte by byte', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const { addresses, ports, numbers, window, flags, payload } = packet;
        const bytes = new Uint8Array(200);
        bytes.set(payload, OFFSET + 52);
        const headers = new PlainHeaders(addresses.subarray(0, 4), addresses.subarray(4), ports[0], ports[1]);
        const [sequence, acknowledgement, timestamp, echo] = numbers as unknown as [number, number, number, number];
        const { length } = payload;
        expect(headers.write(bytes, OFFSET, sequence, acknowledgement, flags, window, timestamp, echo, length)).toBe(
          lengthOf(packet),
        );
        expect(bytes).toEqual(written(packet));
      }),
    );
  });

  it('are parsed with words as they are byte by byte', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const bytes = written(packet);
        const segment = short(bytes, lengthOf(packet));
        expect(segment).toBeDefined();
        expect(segment).toEqual(long(bytes, lengthOf(packet)));
      }),
    );
  });

  it('are no longer taken, or taken for the same, when any bit of the headers is another', () => {
    const packet = fc.sample(packets, { numRuns: 1, seed: 1 })[0]!;
    const length = lengthOf(packet);
    for (let bit = 0; bit < 52 * 8; bit++) {
      const bytes = written(packet);
      bytes[OFFSET + (bit >>> 3)]! ^= 1 << (bit & 7);
      expect(short(bytes, length), `bit ${bit}`).toBeUndefined();
      // With checksums that are right again, what is left of the difference is in the fields.
      setU16be(bytes, OFFSET + 10, 0);
      setU16be(bytes, OFFSET + 10, checksum(sum(bytes, OFFSET, 20)));
      setU16be(bytes, OFFSET + 36, 0);
      const segmentLength = length - 20;
      setU16be(bytes, OFFSET + 36, checksum(sum(bytes, OFFSET + 12, 8 + segmentLength, PROTOCOL_TCP + segmentLength)));
      const taken = short(bytes, length);
      if (taken) expect(taken, `bit ${bit}`).toEqual(long(bytes, length));
    }
  });

  it('are only those with nothing else in them: no FIN, no fragment, nothing behind', () => {
    const packet = fc.sample(packets, { numRuns: 1, seed: 2 })[0]!;
    const length = lengthOf(packet);
    expect(short(written({ ...packet, flags: ACK | FIN }), length)).toBeUndefined();
    expect(short(written(packet), length + 1)).toBeUndefined();
    expect(short(written({ ...packet, payload: new Uint8Array(0) }), 51)).toBeUndefined();
  });

  it('are left to the long way where words do not begin', () => {
    const packet = fc.sample(packets, { numRuns: 1, seed: 3 })[0]!;
    const bytes = new Uint8Array(201);
    bytes.set(written(packet), 1);
    expect(short(bytes, lengthOf(packet), OFFSET + 1)).toBeUndefined();
    const headers = new PlainHeaders(new Uint8Array(4), new Uint8Array(4), 1, 2);
    expect(headers.write(bytes, OFFSET + 1, 0, 0, ACK, 0, 0, 0, 0)).toBe(0);
    // Where the memory begins counts, too.
    expect(short(bytes.subarray(1), lengthOf(packet), OFFSET)).toBeUndefined();
    const shifted = new Uint8Array(300).subarray(3);
    shifted.set(written(packet), 1);
    expect(short(shifted, lengthOf(packet), OFFSET + 1)).toBeDefined();
  });
});
