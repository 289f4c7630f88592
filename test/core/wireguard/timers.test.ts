import { describe, expect, it } from 'vitest';
import { instant } from '../../../src/core/base/instant.ts';
import { fromReference, REFERENCE_OUTER, Rig, toReference } from '../../support/reference-rig.ts';
import {
  A_OUTER,
  advance,
  aToB,
  B_OUTER,
  bToA,
  connectedPair,
  type End,
  exchange,
  pair,
} from '../../support/wireguard-ends.ts';

const INITIATION = 1;

/** The types of the messages in the outbox, which is emptied. */
function sentTypes(end: End): number[] {
  return end.outbox.splice(0).map(({ bytes }) => bytes[0]!);
}

/** Times of every message of a type that an end sends, undelivered, until `until`; timers run. */
function times(end: End, type: number, until: number): number[] {
  const at: number[] = [];
  const note = (): void => {
    for (const sent of sentTypes(end)) if (sent === type) at.push(end.now);
  };
  note();
  for (let due = end.device.nextTimeout(); due !== undefined && due <= until; due = end.device.nextTimeout()) {
    end.advanceTo(due);
    note();
  }
  end.advanceTo(until);
  return at;
}

describe('rekeying by age', () => {
  it('F1: the initiator that sends on a session 120 s old starts a handshake and goes on sending on it (W§6.2)', () => {
    const { a, b } = connectedPair();
    a.stallUntil(119_999);
    expect(a.send(aToB('x'))).toBe('sent');
    expect(sentTypes(a)).toEqual([4]);
    a.stallUntil(120_000);
    expect(a.send(aToB('x'))).toBe('sent');
    expect(sentTypes(a).sort()).toEqual([INITIATION, 4]);
    expect(a.send(aToB('x'))).toBe('sent');
    expect(sentTypes(a)).toEqual([4]);
    b.stallUntil(150_000);
    expect(b.send(bToA('x'))).toBe('sent');
    expect(sentTypes(b)).toEqual([4]); // the responder leaves it to the initiator
  });

  it('F2: the initiator that receives on a session 165 s old starts a handshake, once (W§6.2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.beInitiated();
    sentTypes(rig.end);
    rig.end.stallUntil(164_999);
    rig.feed(session.seal(0n, fromReference('x')));
    expect(sentTypes(rig.end)).toEqual([]);
    rig.end.stallUntil(165_000);
    rig.feed(session.seal(1n));
    expect(sentTypes(rig.end)).toEqual([INITIATION]);
    rig.end.stallUntil(171_000);
    rig.feed(session.seal(2n));
    expect(sentTypes(rig.end)).toEqual([]);
  });

  it('F2: the responder does not, at any age (W§6.2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.connect();
    rig.end.stallUntil(170_000);
    rig.feed(session.seal(1n));
    expect(sentTypes(rig.end)).toEqual([]);
  });

  it.each(['initiator', 'responder'])('F3: after more than 2^60 messages the %s starts a handshake (W§6.2)', (role) => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    if (role === 'initiator') rig.beInitiated();
    else rig.connect();
    sentTypes(rig.end);
    rig.end.stallUntil(6_000);
    const keypair = rig.peer.keypairs.current!;
    keypair.sendHigh = 0x0fff_ffff;
    keypair.sendLow = 0xffff_ffff;
    rig.end.send(toReference('x')); // counter 2^60 - 1
    expect(sentTypes(rig.end)).toEqual([4]);
    rig.end.send(toReference('x')); // counter 2^60
    expect(sentTypes(rig.end).sort()).toEqual([INITIATION, 4]);
  });

  it('F4: a session 180 s old neither sends nor receives; what should go out is staged and a handshake starts (W§6.2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.connect();
    rig.end.stallUntil(179_999);
    rig.feed(session.seal(1n, fromReference('x')));
    expect(rig.end.inbox).toHaveLength(1);
    expect(rig.end.send(toReference('x'))).toBe('sent');
    sentTypes(rig.end);
    rig.end.stallUntil(180_000);
    rig.feed(session.seal(2n, fromReference('x')));
    expect(rig.end.inbox).toHaveLength(1);
    expect(rig.dropped('session-expired')).toBe(1);
    expect(rig.end.send(toReference('x'))).toBe('staged');
    expect(sentTypes(rig.end)).toEqual([INITIATION]);
  });

  it('F4: counters end at 2^64 - 2^13 - 1: the one before is the last that is sent and received (W§6.2)', () => {
    const limit = 2n ** 64n - 2n ** 13n - 1n;
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.connect();
    rig.feed(session.seal(limit - 1n, fromReference('x')));
    expect(rig.end.inbox).toHaveLength(1);
    rig.feed(session.seal(limit, fromReference('x')));
    rig.feed(session.seal(2n ** 64n - 1n, fromReference('x')));
    expect(rig.end.inbox).toHaveLength(1);
    expect(rig.dropped('counter-limit')).toBe(2);

    const keypair = rig.peer.keypairs.current!;
    keypair.sendHigh = Number((limit - 1n) >> 32n);
    keypair.sendLow = Number((limit - 1n) & 0xffff_ffffn);
    rig.end.stallUntil(6_000);
    expect(rig.end.send(toReference('x'))).toBe('sent');
    const last = rig.end.outbox.find(({ bytes }) => bytes[0] === 4)!;
    expect(session.open(last.bytes)?.counter).toBe(limit - 1n);
    expect(rig.end.send(toReference('x'))).toBe('staged');
  });

  it('F11: age is judged when a session is used, though no timer has fired for 200 s (W§6.2)', () => {
    const { a, b } = connectedPair();
    b.send(bToA('x'));
    const stale = b.take();
    a.stallUntil(200_000);
    expect(a.send(aToB('x'))).toBe('staged');
    a.feed(stale, b.endpoint);
    expect(a.inbox).toHaveLength(0);
    expect(sentTypes(a)).toEqual([INITIATION]);
  });

  it('F10: ages are differences of the given clock and of no other, so one that counts sleep expires a session (W§6.1)', () => {
    const { a, toB } = connectedPair();
    a.stallUntil(3_600_000);
    a.device.handleTimeout(a.now);
    a.drain();
    expect(a.events.filter(({ kind }) => kind === 'session-expired')).toEqual([{ kind: 'session-expired', peer: toB }]);
    expect(toB.keypairs.current).toBeUndefined();
    expect(a.send(aToB('x'))).toBe('staged');
  });

  it('F12: when the clock steps back nothing underflows or fires: timers wait, sessions stay (W§6.1)', () => {
    const { a, b } = connectedPair();
    advance(a, b, 1_000_000);
    a.send(aToB('x'));
    exchange(a, b);
    const due = a.device.nextTimeout();
    a.outbox.length = 0;
    a.now = instant(-5_000_000);
    a.device.handleTimeout(a.now);
    a.drain();
    expect(sentTypes(a)).toEqual([]);
    expect(a.device.nextTimeout()).toBe(due);
    expect(a.send(aToB('x'))).toBe('sent');
    expect(sentTypes(a)).toEqual([4]);
  });
});

