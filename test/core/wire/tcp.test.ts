import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseTcp,
  TcpSegment,
  writeSackBlocks,
  writeSynOptions,
  writeTcpHeader,
  writeTimestamps,
} from '../../../src/core/wire/tcp.ts';

const parse = (bytes: Uint8Array, length = bytes.length): TcpSegment | undefined => {
  const segment = new TcpSegment();
  return parseTcp(bytes, 0, length, segment) ? segment : undefined;
};

/** A header with these option bytes, padded to a multiple of four. */
const withOptions = (...options: number[]): Uint8Array => {
  const size = Math.ceil(options.length / 4) * 4;
  const bytes = new Uint8Array(20 + size);
  writeTcpHeader(bytes, 0, 1, 2, 3, 4, 16, 5, size);
  bytes.set(options, 20);
  return bytes;
};

describe('TCP headers (RFC 9293 §3.1)', () => {
  it('come back as they were written', () => {
    const int = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const port = fc.nat(65_535);
    fc.assert(
      fc.property(
        port,
        port,
        int,
        int,
        fc.nat(63),
        port,
        fc.nat(1400),
        (source, destination, seq, ack, flags, window, n) => {
          const bytes = new Uint8Array(20 + n);
          writeTcpHeader(bytes, 0, source, destination, seq, ack, flags, window, 0);
          expect(parse(bytes)).toMatchObject({
            sourcePort: source,
            destinationPort: destination,
            sequence: seq,
            acknowledgement: ack,
            flags,
            window,
            payloadOffset: 20,
            payloadLength: n,
            length: n + (flags & 1) + ((flags >> 1) & 1),
            hasTimestamps: false,
          });
        },
      ),
    );
  });

  it('are refused when short, or when the data offset is below 20 or beyond the segment', () => {
    const bytes = new Uint8Array(40);
    writeTcpHeader(bytes, 0, 1, 2, 3, 4, 16, 5, 20);
    expect(parse(bytes)).toBeDefined();
    expect(parse(bytes, 39)).toBeUndefined();
    expect(parse(bytes, 19)).toBeUndefined();
    bytes[12] = 0x40;
    expect(parse(bytes)).toBeUndefined();
  });
});

describe('TCP options', () => {
  it('of a SYN come back: MSS, window scale, SACK-permitted, timestamps', () => {
    const bytes = new Uint8Array(60);
    let length = writeSynOptions(bytes, 20, 1380, 8, true);
    writeTimestamps(bytes, 20 + length, -5, 77);
    length += 12;
    writeTcpHeader(bytes, 0, 1, 2, 3, 0, 2, 5, length);
    expect(parse(bytes, 20 + length)).toMatchObject({
      maximumSegmentSize: 1380,
      windowScale: 8,
      sackPermitted: true,
      hasTimestamps: true,
      timestampValue: -5,
      timestampEcho: 77,
    });
  });

  it('of SACK come back, three of them beside timestamps', () => {
    const bytes = new Uint8Array(60);
    writeTimestamps(bytes, 20, 1, 2);
    const starts = Int32Array.of(1, 100, 0x7fff_fff0);
    const ends = Int32Array.of(2, 200, -0x7fff_fff0);
    const length = 12 + writeSackBlocks(bytes, 32, 3, starts, ends);
    writeTcpHeader(bytes, 0, 1, 2, 3, 4, 16, 5, length);
    const segment = parse(bytes, 20 + length)!;
    expect(segment.sackBlocks).toBe(3);
    expect([...segment.sackStart.subarray(0, 3)]).toEqual([...starts]);
    expect([...segment.sackEnd.subarray(0, 3)]).toEqual([...ends]);
  });

  it('that are unknown, or of a length they cannot have, are passed over (§3.1 MUST-6, MUST-7)', () => {
    expect(parse(withOptions(253, 4, 1, 2, 2, 4, 5, 180))).toMatchObject({ maximumSegmentSize: 1460 });
    expect(parse(withOptions(2, 3, 9, 3, 3, 7))).toMatchObject({ maximumSegmentSize: 0, windowScale: 7 });
  });

  it('that run over the header make it malformed', () => {
    expect(parse(withOptions(2, 5, 1, 2))).toBeUndefined();
    expect(parse(withOptions(1, 1, 1, 8))).toBeUndefined();
    expect(parse(withOptions(8, 0, 0, 0))).toBeUndefined();
    expect(parse(withOptions(8, 1, 0, 0))).toBeUndefined();
  });

  it('end at the end-of-options mark', () => {
    expect(parse(withOptions(0, 3, 3, 7))).toMatchObject({ windowScale: -1 });
  });

  it('take a window scale above 14 for 14 (RFC 7323 §2.3)', () => {
    expect(parse(withOptions(3, 3, 255, 0))).toMatchObject({ windowScale: 14 });
  });

  it('of one segment do not leak into the next', () => {
    const segment = new TcpSegment();
    const first = withOptions(2, 4, 5, 180, 3, 3, 7, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0);
    expect(parseTcp(first, 0, first.length, segment)).toBe(true);
    const second = withOptions();
    expect(parseTcp(second, 0, second.length, segment)).toBe(true);
    expect(segment).toMatchObject({
      maximumSegmentSize: 0,
      windowScale: -1,
      sackPermitted: false,
      hasTimestamps: false,
    });
  });

  it('never throw, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 80 }), (bytes) => {
        parse(bytes);
        if (bytes.length > 12) bytes[12]! |= 0xf0;
        parse(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
