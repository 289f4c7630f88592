/** The guard's table as data: every combination of reasons, and the words that go with it. */
import { describe, expect, it } from 'vitest';
import { EFFECTS, effectOf, GUARD_REASONS, type GuardReason, READY, stateOf } from '../../../src/core/guard/policy.ts';
import { explain, SENTENCES, type SentenceCode } from '../../../src/core/guard/reasons.ts';

const SETS: readonly GuardReason[][] = Array.from({ length: 16 }, (_, bits) =>
  GUARD_REASONS.filter((_, i) => bits & (1 << i)),
);

const condition = (reasons: GuardReason[], more: Partial<Parameters<typeof stateOf>[0]> = {}) => ({
  reasons: new Set(reasons),
  killswitch: true,
  connectedBefore: true,
  impaired: false,
  helpless: false,
  ...more,
});

describe('the table of the design', () => {
  it.each([
    ['starting', 'closed', 'leave', 'closed', 'leave'],
    ['stale', 'hold', 'pause', 'open', 'leave'],
    ['leak', 'probe', 'pause', 'open', 'leave'],
    ['user', 'closed', 'pause', 'closed', 'leave'],
  ] as const)('%s: on %s and %s, off %s and %s', (reason, flowOn, clientsOn, flowOff, clientsOff) => {
    expect(EFFECTS.on[reason]).toEqual({ flow: flowOn, clients: clientsOn });
    expect(EFFECTS.off[reason]).toEqual({ flow: flowOff, clients: clientsOff });
  });

  it('lets everything flow and resume exactly when no reason is left', () => {
    for (const killswitch of [true, false]) {
      for (const reasons of SETS) {
        const effect = effectOf(reasons, killswitch);
        expect(effect.clients === 'run', reasons.join()).toBe(reasons.length === 0);
        if (killswitch) expect(effect.flow === 'open', reasons.join()).toBe(reasons.length === 0);
      }
    }
  });

  it('never opens more because a reason is added', () => {
    const strict = ['open', 'hold', 'probe', 'closed'];
    for (const killswitch of [true, false])
      for (const reasons of SETS)
        for (const added of GUARD_REASONS) {
          const before = strict.indexOf(effectOf(reasons, killswitch).flow);
          const after = strict.indexOf(effectOf([...reasons, added], killswitch).flow);
          expect(after).toBeGreaterThanOrEqual(before);
        }
  });
});

describe('the state of the snapshot', () => {
  it('is connected only with an empty set and nothing impaired', () => {
    for (const reasons of SETS)
      expect(stateOf(condition(reasons)) === 'connected', reasons.join()).toBe(reasons.length === 0);
    expect(stateOf(condition([], { impaired: true }))).toBe('degraded');
  });

  it('tells the switch first, then what needs a person, then the leak, then the link', () => {
    expect(stateOf(condition(['user', 'leak', 'starting', 'stale'], { helpless: true }))).toBe('disabled');
    expect(stateOf(condition(['leak', 'starting', 'stale'], { helpless: true }))).toBe('error');
    expect(stateOf(condition(['leak', 'starting', 'stale']))).toBe('blocked');
    expect(stateOf(condition(['starting', 'stale']))).toBe('reconnecting');
    expect(stateOf(condition(['starting', 'stale'], { connectedBefore: false }))).toBe('connecting');
  });

  it('is ready only where traffic may flow', () => {
    for (const killswitch of [true, false])
      for (const reasons of SETS)
        if (READY[stateOf(condition(reasons, { killswitch }))])
          expect(effectOf(reasons, killswitch).flow, reasons.join()).toBe('open');
    expect(Object.entries(READY).flatMap(([state, ready]) => (ready ? [state] : []))).toEqual([
      'connected',
      'degraded',
    ]);
  });
});

describe('sentences', () => {
  const codes = Object.keys(SENTENCES) as SentenceCode[];
  const details = {
    seconds: 30,
    observed: '192.0.2.7',
    expected: '203.0.113.0/24',
    family: 'IPv4',
    why: 'nobody answers',
  };

  it.each(codes)('%s: says what is the case and what to do, in a sentence each', (code) => {
    const { message, hint } = explain(code, details);
    for (const text of [message, hint]) expect(text).toMatch(/^[A-Z].{20,180}\.$/);
    expect(message).not.toMatch(/[{}]|unknown/);
  });

  it('leave no hole where a detail is missing', () => {
    expect(explain('leak').message).toContain('unknown');
  });
});