describe('initiations and their retries', () => {
  it('F5: there is never more than one in 5 s to a peer, whatever asks for it (W§6.1)', () => {
    const { a, toB } = pair();
    const at: number[] = [];
    for (let now = 0; now < 60_000; now += 100) {
      a.advanceTo(now);
      a.send(aToB('x'));
      a.device.initiate(toB, a.now);
      a.device.networkChanged(a.now);
      a.drain();
      for (const type of sentTypes(a)) if (type === INITIATION) at.push(now);
    }
    expect(at.length).toBeGreaterThanOrEqual(11);
    for (let i = 1; i < at.length; i++) expect(at[i]! - at[i - 1]!).toBeGreaterThanOrEqual(5_000);
  });

  it('F5: a response starts the 5 s as well; an initiation asked for meanwhile goes out afterwards (W§6.1)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.end.stallUntil(1_000);
    rig.initiate();
    rig.end.send(toReference('x'));
    const [first] = times(rig.end, INITIATION, 8_000);
    expect(first).toBeGreaterThanOrEqual(6_000);
    expect(first).toBeLessThan(6_334);
  });

  it('F5: an owner who gives the peer another address has it tried at once, and the same one not (W§6.1)', () => {
    const { a, toB } = pair();
    a.device.initiate(toB, a.now);
    a.drain();
    expect(sentTypes(a)).toEqual([INITIATION]);
    a.advanceTo(1_000);
    for (const [endpoint, sent] of [
      [B_OUTER, []],
      [A_OUTER, [INITIATION]],
      [A_OUTER, []],
    ] as const) {
      a.device.updatePeer(toB, { endpoint: { ...endpoint } }, a.now);
      a.device.initiate(toB, a.now);
      a.drain();
      expect(sentTypes(a)).toEqual(sent);
    }
  });

  it('F6: a retry comes after 5 s and up to a third of a second more, twenty initiations in all (W§6.4)', () => {
    const { a, toB } = pair();
    a.send(aToB('x'));
    const at = times(a, INITIATION, 1_000_000);
    expect(at).toHaveLength(20);
    const gaps = at.slice(1).map((time, i) => time - at[i]!);
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(5_000);
      expect(gap).toBeLessThan(5_334);
    }
    expect(new Set(gaps.map(Math.round)).size).toBeGreaterThan(10);
    expect(a.events.filter(({ kind }) => kind === 'handshake-retry')).toHaveLength(19);
    expect(a.events.at(-1)).toEqual({ kind: 'handshake-failed', peer: toB, reason: 'no-answer' });
  });

  it('F6: when all were in vain, staged packets are dropped and the passive keepalive is off (W§6.4)', () => {
    const { a, b, toB } = connectedPair();
    b.send(bToA('x'));
    a.stallUntil(179_999);
    b.outbox.length = 0;
    a.stallUntil(180_000);
    a.send(aToB('y'));
    a.send(aToB('z'));
    a.advanceTo(300_000);
    expect(a.device.drops.of('handshake-failed')).toBe(2);
    expect(toB.staged.length).toBe(0);
    sentTypes(a);
    expect(times(a, INITIATION, 2_000_000)).toEqual([]);
  });

  it('F6: a new outgoing packet starts the count again (W§6.4)', () => {
    const { a } = pair();
    a.send(aToB('x'));
    times(a, INITIATION, 60_000);
    a.send(aToB('y'));
    const further = times(a, INITIATION, 1_000_000);
    expect(further).toHaveLength(19); // the one that was pending counts as the first of the new series
    a.send(aToB('z'));
    expect(times(a, INITIATION, 2_000_000)).toHaveLength(20);
  });
});

