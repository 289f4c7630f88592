/** Which exits are expected: configured, or learnt for the server's key (F18, F21, G4). */
import { beforeEach, describe, expect, it } from 'vitest';
import { formatPrefix, ip, parsePrefix } from '../../../src/core/base/address.ts';
import { Egress } from '../../../src/core/guard/egress.ts';
import type { ProbeAnswer } from '../../../src/core/guard/probe-answer.ts';
import { ProbeRound } from '../../../src/core/guard/probe-round.ts';

const KEY = new Uint8Array(32).fill(1);
const OTHER_KEY = new Uint8Array(32).fill(2);
const networks = (...texts: string[]) => texts.map((text) => parsePrefix(text)!);

let egress: Egress;
beforeEach(() => {
  egress = new Egress({});
});
const judge = (text: string, key = KEY): string => egress.judge(key, ip(text));
const expected = (family: 4 | 6 = 4): string[] => egress.expected(KEY, family).map(formatPrefix);

describe('Egress', () => {
  it('knows nothing at first: an unknown exit is no leak', () => {
    expect(judge('203.0.113.10')).toBe('unknown');
  });

  it('learns the /24 or /48 of an exit, so that rotation within it is no leak (F21)', () => {
    expect(egress.learn(KEY, ip('203.0.113.10'))).toBe(true);
    expect(egress.learn(KEY, ip('2001:db8:1:2::3'))).toBe(true);
    expect(expected()).toEqual(['203.0.113.0/24']);
    expect(expected(6)).toEqual(['2001:db8:1::/48']);
    expect([judge('203.0.113.99'), judge('203.0.114.1'), judge('2001:db8:1:ff::1'), judge('2001:db8:2::1')]).toEqual([
      'ok',
      'mismatch',
      'ok',
      'mismatch',
    ]);
  });

  it('takes the gateway’s word for an exit that is not the endpoint (G4: endpoint .11, exit .13)', () => {
    egress.learn(KEY, ip('79.135.104.13'));
    expect(judge('79.135.104.13')).toBe('ok');
  });

  it('learns for one server’s key and not for another', () => {
    egress.learn(KEY, ip('203.0.113.10'));
    expect(judge('203.0.113.10', OTHER_KEY)).toBe('unknown');
  });

  it('judges each family by what is known of that family', () => {
    egress.learn(KEY, ip('203.0.113.10'));
    expect(judge('2001:db8::1')).toBe('unknown');
  });

  it('lets configured networks count alone in their family (F18)', () => {
    egress = new Egress({ configured: networks('198.51.100.0/25', '192.0.2.9') });
    egress.learn(KEY, ip('203.0.113.10'));
    egress.learn(KEY, ip('2001:db8::1'));
    expect(
      ['198.51.100.7', '192.0.2.9', '192.0.2.10', '203.0.113.10', '2001:db8::1'].map((text) => judge(text)),
    ).toEqual(['ok', 'ok', 'mismatch', 'mismatch', 'ok']);
  });

  it('never learns an address of the host, and takes it for a mismatch even where nothing is known', () => {
    egress.setHostAddresses([ip('192.0.2.7')]);
    expect(egress.learn(KEY, ip('192.0.2.7'))).toBe(false);
    expect(judge('192.0.2.7')).toBe('mismatch');
    egress.learn(KEY, ip('192.0.2.8'));
    expect(judge('192.0.2.7')).toBe('mismatch');
    expect(judge('192.0.2.9')).toBe('ok');
  });

  it('never learns an address that is no exit', () => {
    for (const text of ['0.0.0.0', '10.2.0.1', '127.0.0.1', '::1', 'fd00::1'])
      expect(egress.learn(KEY, ip(text)), text).toBe(false);
    expect(expected()).toEqual([]);
  });

  it('takes a person’s word besides what is configured, and keeps it apart from what it learnt', () => {
    egress = new Egress({ configured: networks('198.51.100.7/32') });
    expect(egress.accept(KEY, ip('203.0.113.10'))).toBe(true);
    expect(expected()).toEqual(['198.51.100.7/32', '203.0.113.0/24']);
    expect([judge('203.0.113.99'), judge('203.0.113.99', OTHER_KEY)]).toEqual(['ok', 'mismatch']);
    egress = new Egress({ configured: networks('198.51.100.7/32'), learnt: egress.serialise() });
    expect(judge('203.0.113.99')).toBe('ok');
  });

  it('takes nobody’s word for an address that is private, or the host’s own', () => {
    egress.setHostAddresses([ip('192.0.2.7')]);
    expect([egress.accept(KEY, ip('10.0.0.1')), egress.accept(KEY, ip('192.0.2.7'))]).toEqual([false, false]);
  });

  it('survives a restart as text', () => {
    egress.learn(KEY, ip('203.0.113.10'));
    egress.learn(KEY, ip('2001:db8:1::1'));
    egress = new Egress({ learnt: egress.serialise() });
    expect([...expected(), ...expected(6)]).toEqual(['203.0.113.0/24', '2001:db8:1::/48']);
  });

  it('takes nothing from text that is not its own, least of all a network that lets everything pass', () => {
    const key = '01'.repeat(32);
    for (const learnt of [
      '',
      '{',
      '[]',
      '{"version":1}',
      '{"version":2,"learnt":{}}',
      `{"version":1,"learnt":{"${key}":1}}`,
    ])
      expect(new Egress({ learnt }).expected(KEY, 4), learnt).toEqual([]);
    const wide = JSON.stringify({
      version: 1,
      learnt: { [key]: ['0.0.0.0/0', '203.0.0.0/8', '10.0.0.0/24', 7], x: [] },
    });
    expect(new Egress({ learnt: wide }).expected(KEY, 4)).toEqual([]);
  });

  it('keeps sixteen networks for each family and 64 keys; the oldest give way', () => {
    egress.learn(KEY, ip('2001:db8::1'));
    for (let i = 0; i < 20; i++) egress.learn(KEY, ip(`203.0.${i}.1`));
    expect(expected()).toHaveLength(16);
    expect(expected()).not.toContain('203.0.3.0/24');
    expect(expected(6)).toHaveLength(1);
    for (let i = 0; i < 64; i++) egress.learn(new Uint8Array(32).fill(i + 10), ip('203.0.113.1'));
    expect(expected()).toEqual([]);
    expect(egress.serialise().length).toBeLessThan(20_000);
  });
});

