import { describe, expect, it } from 'vitest';
import type { ReferenceResponse } from '../../support/reference-peer.ts';
import { fromReference, REFERENCE_OUTER, Rig, toReference } from '../../support/reference-rig.ts';
import { snapshot } from '../../support/snapshot.ts';
import { aToB, connectedPair, exchange, pair, texts } from '../../support/wireguard-ends.ts';

/** The device has initiated; `answer` is the genuine response, not yet delivered. */
function answered(): { rig: Rig; answer: ReferenceResponse } {
  const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
  rig.end.device.initiate(rig.peer, rig.end.now);
  rig.end.drain();
  return { rig, answer: rig.reference.respond(rig.end.take(), 0xabcd, rig.ephemeral()) };
}

describe('responses received', () => {
  it('D1: one is accepted for the pending initiation and its index alone, and duplicates are silence (W§5.4.3)', () => {
    const { rig, answer } = answered();
    const elsewhere = Uint8Array.from(answer.message);
    elsewhere[8]! ^= 1;
    rig.feed(rig.reference.sign(elsewhere));
    expect(rig.dropped('unexpected-response')).toBe(1);
    rig.feed(answer.message);
    expect(rig.end.outbox.splice(0)).toHaveLength(1);
    const before = snapshot(rig.end.device);
    rig.feed(answer.message);
    expect(rig.dropped('unexpected-response')).toBe(2);
    expect(rig.end.outbox).toHaveLength(0);
    expect(snapshot(rig.end.device)).toBe(before);
  });

  it('D1: a response to an initiation that a retry has replaced is silence (W§6.4)', () => {
    const { rig, answer } = answered();
    rig.end.advanceTo(6_000);
    const retry = rig.end.take();
    rig.feed(answer.message);
    expect(rig.dropped('unexpected-response')).toBe(1);
    rig.feed(rig.reference.respond(retry, 1, rig.ephemeral()).message);
    expect(rig.end.outbox).toHaveLength(1);
  });

  it('D2: a forged one, by tag, zero key or wrong pre-shared key, leaves the state such that the genuine one completes it (W§5.4.3)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const initiation = rig.end.take();
    const genuine = rig.reference.respond(initiation, 7, rig.ephemeral());
    const badTag = Uint8Array.from(genuine.message);
    badTag[50]! ^= 1;
    const zeroKey = Uint8Array.from(genuine.message).fill(0, 12, 44);
    rig.reference.presharedKey = rig.random.bytes(32);
    const wrongPsk = rig.reference.respond(initiation, 8, rig.ephemeral()).message;
    const before = snapshot(rig.end.device);
    for (const forged of [badTag, zeroKey, wrongPsk]) rig.feed(rig.reference.sign(Uint8Array.from(forged)));
    expect([rig.dropped('bad-tag'), rig.dropped('low-order-key')]).toEqual([2, 1]);
    expect(snapshot(rig.end.device)).toBe(before);
    rig.feed(genuine.message);
    expect(genuine.session.open(rig.end.take())).toBeDefined();
  });

  it('D4: one releases what was staged, in order; without anything staged an empty packet goes out at once (W§5.4.5)', () => {
    const empty = answered();
    empty.rig.feed(empty.answer.message);
    expect(empty.answer.session.open(empty.rig.end.take())?.plaintext).toHaveLength(0);
    expect(empty.rig.end.outbox).toHaveLength(0);

    const { rig, answer } = answered();
    rig.end.send(toReference('first'));
    rig.end.send(toReference('second'));
    rig.feed(answer.message);
    const released = rig.end.outbox.map(({ bytes }) => answer.session.open(bytes)!.plaintext);
    expect(texts(released).map((text) => text.replace(/\0+$/, ''))).toEqual(['first', 'second']);
  });
});

describe('pre-shared keys', () => {
  it('D3: one is always mixed, 32 zero bytes where none was agreed (W§5.2)', () => {
    const { a, b } = pair({ a: { presharedKey: new Uint8Array(32) } });
    a.send(aToB('x'));
    exchange(a, b);
    expect(b.inbox).toHaveLength(1);
  });

  it('D3: when they differ the initiator just keeps trying, until they agree (W§5.2)', () => {
    const presharedKey = new Uint8Array(32).fill(1);
    const { a, b, toA } = pair({ a: { presharedKey } });
    a.send(aToB('x'));
    exchange(a, b);
    expect(a.device.drops.of('bad-tag')).toBe(1);
    a.advanceTo(6_000);
    b.advanceTo(6_000);
    exchange(a, b);
    expect(a.device.drops.of('bad-tag')).toBe(2);
    expect(b.inbox).toHaveLength(0);
    b.device.updatePeer(toA, { presharedKey }, b.now);
    a.advanceTo(12_000);
    b.advanceTo(12_000);
    exchange(a, b);
    expect(texts(b.inbox)).toEqual(['x']);
  });

  it('D3: a changed one counts from the next handshake; the session goes on (W§5.2)', () => {
    const { a, b, toA, toB } = connectedPair();
    const presharedKey = new Uint8Array(32).fill(1);
    a.device.updatePeer(toB, { presharedKey }, a.now);
    a.send(aToB('old session'));
    exchange(a, b);
    expect(texts(b.inbox)).toEqual(['old session']);
    a.advanceTo(6_000);
    b.advanceTo(6_000);
    a.device.initiate(toB, a.now);
    a.drain();
    exchange(a, b);
    expect(a.device.drops.of('bad-tag')).toBe(1);
    b.device.updatePeer(toA, { presharedKey }, b.now);
    a.advanceTo(12_000);
    b.advanceTo(12_000);
    exchange(a, b);
    expect(toB.lastHandshakeAt).toBeGreaterThan(6_000);
  });
});

describe('the responder before confirmation', () => {
  it('D5: without an older session it stages; nothing but the response leaves (W§6.3)', () => {
    const rig = new Rig();
    const session = rig.initiate();
    expect(rig.end.send(toReference('x'))).toBe('staged');
    rig.end.advanceTo(4_900);
    expect(rig.end.outbox).toHaveLength(0);
    rig.feed(session.seal(0n));
    expect(session.open(rig.end.take())).toBeDefined();
  });

  it('D5: with an older session it answers on that, and on the new one only after the first packet there (W§6.3)', () => {
    const rig = new Rig();
    const old = rig.connect();
    rig.end.advanceTo(1_000);
    const renewed = rig.initiate();
    rig.feed(old.seal(1n, fromReference('x')));
    rig.end.send(toReference('y'));
    expect(old.open(rig.end.take())).toBeDefined();
    rig.feed(renewed.seal(0n, fromReference('x')));
    rig.end.send(toReference('y'));
    const reply = rig.end.take();
    expect(old.open(reply)).toBeUndefined();
    expect(renewed.open(reply)).toBeDefined();
  });

  it.each(['keepalive', 'data'])('D6: the confirming packet, a %s, releases what was staged (W§5.4.5)', (kind) => {
    const rig = new Rig();
    const session = rig.initiate();
    rig.end.send(toReference('x'));
    rig.end.send(toReference('y'));
    expect(rig.end.outbox).toHaveLength(0);
    rig.feed(kind === 'data' ? session.seal(0n, fromReference('z')) : session.seal(0n));
    expect(rig.end.outbox.map(({ bytes }) => session.open(bytes)?.counter)).toEqual([0n, 1n]);
    expect(rig.end.inbox).toHaveLength(kind === 'data' ? 1 : 0);
  });
});
