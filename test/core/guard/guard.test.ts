/** The guard: reasons, who sets and clears them, and when (DESIGN, "Fail closed, by construction"). */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { Guard, type GuardOutput, type GuardSettings } from '../../../src/core/guard/guard.ts';
import { type LeakFinding, restoreGuard, serialiseGuard } from '../../../src/core/guard/memory.ts';
import type { GuardReason } from '../../../src/core/guard/policy.ts';

const SECOND = 1_000;
let now: Instant;
let guard: Guard;

beforeEach(() => {
  now = instant(1_000_000);
  guard = new Guard();
});

const finding: LeakFinding = { family: 4, observed: '192.0.2.7', expected: ['203.0.113.0/24'], foundAtMs: 1 };

function later(seconds: number): Instant {
  now = instant(now + seconds * SECOND);
  return now;
}

/** Lets time pass as the shell does: the timer fires at every deadline on the way. Returns when each fired. */
function pass(seconds: number): number[] {
  const end = now + seconds * SECOND;
  const fired: number[] = [];
  for (let due = guard.nextTimeout(); due !== undefined && due <= end; due = guard.nextTimeout()) {
    now = due;
    fired.push(due);
    guard.handleTimeout(now);
  }
  now = instant(end);
  return fired;
}

function connected(settings: GuardSettings = {}): Guard {
  guard = new Guard(settings);
  guard.handleHandshake(now);
  drain();
  return guard;
}

/** An initiation goes unanswered from now on; the last packet came `ago` seconds ago. */
function unanswered(ago = 0): void {
  guard.handleLink({ initiationUnansweredSince: now, lastReceivedAt: instant(now - ago * SECOND) }, now);
}

function drain(): GuardOutput[] {
  const outputs: GuardOutput[] = [];
  for (let output = guard.nextOutput(); output; output = guard.nextOutput()) outputs.push(output);
  return outputs;
}

const reasons = (): readonly GuardReason[] => guard.policy.killswitch.reasons;
const clean = (family: 4 | 6 = 4, findings = guard.findings): void =>
  guard.handleProbe({ verdict: 'ok', family, findings }, now);

describe('starting', () => {
  it('stands from the first moment: nothing may flow before a handshake (F25)', () => {
    expect(guard.policy).toMatchObject({
      state: 'connecting',
      ready: false,
      flow: 'closed',
      clients: 'leave',
      killswitch: { enabled: true, engaged: true, reasons: ['starting'] },
    });
    expect([guard.mayFlow, guard.mayProbe, guard.pauseClients]).toEqual([false, false, false]);
    expect(guard.policy.reason).toMatchObject({ code: 'starting' });
  });

  it('is cleared by the first handshake', () => {
    guard.handleHandshake(later(1));
    expect(guard.policy).toMatchObject({ state: 'connected', ready: true, flow: 'open', clients: 'run', reason: null });
    expect(drain().map(({ kind }) => kind)).toEqual(['released', 'policy']);
  });

  it('stands again when the server or our key changes, and what was known of the old link is void', () => {
    connected();
    guard.handleIdentity(later(100));
    expect(guard.policy).toMatchObject({ state: 'reconnecting', flow: 'closed' });
    expect(guard.nextTimeout()).toBeUndefined();
    guard.handleHandshake(later(1));
    expect(guard.mayFlow).toBe(true);
  });

  it('is cleared by nothing else', () => {
    clean();
    guard.accept(now);
    guard.setEnabled(true, now);
    guard.handleFault(undefined, now);
    guard.handleLink({ lastReceivedAt: now, initiationUnansweredSince: undefined }, now);
    expect(reasons()).toEqual(['starting']);
  });
});

describe('stale by age', () => {
  it('begins exactly when the handshake is 180 s old (G12: by deadline, not by a poll)', () => {
    connected();
    expect(guard.nextTimeout()).toBe(now + 180 * SECOND);
    guard.handleTimeout(instant(now + 180 * SECOND - 1));
    expect(guard.mayFlow).toBe(true);
    guard.handleTimeout(later(180));
    expect(guard.policy).toMatchObject({ state: 'reconnecting', flow: 'hold', clients: 'pause', ready: false });
    expect(guard.policy.reason).toMatchObject({ code: 'stale', message: expect.stringContaining('180 seconds') });
  });

  it('counts the handshake and not the last data', () => {
    connected();
    for (let i = 0; i < 179; i++)
      guard.handleLink({ lastReceivedAt: later(1), initiationUnansweredSince: undefined }, now);
    guard.handleTimeout(later(1));
    expect(reasons()).toEqual(['stale']);
  });

  it('takes its limit from stale_after_seconds', () => {
    connected({ staleAfterSeconds: 150 });
    expect(guard.nextTimeout()).toBe(now + 150 * SECOND);
  });

  it('does not exist without keepalive: then an idle tunnel has no handshake and is well', () => {
    connected({ keepalive: false });
    expect(guard.nextTimeout()).toBeUndefined();
    guard.handleTimeout(later(86_400));
    expect(guard.policy.state).toBe('connected');
  });

  it('is seen by whatever comes first if the timer is late, as after a sleep', () => {
    connected();
    guard.handleLink({ lastReceivedAt: now, initiationUnansweredSince: later(3_600) }, now);
    expect(reasons()).toEqual(['stale']);
  });
});

