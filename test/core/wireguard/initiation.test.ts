import { describe, expect, it } from 'vitest';
import { compareBytes, toHex, u32be, u32le } from '../../../src/core/base/bytes.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { laterTimestamp, tai64n } from '../../../src/core/wireguard/timestamps.ts';
import { REFERENCE_OUTER, Rig } from '../../support/reference-rig.ts';
import { snapshot } from '../../support/snapshot.ts';
import {
  A_OUTER,
  aToB,
  B_OUTER,
  bToA,
  EPOCH_SECONDS,
  exchange,
  net,
  pair,
  texts,
} from '../../support/wireguard-ends.ts';

/** The initiations that the device sends over the next `ms`, opened. */
function initiations(rig: Rig, ms: number): { index: number; ephemeral: string; timestamp: Uint8Array }[] {
  rig.end.advanceTo(rig.end.now + ms);
  return rig.end.outbox.splice(0).map(({ bytes }) => ({
    index: u32le(bytes, 4),
    ephemeral: toHex(bytes.subarray(8, 40)),
    timestamp: rig.reference.respond(bytes, 1, rig.ephemeral()).timestamp,
  }));
}

function initiatingRig(): Rig {
  const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
  rig.end.device.initiate(rig.peer, rig.end.now);
  rig.end.drain();
  return rig;
}

describe('initiations sent', () => {
  it('C1: every one, retries included, has an ephemeral key, an index and a timestamp of its own (W§5.4.2, §6.4)', () => {
    const sent = initiations(initiatingRig(), 60_000);
    expect(sent.length).toBeGreaterThanOrEqual(11);
    expect(new Set(sent.map(({ index }) => index)).size).toBe(sent.length);
    expect(new Set(sent.map(({ ephemeral }) => ephemeral)).size).toBe(sent.length);
    expect(new Set(sent.map(({ timestamp }) => toHex(timestamp))).size).toBe(sent.length);
  });

  it('C2: timestamps are TAI64N, with nanoseconds rounded down to a multiple of 2^24 (W§5.1)', () => {
    expect(toHex(tai64n(0, 0))).toBe('400000000000000a00000000');
    expect(toHex(tai64n(1_790_000_000, 999_999_999))).toBe('400000006ab13b8a3b000000');
    expect(toHex(tai64n(0xffff_ffff, 0x01ff_ffff))).toBe('400000010000000901000000');
    for (const nanoseconds of [0, 1, 0xff_ffff, 0x100_0000, 0x100_0001, 999_999_999])
      expect(u32be(tai64n(1, nanoseconds), 8)).toBe(Math.floor(nanoseconds / 2 ** 24) * 2 ** 24);
    expect(() => tai64n(-1, 0)).toThrow(RangeError);
    expect(() => tai64n(1.5, 0)).toThrow(RangeError);
    expect(() => tai64n(0, 1_000_000_000)).toThrow(RangeError);
  });

  it('C3: timestamps increase though the wall clock steps back an hour (W§5.1)', () => {
    const rig = initiatingRig();
    const before = initiations(rig, 0)[0]!.timestamp;
    rig.end.wallOffsetMs = -3_600_000;
    let last = before;
    for (const { timestamp } of initiations(rig, 30_000)) {
      expect(compareBytes(timestamp, last)).toBeGreaterThan(0);
      last = timestamp;
    }
    expect(last).not.toBe(before);
  });

  it('C3: two timestamps of one 16.8 ms step, and one at the end of a second, still differ (W§5.1)', () => {
    const wall = tai64n(EPOCH_SECONDS, 0);
    const second = laterTimestamp(wall, wall);
    expect(compareBytes(second, wall)).toBeGreaterThan(0);
    expect(second).toEqual(tai64n(EPOCH_SECONDS, 0x100_0000));
    expect(laterTimestamp(tai64n(EPOCH_SECONDS, 999_999_999), wall)).toEqual(tai64n(EPOCH_SECONDS + 1, 0));
    expect(laterTimestamp(tai64n(0xffff_ffff - 10, 999_999_999), wall)).toEqual(tai64n(0x1_0000_0000 - 10, 0));
    expect(laterTimestamp(undefined, wall)).toBe(wall);
    expect(laterTimestamp(tai64n(EPOCH_SECONDS - 1, 0), wall)).toBe(wall);
  });

  it('C3: while the wall clock is implausible no handshake is started, the owner is told, and it starts once the clock is right (CVE-2021-46873)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.end.wallOffsetMs = Number.NaN;
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    rig.end.advanceTo(20_000);
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.end.events[0]).toEqual({ kind: 'handshake-failed', peer: rig.peer, reason: 'clock-implausible' });
    expect(rig.dropped('clock-implausible')).toBeGreaterThanOrEqual(3);
    rig.end.wallOffsetMs = 0;
    expect(initiations(rig, 6_000)).toHaveLength(1);
  });
});