describe('keepalives and dead sessions', () => {
  it('F7: data sent and nothing authenticated back for 15 s, plus jitter, starts a handshake (W§6.5)', () => {
    const { a } = connectedPair();
    a.stallUntil(20_000);
    a.send(aToB('x'));
    const [first] = times(a, INITIATION, 40_000);
    expect(first).toBeGreaterThanOrEqual(35_000);
    expect(first).toBeLessThan(35_334);
  });

  it('F7: further data does not postpone it, and anything authenticated cancels it (W§6.5)', () => {
    const { a, b } = connectedPair();
    a.stallUntil(20_000);
    a.send(aToB('x'));
    for (let now = 21_000; now < 35_000; now += 1_000) {
      a.advanceTo(now);
      a.send(aToB('x'));
    }
    expect(times(a, INITIATION, 36_000)).toHaveLength(1);

    const quiet = connectedPair();
    quiet.a.stallUntil(20_000);
    quiet.b.stallUntil(20_000);
    quiet.a.send(aToB('x'));
    exchange(quiet.a, quiet.b);
    quiet.b.send(bToA('y'));
    exchange(quiet.a, quiet.b);
    expect(times(quiet.a, INITIATION, 60_000)).toEqual([]);
    expect(b.inbox).toHaveLength(0);
  });

  it('F7: keepalives need no answer (W§6.5)', () => {
    const { a, toB } = connectedPair();
    a.stallUntil(20_000);
    a.device.updatePeer(toB, { persistentKeepaliveSeconds: 25 }, a.now);
    a.drain();
    expect(sentTypes(a)).toEqual([4]);
    expect(times(a, INITIATION, 100_000)).toEqual([]);
  });

  it('F8: who received data and has sent nothing for 10 s sends an empty packet, once (W§6.5)', () => {
    const { a, b } = connectedPair();
    b.stallUntil(5_000);
    a.stallUntil(5_000);
    a.send(aToB('x'));
    exchange(a, b);
    expect(times(b, 4, 100_000)).toEqual([15_000]);
  });

  it('F8: an empty packet is not answered, or two idle peers would keep each other awake (W§6.5)', () => {
    const rig = new Rig();
    const session = rig.connect();
    rig.feed(session.seal(1n));
    rig.feed(session.seal(2n));
    expect(times(rig.end, 4, 100_000)).toEqual([]);
  });

  it('F8: anything authenticated that is sent meanwhile cancels it (W§6.5)', () => {
    const rig = new Rig();
    const session = rig.connect();
    rig.feed(session.seal(1n, fromReference('x')));
    rig.end.advanceTo(9_000);
    rig.end.send(toReference('y'));
    sentTypes(rig.end);
    rig.feed(session.seal(2n));
    expect(times(rig.end, 4, 100_000)).toEqual([]);
  });

  it('F8: if more data came while it waited, one more follows (W§6.5)', () => {
    const rig = new Rig();
    const session = rig.connect();
    rig.feed(session.seal(1n, fromReference('x')));
    rig.end.advanceTo(5_000);
    rig.feed(session.seal(2n, fromReference('x')));
    rig.feed(session.seal(3n, fromReference('x')));
    expect(times(rig.end, 4, 100_000)).toEqual([10_000, 20_000]);
  });

  it('E5: of keys to forget and an initiation to make, both due after a long sleep, the keys come first, so that the initiation can be answered (W§6.3)', () => {
    const { a, b } = connectedPair({ a: { persistentKeepaliveSeconds: 25 } });
    const handshakes = (): number => a.events.filter(({ kind }) => kind === 'handshake').length;
    a.stallUntil(3_600_000);
    b.stallUntil(3_600_000);
    a.device.handleTimeout(a.now);
    a.drain();
    const before = handshakes();
    exchange(a, b);
    expect(handshakes()).toBe(before + 1);
  });

  it('F9: persistent keepalives count from the last authenticated packet, sent or received (W§6.5)', () => {
    const rig = new Rig({ peer: { persistentKeepaliveSeconds: 25 } });
    const session = rig.connect();
    rig.end.advanceTo(10_000);
    rig.feed(session.seal(1n));
    expect(times(rig.end, 4, 34_999)).toEqual([]);
    expect(times(rig.end, 4, 90_000)).toEqual([35_000, 60_000, 85_000]);
    rig.end.send(toReference('x'));
    sentTypes(rig.end);
    rig.end.advanceTo(91_000);
    rig.feed(session.seal(2n));
    expect(times(rig.end, 4, 120_000)).toEqual([116_000]);
  });

  it('F9: turned on they send at once, which starts a handshake; 0 turns them off (W§6.5)', () => {
    const { a, b, toB } = pair({ a: { persistentKeepaliveSeconds: 25 } });
    a.drain();
    expect(a.outbox.map(({ bytes }) => bytes[0])).toEqual([INITIATION]);
    exchange(a, b);
    expect(times(a, 4, 30_000)).toEqual([25_000]);
    a.device.updatePeer(toB, { persistentKeepaliveSeconds: 0 }, a.now);
    expect(times(a, 4, 100_000)).toEqual([]);
    a.device.updatePeer(toB, { persistentKeepaliveSeconds: 10 }, a.now);
    a.drain();
    expect(sentTypes(a)).toEqual([4]);
  });

  it('F9: they go on without a session: each asks for a handshake again, for ever (W§6.5)', () => {
    const { a } = pair({ a: { persistentKeepaliveSeconds: 25 } });
    const at = times(a, INITIATION, 1_000_000);
    expect(at.length).toBeGreaterThan(150);
    expect(at.at(-1)).toBeGreaterThan(990_000);
  });
});