describe('stale by silence', () => {
  it('begins exactly 30 s after an initiation that nothing answered, with degraded after 15 s (G12)', () => {
    connected();
    later(120);
    unanswered(110);
    const since = now;
    expect(pass(29.999)).toEqual([since + 15 * SECOND]);
    expect(guard.policy).toMatchObject({ state: 'degraded', ready: true, flow: 'open', clients: 'run' });
    expect(guard.policy.reason).toMatchObject({ code: 'degraded' });
    expect(pass(0.001)).toEqual([since + 30 * SECOND]);
    expect(guard.policy).toMatchObject({ state: 'reconnecting', flow: 'hold', clients: 'pause' });
    expect(guard.policy.reason).toMatchObject({ code: 'silent', message: expect.stringContaining('30 seconds') });
  });

  it('does not begin on an idle tunnel whose last packet is minutes old when the initiation goes out', () => {
    connected();
    later(119);
    unanswered(119);
    expect(guard.mayFlow).toBe(true);
    expect(guard.policy.state).toBe('connected');
  });

  it('waits while authenticated packets still come on the old session', () => {
    connected();
    const initiationUnansweredSince = now;
    for (let i = 0; i < 100; i++) {
      guard.handleLink({ lastReceivedAt: later(1), initiationUnansweredSince }, now);
      guard.handleTimeout(now);
    }
    expect(guard.policy.state).toBe('degraded');
  });

  it('is the only rule without keepalive, and takes its limit from silent_after_seconds', () => {
    connected({ keepalive: false, silentAfterSeconds: 20 });
    unanswered();
    pass(20);
    expect(reasons()).toEqual(['stale']);
  });

  it('joins starting if the server never answers, in other words', () => {
    unanswered();
    pass(30);
    expect(guard.policy).toMatchObject({ state: 'connecting', flow: 'closed', clients: 'pause' });
    expect(reasons()).toEqual(['starting', 'stale']);
    expect(guard.policy.reason).toMatchObject({ code: 'unanswered' });
  });

  it('is ended by a handshake alone, and at once', () => {
    connected();
    unanswered();
    pass(30);
    guard.handleLink({ lastReceivedAt: now, initiationUnansweredSince: undefined }, now);
    clean();
    guard.accept(now);
    expect(reasons()).toEqual(['stale']);
    guard.handleHandshake(later(1));
    expect(guard.policy).toMatchObject({ state: 'connected', clients: 'run' });
  });

  it('leaves no state behind: degraded ends with the handshake too', () => {
    connected();
    unanswered();
    pass(16);
    guard.handleHandshake(now);
    expect(guard.policy).toMatchObject({ state: 'connected', reason: null });
  });
});

