import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIp } from '../../src/core/base/address.ts';
import { decodeMessage, encodeQuery, TYPE_A, TYPE_AAAA } from '../../src/core/wire/dns.ts';
import { DnsZone } from '../../src/sandbox/dns-zone.ts';

function zone(): DnsZone {
  const names = new DnsZone();
  names.set('one.test', ['198.51.100.1', '2001:db8::1']);
  names.alias('www.one.test', 'one.test');
  names.alias('dangling.test', 'nowhere.test');
  return names;
}

/** What the zone says about a name, in words. */
function ask(names: DnsZone, name: string, type = TYPE_A, over: 'udp' | 'tcp' = 'udp'): string {
  const reply = names.answer(encodeQuery(7, { name, type }), over);
  const message = reply && decodeMessage(reply);
  if (!message) return 'silence';
  const records = message.answers.map((record) =>
    record.kind === 'address' ? formatIp(record.address) : record.kind === 'alias' ? `→${record.target}` : record.kind,
  );
  return [`rcode ${message.rcode}`, message.truncated ? 'truncated' : '', ...records].filter(Boolean).join(' ');
}

describe('the zone', () => {
  it('answers with addresses of the family that was asked for (RFC 1035 §3.2.2, RFC 3596)', () => {
    expect(ask(zone(), 'one.test')).toBe('rcode 0 198.51.100.1');
    expect(ask(zone(), 'one.test', TYPE_AAAA)).toBe('rcode 0 2001:db8::1');
  });

  it('follows aliases and shows the way (RFC 1034 §4.3.2), also to a name that does not exist (RFC 6604 §3)', () => {
    expect(ask(zone(), 'www.one.test')).toBe('rcode 0 →one.test 198.51.100.1');
    expect(ask(zone(), 'dangling.test')).toBe('rcode 3 →nowhere.test');
  });

  it('comes out of aliases that lead in a circle', () => {
    const names = zone();
    names.alias('a.test', 'b.test');
    names.alias('b.test', 'a.test');
    expect(ask(names, 'a.test')).toMatch(/^rcode 0 →b.test →a.test/);
  });

  it('says that a name does not exist, or that it has no address of a family, and for how long (RFC 2308)', () => {
    expect(ask(zone(), 'two.test')).toBe('rcode 3');
    const names = zone();
    names.set('v4.test', ['198.51.100.4']);
    expect(ask(names, 'v4.test', TYPE_AAAA)).toBe('rcode 0');
    const reply = decodeMessage(names.answer(encodeQuery(7, { name: 'two.test', type: TYPE_A }), 'udp')!)!;
    expect(reply.authorities).toMatchObject([{ kind: 'authority', minimumSeconds: 5 }]);
  });

  it('gives the question back letter by letter, for clients that check its case', () => {
    const query = encodeQuery(7, { name: 'OnE.tEsT', type: TYPE_A });
    const reply = zone().answer(query, 'udp')!;
    expect(reply.subarray(12, query.length)).toEqual(query.subarray(12));
  });

  it('adds, takes away single addresses, and forgets names', () => {
    const names = zone();
    names.add('one.test', ['198.51.100.2']);
    expect(ask(names, 'one.test')).toBe('rcode 0 198.51.100.1 198.51.100.2');
    names.delete('one.test', ['198.51.100.1']);
    expect(ask(names, 'one.test')).toBe('rcode 0 198.51.100.2');
    names.delete('one.test');
    expect(ask(names, 'one.test')).toBe('rcode 3');
    expect(() => names.set('a..b', [])).toThrow(RangeError);
    expect(() => names.set('a.test', ['not an address'])).toThrow(RangeError);
  });

  it('truncates over UDP what is longer than 512 bytes, and gives it whole over TCP (RFC 1035 §4.2.1)', () => {
    const names = zone();
    names.set(
      'many.test',
      Array.from({ length: 40 }, (_, i) => `198.51.100.${i}`),
    );
    expect(ask(names, 'many.test')).toBe('rcode 0 truncated');
    expect(ask(names, 'many.test', TYPE_A, 'tcp')).toMatch(/198\.51\.100\.39$/);
  });

  it('keeps a list of who was looked up, and how', () => {
    const names = zone();
    ask(names, 'one.test');
    ask(names, 'two.test', TYPE_AAAA, 'tcp');
    expect(names.log).toEqual([
      { name: 'one.test', type: TYPE_A, over: 'udp' },
      { name: 'two.test', type: TYPE_AAAA, over: 'tcp' },
    ]);
  });

  it('never throws, whatever the bytes', () => {
    const names = zone();
    const query = encodeQuery(7, { name: 'one.test', type: TYPE_A });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 0, max: 26 }), (bytes, keep) => {
        names.answer(bytes, 'udp');
        names.answer(Uint8Array.of(...query.subarray(0, keep), ...bytes), 'tcp');
      }),
      { numRuns: 3000 },
    );
  });
});

describe('the switches', () => {
  it('fall silent, fail, and truncate over UDP only', () => {
    const names = zone();
    names.truncate = true;
    expect([ask(names, 'one.test'), ask(names, 'one.test', TYPE_A, 'tcp')]).toEqual([
      'rcode 0 truncated',
      'rcode 0 198.51.100.1',
    ]);
    names.servfail = true;
    expect(ask(names, 'one.test')).toBe('rcode 2');
    names.silent = true;
    expect(ask(names, 'one.test')).toBe('silence');
  });
});
