import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { ascii, concat, fromHex, setU16be, setU32be } from '../../../src/core/base/bytes.ts';
import {
  type DnsRecord,
  decodeMessage,
  encodeName,
  encodeQuery,
  encodeReply,
  TYPE_A,
  TYPE_AAAA,
} from '../../../src/core/wire/dns.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const question = { name: 'tracker.example.com', type: TYPE_A };

/** Header of a reply with these counts, then what follows. */
const raw = (counts: readonly [number, number, number], ...rest: Uint8Array[]): Uint8Array => {
  const header = fromHex('123481800000000000000000');
  counts.forEach((count, i) => {
    setU16be(header, 4 + 2 * i, count);
  });
  return concat(header, ...rest);
};
const fixed = (type: number, length: number, ttl = 60, recordClass = 1): Uint8Array => {
  const bytes = new Uint8Array(10);
  setU16be(bytes, 0, type);
  setU16be(bytes, 2, recordClass);
  setU32be(bytes, 4, ttl);
  setU16be(bytes, 8, length);
  return bytes;
};
const pointer = (target: number): Uint8Array => Uint8Array.of(0xc0 | (target >>> 8), target);

describe('DNS messages (RFC 1035 §4)', () => {
  it('writes a query as the standard draws it, recursion desired', () => {
    expect(encodeQuery(0x1234, { name: 'a.bc', type: TYPE_AAAA })).toEqual(
      concat(fromHex('123401000001000000000000'), fromHex('01610262630000 1c0001'.replace(' ', ''))),
    );
  });

  it('reads a reply with compressed names, as a server sent it', () => {
    const message = decodeMessage(
      raw(
        [1, 2, 0],
        encodeName('WWW.Example.com'),
        fromHex('00010001'),
        pointer(12),
        fixed(5, 6),
        concat(Uint8Array.of(3), ascii('cdn'), pointer(16)),
        concat(Uint8Array.of(3), ascii('CDN'), pointer(16)),
        fixed(1, 4, 300),
        Uint8Array.of(192, 0, 2, 1),
      ),
    );
    expect(message).toMatchObject({
      id: 0x1234,
      response: true,
      truncated: false,
      rcode: 0,
      question: { name: 'www.example.com', type: TYPE_A },
      answers: [
        { kind: 'alias', name: 'www.example.com', target: 'cdn.example.com', ttlSeconds: 60 },
        { kind: 'address', name: 'cdn.example.com', ttlSeconds: 300, address: ip('192.0.2.1') },
      ],
    });
  });

  it('returns what it wrote, for any records', () => {
    const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
    const name = fc.array(label, { maxLength: 6 }).map((labels) => labels.join('.'));
    const ttlSeconds = fc.nat({ max: 0x7fffffff });
    const record: fc.Arbitrary<DnsRecord> = fc.oneof(
      fc.record({
        kind: fc.constant('address' as const),
        name,
        ttlSeconds,
        address: fc.constantFrom(ip('192.0.2.1'), ip('2001:db8::1')),
      }),
      fc.record({ kind: fc.constant('alias' as const), name, ttlSeconds, target: name }),
      fc.record({ kind: fc.constant('authority' as const), name, ttlSeconds, minimumSeconds: ttlSeconds }),
    );
    fc.assert(
      fc.property(
        name,
        fc.array(record, { maxLength: 5 }),
        fc.array(record, { maxLength: 3 }),
        (asked, answers, authorities) => {
          const bytes = encodeReply({ id: 7, question: { name: asked, type: TYPE_A }, answers, authorities, rcode: 3 });
          expect(decodeMessage(bytes)).toEqual({
            id: 7,
            response: true,
            opcode: 0,
            truncated: false,
            recursionDesired: true,
            rcode: 3,
            question: { name: asked, type: TYPE_A },
            answers,
            authorities,
          });
        },
      ),
    );
  });

  it.each([
    ['to itself', raw([1, 0, 0], pointer(12), fromHex('00010001'))],
    ['forward', raw([1, 0, 0], pointer(14), fromHex('00010001'), encodeName('a'))],
    ['back and forth', raw([1, 0, 0], concat(Uint8Array.of(1, 0x61), pointer(12)), fromHex('00010001'))],
    ['beyond the end', raw([1, 0, 0], pointer(0x3fff))],
    ['cut in half', raw([1, 0, 0], Uint8Array.of(0xc0))],
  ])('refuses a compression pointer %s (RFC 1035 §4.1.4)', (_, bytes) => {
    expect(decodeMessage(bytes)).toBeUndefined();
  });

  it('reads a long chain of pointers in time proportional to its length, and no name beyond 255 bytes', () => {
    const pieces = [encodeName('a')];
    for (let at = 12; at < 2000; at += 2) pieces.push(pointer(Math.max(12, pieces.length === 1 ? 12 : at - 1)));
    expect(decodeMessage(raw([1, 0, 0], ...pieces))).toBeDefined();
    const long = Array.from({ length: 130 }, () => Uint8Array.of(1, 0x61));
    expect(decodeMessage(raw([1, 0, 0], ...long, fromHex('0000010001')))).toBeUndefined();
    const longest = Array.from({ length: 127 }, () => Uint8Array.of(1, 0x61));
    expect(decodeMessage(raw([1, 0, 0], ...longest, fromHex('0000010001')))?.question?.name).toHaveLength(253);
  });

  it.each([
    ['an address of the wrong length', raw([0, 1, 0], encodeName('a'), fixed(1, 5), new Uint8Array(5))],
    ['a record beyond the end', raw([0, 1, 0], encodeName('a'), fixed(1, 4), new Uint8Array(3))],
    ['fewer records than announced', raw([0, 2, 0], encodeName('a'), fixed(1, 4), new Uint8Array(4))],
    [
      'an alias that does not fill its record',
      raw([0, 1, 0], encodeName('a'), fixed(5, 4), encodeName('b'), Uint8Array.of(0)),
    ],
    ['a dot in a label', raw([1, 0, 0], Uint8Array.of(3, 0x61, 0x2e, 0x62, 0), fromHex('00010001'))],
    ['a label of a reserved kind', raw([1, 0, 0], Uint8Array.of(0x41, 0, 0), fromHex('00010001'))],
    ['two questions', raw([2, 0, 0], encodeName('a'), fromHex('00010001'), encodeName('a'), fromHex('00010001'))],
    ['less than a header', new Uint8Array(11)],
    [
      'more records than are read',
      raw([0, 257, 0], ...Array.from({ length: 257 }, () => concat(encodeName('a'), fixed(1, 4), new Uint8Array(4)))),
    ],
  ])('refuses %s', (_, bytes) => {
    expect(decodeMessage(bytes)).toBeUndefined();
  });

  it('keeps the whole records of a truncated message (RFC 2181 §9)', () => {
    const bytes = raw([0, 2, 0], encodeName('a'), fixed(1, 4), Uint8Array.of(1, 2, 3, 4), Uint8Array.of(1));
    bytes[2]! |= 2;
    expect(decodeMessage(bytes)).toMatchObject({ truncated: true, answers: [{ kind: 'address' }] });
  });

  it('skips records of other types and classes, and takes a TTL with the high bit as 0 (RFC 2181 §8)', () => {
    const bytes = raw(
      [0, 3, 0],
      concat(encodeName('a'), fixed(16, 3), new Uint8Array(3)),
      concat(encodeName('a'), fixed(1, 4, 60, 3), new Uint8Array(4)),
      concat(encodeName('a'), fixed(1, 4, 0x80000000), new Uint8Array(4)),
    );
    expect(decodeMessage(bytes)?.answers).toEqual([
      { kind: 'address', name: 'a', ttlSeconds: 0, address: ip('0.0.0.0') },
    ]);
  });

  it.each(['a..b', '.', `${'x'.repeat(64)}.com`, 'bücher.example', 'a b', Array(128).fill('a').join('.')])(
    'throws on a name that cannot be encoded: %s',
    (name) => {
      expect(() => encodeName(name)).toThrow(RangeError);
    },
  );

  it('never throws, on noise and on 100 000 mutations of valid messages', () => {
    const random = new SeededRandom(1);
    const answers: DnsRecord[] = [
      { kind: 'alias', name: question.name, ttlSeconds: 60, target: 'x.example.com' },
      { kind: 'address', name: 'x.example.com', ttlSeconds: 60, address: ip('192.0.2.1') },
    ];
    const authorities: DnsRecord[] = [{ kind: 'authority', name: 'example.com', ttlSeconds: 60, minimumSeconds: 60 }];
    const valid = [
      encodeQuery(1, question),
      encodeReply({ id: 1, question, answers, authorities }),
      raw([1, 0, 0], pointer(2)),
    ];
    let decoded = 0;
    for (let i = 0; i < 100_000; i++) {
      const bytes = Uint8Array.from(valid[i % valid.length]!);
      for (let changes = random.below(6); changes > 0; changes--) bytes[random.below(bytes.length)] = random.u32();
      if (decodeMessage(random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes)) decoded++;
    }
    expect(decoded).toBeGreaterThan(10_000);
    expect(decoded).toBeLessThan(95_000);
  });
});