describe('leak', () => {
  beforeEach(() => void connected());

  it('lets nothing flow but the probe, pauses everything and names both addresses (F19)', () => {
    guard.handleProbe({ verdict: 'leak', finding }, later(1));
    expect(guard.policy).toMatchObject({ state: 'blocked', ready: false, flow: 'probe', clients: 'pause' });
    expect([guard.mayFlow, guard.mayProbe]).toEqual([false, true]);
    expect(guard.policy.reason?.message).toContain('192.0.2.7');
    expect(guard.policy.reason?.message).toContain('203.0.113.0/24');
    expect(drain()).toMatchObject([
      { kind: 'remember', memory: { leaks: [finding] } },
      { kind: 'engaged', reasons: ['leak'] },
      { kind: 'policy' },
    ]);
  });

  it('is not ended by a handshake, however healthy the tunnel (G2)', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    for (let i = 0; i < 10; i++) guard.handleHandshake(later(120));
    expect(guard.pauseClients).toBe(true);
    expect(reasons()).toEqual(['leak']);
  });

  it('is ended by a clean probe', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    later(5);
    clean();
    expect(guard.policy).toMatchObject({ state: 'connected', clients: 'run' });
    expect(guard.memory).toEqual({ leaks: [], unreadable: false });
  });

  it('is not ended by a clean probe that began before it was found', () => {
    const { findings } = guard;
    guard.handleProbe({ verdict: 'leak', finding }, later(5));
    clean(4, findings);
    expect(reasons()).toEqual(['leak']);
  });

  it('is not ended by a clean probe of the other family', () => {
    guard.handleProbe({ verdict: 'leak', finding: { ...finding, family: 6 } }, now);
    clean(4);
    expect(reasons()).toEqual(['leak']);
    clean(6);
    expect(reasons()).toEqual([]);
  });

  it('is neither set nor ended by a probe that failed (F20)', () => {
    guard.handleProbe({ verdict: 'unknown', family: 4, findings: 0 }, now);
    expect(reasons()).toEqual([]);
    guard.handleProbe({ verdict: 'leak', finding }, now);
    guard.handleProbe({ verdict: 'unknown', family: 4, findings: guard.findings }, now);
    expect(reasons()).toEqual(['leak']);
  });

  it('is ended by a person', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    guard.accept(now);
    expect(guard.mayFlow).toBe(true);
  });

  it('survives a restart, as text', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    guard = new Guard({ memory: restoreGuard(serialiseGuard(guard.memory)) });
    expect(reasons()).toEqual(['leak', 'starting']);
    guard.handleHandshake(later(1));
    expect(guard.policy).toMatchObject({ state: 'blocked', flow: 'probe', clients: 'pause' });
    clean();
    expect(guard.mayFlow).toBe(true);
  });

  it('is no reason with on_mismatch = "warn"', () => {
    connected({ onMismatch: 'warn' });
    guard.handleProbe({ verdict: 'leak', finding }, now);
    expect(guard.mayFlow).toBe(true);
    expect(drain()).toEqual([]);
  });

  it('is assumed when what was remembered cannot be read, until a probe is clean (G13: no failure opens)', () => {
    for (const text of ['', '{', 'null', '[]', '{"version":2}', '{"version":1,"leaks":[{}],"unreadable":false}']) {
      guard = new Guard({ memory: restoreGuard(text) });
      guard.handleHandshake(later(1));
      expect(guard.policy, text).toMatchObject({ state: 'blocked', reason: { code: 'state-unreadable' } });
      clean();
      expect(guard.mayFlow, text).toBe(true);
    }
    expect(new Guard({ memory: restoreGuard(undefined) }).policy.killswitch.reasons).toEqual(['starting']);
  });
});

describe('user', () => {
  beforeEach(() => void connected());

  it('lets nothing flow and pauses everything, and is disabled in the status', () => {
    guard.setEnabled(false, now);
    expect(guard.policy).toMatchObject({ state: 'disabled', flow: 'closed', clients: 'pause', ready: false });
    expect(guard.policy.reason).toMatchObject({ code: 'user' });
  });

  it('is ended by the person alone, and then a fresh handshake is needed', () => {
    guard.setEnabled(false, now);
    guard.handleHandshake(later(1));
    clean();
    expect(reasons()).toEqual(['user']);
    guard.setEnabled(true, later(1));
    expect(guard.policy).toMatchObject({ state: 'reconnecting', flow: 'closed' });
    guard.handleHandshake(later(1));
    expect(guard.mayFlow).toBe(true);
  });

  it('does not age: a tunnel that is switched off cannot be late', () => {
    unanswered();
    guard.setEnabled(false, now);
    expect(guard.nextTimeout()).toBeUndefined();
  });

  it('stands from the start if the tunnel was opened switched off', () => {
    guard = new Guard({ enabled: false });
    guard.handleHandshake(now);
    expect(guard.policy).toMatchObject({ state: 'disabled', flow: 'closed' });
  });
});

describe('several reasons at once', () => {
  it('are a set: each is cleared by its owner and the others stay', () => {
    connected();
    guard.handleProbe({ verdict: 'leak', finding }, now);
    unanswered();
    pass(30);
    expect(reasons()).toEqual(['leak', 'stale']);
    guard.handleHandshake(now);
    expect(reasons()).toEqual(['leak']);
    guard.setEnabled(false, now);
    expect(reasons()).toEqual(['user', 'leak']);
    clean();
    expect(reasons()).toEqual(['user']);
  });

  it('are each announced when they come, and the release once, with the last', () => {
    connected();
    unanswered();
    pass(30);
    expect(drain().filter(({ kind }) => kind === 'engaged')).toEqual([{ kind: 'engaged', reasons: ['stale'] }]);
    guard.handleProbe({ verdict: 'leak', finding }, now);
    expect(drain().filter(({ kind }) => kind === 'engaged')).toEqual([{ kind: 'engaged', reasons: ['leak', 'stale'] }]);
    guard.handleHandshake(now);
    expect(drain().map(({ kind }) => kind)).toEqual(['policy']);
    clean();
    expect(drain().map(({ kind }) => kind)).toEqual(['remember', 'released', 'policy']);
  });
});

