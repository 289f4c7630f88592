/** Answers of "what is my address" servers: an address of the right family, or unknown; never ok by mistake. */
import { describe, expect, it } from 'vitest';
import { formatIp, parseIp } from '../../../src/core/base/address.ts';
import { PROBE_ANSWER_LIMIT, parseProbeAnswer } from '../../../src/core/guard/probe-answer.ts';
import { isPublic } from '../../../src/core/guard/public-address.ts';
import { deep } from '../../support/deep.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(text: string, family: 4 | 6 = 4): string {
  const answer = parseProbeAnswer(bytes(text), family);
  return answer.kind === 'address' ? formatIp(answer.address) : answer.why;
}

describe('parseProbeAnswer', () => {
  it.each([
    ['plain text', '203.0.113.10'],
    ['a line', ' 203.0.113.10\r\n'],
    ['{"ip"} of ipify', '{"ip":"203.0.113.10"}'],
    ['a JSON string', '"203.0.113.10"'],
    ['what stands around it, in any script', '{"city":"Zürich","ip":"203.0.113.10","org":{"ip":"192.0.2.1"}}'],
    ['{"query"} of ip-api', '{"status":"success","query":"203.0.113.10"}'],
  ])('reads an address from %s', (_, text) => {
    expect(read(text)).toBe('203.0.113.10');
  });

  it('keeps the families apart', () => {
    expect(read('2001:db8:1::7\n', 6)).toBe('2001:db8:1::7');
    expect(read('2001:db8:1::7', 4)).toBe('wrong-family');
    expect(read('203.0.113.10', 6)).toBe('wrong-family');
  });

  it.each([
    ['nothing', ' \n', 'empty'],
    ['a captive portal', '<!DOCTYPE html><html><body>203.0.113.10</body></html>', 'not-an-address'],
    ['an error in words', 'Too many requests', 'not-an-address'],
    ['two addresses', '203.0.113.10, 203.0.113.11', 'not-an-address'],
    ['an address with more behind it', '203.0.113.10 is yours', 'not-an-address'],
    ['octal and short forms', '0313.0.0161.10', 'not-an-address'],
    ['JSON without an address', '{"error":true}', 'not-an-address'],
    ['JSON with a number for an address', '{"ip":3405803786}', 'not-an-address'],
    ['a JSON list', '["203.0.113.10"]', 'not-an-address'],
    ['cut JSON', '{"ip":"203.0.113.10"', 'not-an-address'],
    ['deep JSON', '['.repeat(4000), 'not-an-address'],
    ['the 0.0.0.0 of a blocking resolver', '0.0.0.0', 'not-public'],
    ['a private address', '192.168.1.20', 'not-public'],
    ['a carrier’s inner address', '100.64.3.4', 'not-public'],
    ['a loopback address', '{"ip":"127.0.0.1"}', 'not-public'],
    ['a multicast address', '239.1.2.3', 'not-public'],
  ])('takes %s for unknown', (_, text, why) => {
    expect(read(text)).toBe(why);
  });

  it.each(['::', '::1', '::ffff:203.0.113.10', '64:ff9b::cb00:710a', 'fe80::1', 'fd00::2', 'ff02::1'])(
    'takes %s for no exit',
    (text) => expect(read(text, 6)).toBe('not-public'),
  );

  it('reads no more than 4 KiB', () => {
    const padded = (length: number): string => `203.0.113.10${' '.repeat(length - 12)}`;
    expect(read(padded(PROBE_ANSWER_LIMIT))).toBe('203.0.113.10');
    expect(read(padded(PROBE_ANSWER_LIMIT + 1))).toBe('too-long');
  });

  it('never throws, and never makes an address that was not said', () => {
    const random = new SeededRandom(1);
    const samples = ['203.0.113.10', '{"ip":"203.0.113.10"}', '2001:db8::1'].map(bytes);
    for (let i = 0; i < deep(3_000, 100_000); i++) {
      const body = Uint8Array.from(samples[random.below(3)]!);
      for (let flips = random.below(4); flips >= 0; flips--) body[random.below(body.length)]! ^= 1 << random.below(8);
      const answer = parseProbeAnswer(body, 4);
      if (answer.kind !== 'address') continue;
      const said = String.fromCharCode(...body).match(/[\d.]+/g) ?? [];
      expect(said).toContain(formatIp(answer.address));
    }
  });
});

describe('isPublic', () => {
  it.each(['1.1.1.1', '203.0.113.10', '198.51.100.2', '172.32.0.1', '192.0.2.1', '2606:4700::1111', '2001:db8::1'])(
    '%s can be an exit',
    (text) => expect(isPublic(parseIp(text)!)).toBe(true),
  );
});
