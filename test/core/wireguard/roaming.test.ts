import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { u32le } from '../../../src/core/base/bytes.ts';
import type { Random } from '../../../src/core/base/crypto.ts';
import { IndexTable } from '../../../src/core/wireguard/index-table.ts';
import { deep } from '../../support/deep.ts';
import { fromReference, REFERENCE_OUTER, Rig, type RigOptions, toReference } from '../../support/reference-rig.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { advance, connectedPair, pair } from '../../support/wireguard-ends.ts';

const place = (last: number) => ({ address: ip(`203.0.113.${last}`), port: 1_000 + last });

/** Where the device sends to now. */
function destination(rig: Rig): unknown {
  rig.end.outbox.length = 0;
  rig.end.send(toReference('x'));
  return rig.end.outbox[0]?.to;
}

describe('endpoints', () => {
  it('I1: the peer is where its last authenticated message came from: initiation, packet, keepalive or response (W§2.1)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER, roaming: true } });
    const session = rig.initiate(place(1));
    expect(rig.peer.endpoint).toEqual(place(1));
    rig.feed(session.seal(0n, fromReference('x')), place(2));
    expect(destination(rig)).toEqual(place(2));
    rig.feed(session.seal(1n), place(3));
    expect(destination(rig)).toEqual(place(3));
    rig.end.stallUntil(6_000);
    rig.end.outbox.length = 0;
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const { message, session: renewed } = rig.reference.respond(rig.end.take(), 5, rig.ephemeral());
    rig.feed(message, place(4));
    expect(rig.end.outbox[0]?.to).toEqual(place(4));
    expect(renewed.open(rig.end.take())).toBeDefined();
    expect(rig.end.events.filter(({ kind }) => kind === 'endpoint-changed')).toEqual(
      [1, 2, 3, 4].map((last) => ({ kind: 'endpoint-changed', peer: rig.peer, endpoint: place(last) })),
    );
  });

  it('I1: a response goes to where the initiation came from (W§2.1)', () => {
    const rig = new Rig();
    rig.feed(rig.initiation(), place(1));
    expect(rig.end.outbox[0]?.to).toEqual(place(1));
  });

  it('I1: a data packet moves it without a handshake (W§2.1)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const handshakeAt = rig.peer.lastHandshakeAt;
    rig.end.stallUntil(5_000);
    rig.feed(session.seal(1n, fromReference('x')), place(9));
    expect(destination(rig)).toEqual(place(9));
    expect(rig.peer.lastHandshakeAt).toBe(handshakeAt);
  });

  it('I1: failed messages, replays and cookies do not move it (W§2.1)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER, roaming: true } });
    const session = rig.connect();
    rig.end.stallUntil(6_000);
    rig.end.outbox.length = 0;
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const initiation = rig.end.take();
    const forged = session.seal(9n);
    forged[20]! ^= 1;
    const stale = rig.initiation({ timestamp: new Uint8Array(12) });
    const cookie = rig.reference.cookieReply(initiation, rig.random.bytes(16), rig.random.bytes(24));
    for (const bytes of [forged, session.seal(0n), stale, cookie]) rig.feed(bytes, place(7));
    expect(rig.peer.endpoint).toBe(REFERENCE_OUTER);
  });

  const pinned: RigOptions[] = [{ peer: { endpoint: REFERENCE_OUTER } }, {}];
  it.each(pinned)(
    'I2: a configured endpoint is pinned unless roaming is asked for, also when it is set later (%#)',
    (options) => {
      const rig = new Rig(options);
      if (!rig.peer.endpoint) rig.end.device.updatePeer(rig.peer, { endpoint: REFERENCE_OUTER }, rig.end.now);
      const session = rig.initiate(place(1));
      expect(rig.peer.endpoint).toEqual(REFERENCE_OUTER);
      rig.feed(session.seal(0n, fromReference('x')), place(2));
      expect(rig.end.inbox).toHaveLength(1);
      expect(destination(rig)).toEqual(REFERENCE_OUTER);
      expect(rig.end.events.filter(({ kind }) => kind === 'endpoint-changed')).toEqual([]);
    },
  );

  it('I3: each retry of a handshake tells the owner, who may bind a fresh socket (W§6.4)', () => {
    const { a, toB } = pair();
    a.device.initiate(toB, a.now);
    a.advanceTo(17_000);
    expect(a.events).toEqual([2, 3, 4].map((attempt) => ({ kind: 'handshake-retry', peer: toB, attempt })));
  });

  it('I3: after a change of network the peers are told by a handshake where we are now (W§2.1)', () => {
    const { a, b, toA } = connectedPair();
    advance(a, b, 30_000);
    a.device.networkChanged(a.now);
    a.drain();
    expect(a.outbox).toHaveLength(1);
    b.now = a.now;
    b.feed(a.take(), place(50));
    expect(toA.endpoint).toEqual(place(50));
  });
});

/** Gives these 32-bit numbers, in order, then those of a seed. */
function scripted(...numbers: number[]): Random {
  const rest = new SeededRandom(1);
  return {
    fill(target) {
      const next = target.length === 4 ? numbers.shift() : undefined;
      if (next === undefined) rest.fill(target);
      else new DataView(target.buffer, target.byteOffset).setUint32(0, next, true);
    },
  };
}

describe('indices', () => {
  it('I4: are 32 random bits, drawn anew on a collision (W§5.4.2)', () => {
    const table = new IndexTable<string>(scripted(5, 5, 5, 0xffff_ffff, 6));
    const drawn = ['a', 'b', 'c'].map((owner) => table.allocate((index) => `${owner}${index}`));
    expect(drawn).toEqual(['a5', 'b4294967295', 'c6']);
    expect([5, 0xffff_ffff, 6, 7].map((index) => table.find(index))).toEqual([...drawn, undefined]);
    table.release(0xffff_ffff);
    expect(table.find(0xffff_ffff)).toBeUndefined();
    expect(table.size).toBe(2);
  });

  it('I4: one table serves handshakes and sessions, and a handshake that succeeds keeps its index (W§5.4.2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const initiation = rig.end.take();
    const index = u32le(initiation, 4);
    expect(rig.end.device.context.indices.find(index)?.kind).toBe('handshake');
    rig.feed(rig.reference.respond(initiation, 1, rig.ephemeral()).message);
    expect(rig.end.device.context.indices.find(index)?.kind).toBe('keypair');
    expect(rig.end.device.context.indices.size).toBe(1);
  });

  it('I4: a new initiation frees the index of the former one (W§5.4.2)', () => {
    const { a, toB } = pair();
    a.device.initiate(toB, a.now);
    a.drain();
    const first = u32le(a.take(), 4);
    a.advanceTo(6_000);
    const second = u32le(a.take(), 4);
    expect(second).not.toBe(first);
    expect(a.device.context.indices.find(first)).toBeUndefined();
    expect(a.device.context.indices.size).toBe(1);
  });

  it('I4: are returned when their owner goes, so that hours of rekeys take up no more than three (W§6.3)', () => {
    const { a, b, toB } = connectedPair();
    for (let now = 0; now < deep(2, 24) * 3_600_000; now += 120_000) {
      advance(a, b, now + 6_000);
      a.device.initiate(toB, a.now);
      a.drain();
      advance(a, b, now + 120_000);
      expect(a.device.context.indices.size).toBeLessThanOrEqual(3);
      expect(b.device.context.indices.size).toBeLessThanOrEqual(3);
    }
  });
});