describe('ProbeRound', () => {
  const said = (text: string): ProbeAnswer => ({ kind: 'address', address: ip(text) });
  const nothing: ProbeAnswer = { kind: 'unknown', why: 'not-an-address' };
  const run = (urls: number, ...answers: (ProbeAnswer | undefined)[]) => {
    const round = new ProbeRound(urls, (observed) => egress.judge(KEY, observed));
    const steps = [round.start(), ...answers.map((answer) => round.handleAnswer(answer))];
    return steps.map((step) => (step.kind === 'ask' ? step.url : step.kind));
  };
  const GOOD = said('203.0.113.10');
  const BAD = said('192.0.2.7');

  beforeEach(() => void egress.learn(KEY, ip('203.0.113.1')));

  it('is ok with the first expected answer', () => {
    expect(run(3, GOOD)).toEqual([0, 'ok']);
  });

  it('has a mismatch confirmed by the second server at once', () => {
    expect(run(3, BAD, BAD)).toEqual([0, 1, 'leak']);
  });

  it('has it confirmed by the same server if there is no other', () => {
    expect(run(1, BAD, BAD)).toEqual([0, 0, 'leak']);
  });

  it('asks on while the others fail, and the first again in the end', () => {
    expect(run(3, BAD, undefined, nothing, BAD)).toEqual([0, 1, 2, 0, 'leak']);
    expect(run(3, undefined, BAD, nothing, BAD)).toEqual([0, 1, 2, 1, 'leak']);
  });

  it('is unknown, neither leak nor ok, if one server says so and another not', () => {
    expect(run(3, BAD, GOOD)).toEqual([0, 1, 'unknown']);
  });

  it('is unknown if a mismatch cannot be confirmed', () => {
    expect(run(2, BAD, undefined, undefined)).toEqual([0, 1, 0, 'unknown']);
  });

  it('is unknown if nobody answers (F20)', () => {
    expect(run(3, undefined, nothing, undefined)).toEqual([0, 1, 2, 'unknown']);
  });

  it('learns an exit that two answers agree on where none was expected', () => {
    egress = new Egress({});
    expect(run(2, GOOD, said('203.0.113.99'))).toEqual([0, 1, 'learn']);
    expect(run(2, GOOD, BAD)).toEqual([0, 1, 'unknown']);
    expect(run(1, GOOD, GOOD)).toEqual([0, 0, 'learn']);
  });

  it('judges both answers by what is known at the second: the gateway may have spoken in between', () => {
    egress = new Egress({});
    const round = new ProbeRound(2, (observed) => egress.judge(KEY, observed));
    round.start();
    expect(round.handleAnswer(GOOD)).toMatchObject({ kind: 'ask' });
    egress.learn(KEY, ip('203.0.113.1'));
    expect(round.handleAnswer(GOOD)).toMatchObject({ kind: 'ok' });
  });

  it('does not learn what is the host’s own: two such answers are a leak', () => {
    egress = new Egress({});
    egress.setHostAddresses([ip('192.0.2.7')]);
    expect(run(2, BAD, BAD)).toEqual([0, 1, 'leak']);
  });

  it('needs a server to ask', () => {
    expect(() => new ProbeRound(0, () => 'ok')).toThrow(RangeError);
  });
});