describe('initiations received', () => {
  it('C4: one whose timestamp is equal to or older than the greatest answered is dropped (W§5.1)', () => {
    const rig = new Rig();
    const at = (seconds: number) => rig.initiation({ timestamp: tai64n(EPOCH_SECONDS + seconds, 0) });
    rig.feed(at(0));
    rig.end.advanceTo(1_000);
    rig.feed(at(0));
    rig.feed(at(-3_600));
    expect(rig.end.outbox).toHaveLength(1);
    expect(rig.dropped('old-timestamp')).toBe(2);
    rig.feed(rig.initiation({ timestamp: tai64n(EPOCH_SECONDS, 0x100_0000) }));
    expect(rig.end.outbox).toHaveLength(2);
  });

  it('C4: the greatest timestamp advances only once the timestamp itself is authenticated (W§5.1)', () => {
    const rig = new Rig();
    const forged = rig.initiation({ timestamp: tai64n(EPOCH_SECONDS + 1_000_000, 0) });
    forged[115]! ^= 1;
    rig.feed(rig.reference.sign(forged));
    expect(rig.dropped('bad-tag')).toBe(1);
    rig.feed(rig.initiation());
    expect(rig.end.outbox).toHaveLength(1);
  });

  it('C5: a second valid one of the same peer within 20 ms is dropped (W§5.3)', () => {
    const rig = new Rig();
    rig.feed(rig.initiation());
    rig.end.advanceTo(19);
    rig.feed(rig.initiation());
    expect(rig.end.outbox).toHaveLength(1);
    expect(rig.dropped('initiation-flood')).toBe(1);
    rig.end.advanceTo(20);
    rig.feed(rig.initiation());
    expect(rig.end.outbox).toHaveLength(2);
  });

  it('C6: a replay, an unknown static key and a wrong tag leave a half-open handshake as it is (W§5.1)', () => {
    const rig = new Rig();
    const initiation = rig.initiation();
    rig.feed(initiation);
    const session = rig.reference.readResponse(rig.end.take())!;
    rig.end.advanceTo(1_000);
    const before = snapshot(rig.end.device);
    rig.feed(initiation);
    const wrongTag = rig.initiation();
    wrongTag[100]! ^= 1;
    rig.feed(rig.reference.sign(wrongTag));
    rig.reference.publicKey = rig.random.bytes(32);
    rig.feed(rig.initiation());
    expect(snapshot(rig.end.device)).toBe(before);
    expect(rig.end.outbox).toHaveLength(0);
    rig.feed(session.seal(0n));
    expect(rig.peer.lastHandshakeAt).toBe(1_000);
  });

  it('C6: a newer valid one replaces a half-open handshake (W§6.3)', () => {
    const rig = new Rig();
    const first = rig.initiate();
    rig.end.advanceTo(1_000);
    const second = rig.initiate();
    rig.feed(first.seal(0n));
    expect(rig.dropped('unknown-index')).toBe(1);
    expect(rig.peer.lastHandshakeAt).toBeUndefined();
    rig.feed(second.seal(0n));
    expect(rig.peer.lastHandshakeAt).toBe(1_000);
  });

  it('C7: two peers that initiate at the same moment both have a session one round trip later (W§6.4)', () => {
    const { a, b, toA } = pair({ b: { endpoint: A_OUTER, allowedIps: [net('10.66.0.1/32')] } });
    expect(toA.endpoint).toEqual(A_OUTER);
    a.send(aToB('from a'));
    b.send(bToA('from b'));
    const [fromA, fromB] = [a.take(), b.take()];
    a.feed(fromB, B_OUTER);
    b.feed(fromA, A_OUTER);
    exchange(a, b);
    expect(texts(a.inbox)).toEqual(['from b']);
    expect(texts(b.inbox)).toEqual(['from a']);
    for (let i = 0; i < 5; i++) {
      a.now = b.now = instant(1_000 * i);
      expect(a.send(aToB(`a${i}`))).toBe('sent');
      expect(b.send(bToA(`b${i}`))).toBe('sent');
      exchange(a, b);
    }
    expect(a.inbox).toHaveLength(6);
    expect(b.inbox).toHaveLength(6);
  });
});