describe('faults', () => {
  const clock = { code: 'ERR_CLOCK', message: 'The date is wrong.', hint: 'Set it.', helpless: true };

  it('that need a person are the state error, and end with a handshake like everything else (G1)', () => {
    guard.handleFault(clock, now);
    expect(guard.policy).toMatchObject({ state: 'error', ready: false, flow: 'closed', reason: { code: 'ERR_CLOCK' } });
    guard.handleHandshake(later(10));
    expect(guard.policy).toMatchObject({ state: 'connected', reason: null });
  });

  it('that pass keep the state and tell the reason', () => {
    guard.handleFault({ ...clock, code: 'ERR_ENDPOINT_LOOKUP', helpless: false }, now);
    expect(guard.policy).toMatchObject({ state: 'connecting', reason: { code: 'ERR_ENDPOINT_LOOKUP' } });
    guard.handleFault(undefined, now);
    expect(guard.policy).toMatchObject({ state: 'connecting', reason: { code: 'starting' } });
  });

  it('of a session that works make it degraded', () => {
    connected();
    guard.handleFault(clock, now);
    expect(guard.policy).toMatchObject({ state: 'degraded', ready: true, flow: 'open' });
    guard.handleFault(undefined, now);
    guard.handleSharedKey(true, now);
    expect(guard.policy).toMatchObject({ state: 'degraded', reason: { code: 'shared-key' } });
  });

  it('never announce a recovery while the tunnel is dead (G1)', () => {
    connected();
    unanswered();
    pass(30);
    drain();
    for (let i = 0; i < 100; i++) {
      guard.handleFault(i % 2 ? undefined : clock, later(60));
      guard.handleTimeout(now);
      guard.handleLink({ lastReceivedAt: now, initiationUnansweredSince: now }, now);
      expect(drain().filter(({ kind }) => kind === 'released')).toEqual([]);
      expect(guard.mayFlow).toBe(false);
    }
    guard.handleHandshake(now);
    expect(drain().map(({ kind }) => kind)).toContain('released');
  });
});

describe('with the killswitch off', () => {
  beforeEach(() => void connected({ killswitch: false }));

  it('a leak flows, in red: degraded, with its reason', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    expect(guard.policy).toMatchObject({
      state: 'degraded',
      ready: true,
      flow: 'open',
      clients: 'leave',
      killswitch: { enabled: false, engaged: false, reasons: ['leak'] },
      reason: { code: 'leak-ignored' },
    });
  });

  it('a stale tunnel is left as it is, and still not ready', () => {
    unanswered();
    pass(30);
    expect(guard.policy).toMatchObject({ state: 'reconnecting', ready: false, flow: 'open', clients: 'leave' });
  });

  it('nothing flows before the handshake, nor when a person switched the VPN off', () => {
    guard.handleIdentity(now);
    expect(guard.policy).toMatchObject({ flow: 'closed', clients: 'leave' });
    guard.handleHandshake(now);
    guard.setEnabled(false, now);
    expect(guard.policy).toMatchObject({ flow: 'closed', clients: 'leave', state: 'disabled' });
  });

  it('nothing is engaged, so nothing is announced', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    expect(drain().map(({ kind }) => kind)).toEqual(['remember', 'policy']);
  });

  it('switching it on engages at once if a reason stands, switching it off releases', () => {
    guard.handleProbe({ verdict: 'leak', finding }, now);
    drain();
    guard.setKillswitch(true, now);
    expect(drain().map(({ kind }) => kind)).toEqual(['engaged', 'policy']);
    expect(guard.mayFlow).toBe(false);
    guard.setKillswitch(false, now);
    expect(drain().map(({ kind }) => kind)).toEqual(['released', 'policy']);
    expect(guard.policy).toMatchObject({ flow: 'open', clients: 'leave' });
  });

  it('is on unless it is switched off (F15)', () => {
    expect(new Guard().policy.killswitch.enabled).toBe(true);
  });
});
