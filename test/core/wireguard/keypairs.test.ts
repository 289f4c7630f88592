import { describe, expect, it } from 'vitest';
import type { AeadKey, Crypto, KeyPair } from '../../../src/core/base/crypto.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import type { ReferenceSession } from '../../support/reference-peer.ts';
import { fromReference, REFERENCE_OUTER, Rig, toReference } from '../../support/reference-rig.ts';
import { advance, aToB, connectedPair, exchange, pair } from '../../support/wireguard-ends.ts';

/** Whether the device takes a packet on this session. */
function accepts(rig: Rig, session: ReferenceSession, counter: bigint): boolean {
  const before = rig.end.inbox.length;
  rig.feed(session.seal(counter, fromReference('x')));
  return rig.end.inbox.length > before;
}

/** Which of the sessions the device sends on now. */
function sendsOn(rig: Rig, sessions: Record<string, ReferenceSession>): string[] {
  rig.end.outbox.length = 0;
  expect(rig.end.send(toReference('y'))).toBe('sent');
  const bytes = rig.end.take();
  return Object.keys(sessions).filter((name) => sessions[name]!.open(bytes));
}

const clientRig = (): Rig => new Rig({ peer: { endpoint: REFERENCE_OUTER } });

/** Five seconds later, so that the device may initiate again. */
function later(rig: Rig): void {
  rig.end.stallUntil(rig.end.now + 6_000);
  rig.end.outbox.length = 0;
}

describe('the sessions of a peer', () => {
  it('E1: as initiator the new session is current and the old current one previous (W§6.3)', () => {
    const rig = clientRig();
    const oldest = rig.beInitiated();
    later(rig);
    const old = rig.beInitiated();
    later(rig);
    const renewed = rig.beInitiated();
    expect(sendsOn(rig, { oldest, old, renewed })).toEqual(['renewed']);
    expect(accepts(rig, renewed, 0n)).toBe(true);
    expect(accepts(rig, old, 0n)).toBe(true);
    expect(accepts(rig, oldest, 0n)).toBe(false);
  });

  it('E1: as initiator with an unconfirmed session pending, that becomes previous and the old current one goes (W§6.3)', () => {
    const rig = clientRig();
    const current = rig.connect();
    later(rig);
    const unconfirmed = rig.initiate();
    later(rig);
    const renewed = rig.beInitiated();
    expect(accepts(rig, current, 1n)).toBe(false);
    expect(accepts(rig, unconfirmed, 0n)).toBe(true);
    expect(sendsOn(rig, { current, unconfirmed, renewed })).toEqual(['renewed']);
    later(rig);
    rig.beInitiated();
    expect(accepts(rig, unconfirmed, 1n)).toBe(false);
    expect(accepts(rig, renewed, 0n)).toBe(true);
  });

  it('E2: as responder the new session is next; the old next and the previous one go, the current one stays (W§6.3)', () => {
    const rig = clientRig();
    const previous = rig.connect();
    later(rig);
    const current = rig.connect();
    later(rig);
    const replaced = rig.initiate();
    later(rig);
    const next = rig.initiate();
    expect(accepts(rig, previous, 1n)).toBe(false);
    expect(accepts(rig, replaced, 0n)).toBe(false);
    expect(sendsOn(rig, { previous, current, replaced, next })).toEqual(['current']);
    expect(accepts(rig, current, 1n)).toBe(true);
    expect(accepts(rig, next, 0n)).toBe(true);
  });

  it('E3: the first packet on the next session makes it current and the old current one previous (W§6.3)', () => {
    const rig = clientRig();
    const oldest = rig.connect();
    later(rig);
    const old = rig.connect();
    later(rig);
    const next = rig.initiate();
    expect(sendsOn(rig, { oldest, old, next })).toEqual(['old']);
    rig.feed(next.seal(0n));
    expect(sendsOn(rig, { oldest, old, next })).toEqual(['next']);
    expect(accepts(rig, old, 1n)).toBe(true);
    expect(accepts(rig, oldest, 1n)).toBe(false);
  });

  it('E4: a packet on the old session is taken after a rekey and answered on the new; two generations back is silence (W§6.3)', () => {
    const rig = clientRig();
    const first = rig.connect();
    later(rig);
    const second = rig.connect();
    expect(accepts(rig, first, 1n)).toBe(true);
    expect(sendsOn(rig, { first, second })).toEqual(['second']);
    later(rig);
    const third = rig.connect();
    expect(accepts(rig, first, 2n)).toBe(false);
    expect(rig.dropped('unknown-index')).toBe(1);
    expect(accepts(rig, second, 1n)).toBe(true);
    expect(sendsOn(rig, { first, second, third })).toEqual(['third']);
  });

  it('E4: there are never more than three, whatever the order of events (W§6.3)', () => {
    const rig = clientRig();
    for (let round = 0; round < 40; round++) {
      later(rig);
      [() => rig.connect(), () => rig.initiate(), () => rig.beInitiated()][rig.random.below(3)]!();
      expect(rig.end.device.context.indices.size).toBeLessThanOrEqual(3);
    }
  });
});

/** A backend that remembers every secret it made, and whether it was wiped. */
function watchedCrypto(): { crypto: Crypto; live: () => { aead: number; pairs: number } } {
  const live = { aead: 0, pairs: 0 };
  const watch = <T extends AeadKey | KeyPair>(secret: T, kind: 'aead' | 'pairs'): T => {
    live[kind]++;
    let wiped = false;
    const wipe = secret.wipe.bind(secret);
    return Object.assign(secret, {
      wipe() {
        if (!wiped) live[kind]--;
        wiped = true;
        wipe();
      },
    });
  };
  return {
    crypto: {
      ...nodeCrypto,
      aeadKey: (key) => watch(nodeCrypto.aeadKey(key), 'aead'),
      keyPair: (key) => watch(nodeCrypto.keyPair(key), 'pairs'),
    },
    live: () => ({ ...live }),
  };
}

describe('keys are forgotten', () => {
  it('E5: the ephemeral key and the intermediate keys of a handshake are wiped when its session is derived (W§5.4.5)', () => {
    const watched = watchedCrypto();
    connectedPair({ deviceA: { crypto: watched.crypto } });
    // Left are the device's own pair and the two keys of the session.
    expect(watched.live()).toEqual({ aead: 2, pairs: 1 });
    const responder = watchedCrypto();
    connectedPair({ deviceB: { crypto: responder.crypto } });
    expect(responder.live()).toEqual({ aead: 2, pairs: 1 });
  });

  it('E5: an initiation that is refused leaves no key behind (W§5.4.2)', () => {
    const watched = watchedCrypto();
    const rig = new Rig({ device: { crypto: watched.crypto } });
    const forged = rig.initiation();
    forged[100]! ^= 1;
    rig.feed(rig.reference.sign(forged));
    expect(watched.live()).toEqual({ aead: 0, pairs: 1 });
  });

  it('E5: all keys are wiped 540 s after the last new session, and not before (W§6.3)', () => {
    const watched = watchedCrypto();
    const { a, b, toB } = connectedPair({ deviceA: { crypto: watched.crypto } });
    advance(a, b, 539_999, false);
    expect(toB.keypairs.current).toBeDefined();
    advance(a, b, 540_000, false);
    expect(toB.keypairs).toMatchObject({ previous: undefined, current: undefined, next: undefined });
    expect(watched.live()).toEqual({ aead: 0, pairs: 1 });
    expect(a.device.context.indices.size).toBe(0);
  });

  it('E5: removing a peer wipes its keys and frees its indices (W§6.3)', () => {
    const watched = watchedCrypto();
    const { a, b, toB } = connectedPair({ deviceA: { crypto: watched.crypto } });
    a.advanceTo(6_000);
    a.device.initiate(toB, a.now);
    const secret = toB.staticStatic!;
    a.device.removePeer(toB, a.now);
    expect(watched.live()).toEqual({ aead: 0, pairs: 1 });
    expect(a.device.context.indices.size).toBe(0);
    expect(secret.every((byte) => byte === 0)).toBe(true);
    expect(a.device.nextTimeout()).toBeUndefined();
    expect([...a.device.peers]).toEqual([]);
    b.send(aToB('x'));
    expect(a.send(aToB('x'))).toBe('dropped');
  });

  it('E5: closing the device wipes everything, its own key included, and nothing is sent (W§6.3)', () => {
    const watched = watchedCrypto();
    const { a, b, toA, toB } = connectedPair({
      deviceA: { crypto: watched.crypto },
      a: { presharedKey: new Uint8Array(32).fill(1) },
      b: { presharedKey: new Uint8Array(32).fill(1) },
    });
    a.device.close();
    a.drain();
    expect(watched.live()).toEqual({ aead: 0, pairs: 0 });
    expect(toB.presharedKey.every((byte) => byte === 0)).toBe(true);
    expect(a.outbox).toHaveLength(0);
    expect(a.device.nextTimeout()).toBeUndefined();
    b.stallUntil(6_000);
    b.device.initiate(toA, b.now);
    b.drain();
    a.feed(b.take(), b.endpoint);
    expect(a.outbox).toHaveLength(0);
  });

  it('E5: a new private key ends every session and is the identity of the next handshake (W§5.4)', () => {
    const watched = watchedCrypto();
    const { a, b, toB, toA } = connectedPair({ deviceA: { crypto: watched.crypto } });
    const privateKey = new Uint8Array(32).fill(9);
    a.now = b.now = instant(6_000);
    a.device.setPrivateKey(privateKey, a.now);
    expect(watched.live()).toEqual({ aead: 0, pairs: 1 });
    b.device.removePeer(toA, b.now);
    b.addPeer(a, { allowedIps: toA.allowedIps });
    expect(a.send(aToB('x'))).toBe('staged');
    exchange(a, b);
    expect(b.inbox).toHaveLength(1);
    expect(toB.lastHandshakeAt).toBe(6_000);
  });

  it('E5: giving up on an initiation arms the same wipe (W§6.3)', () => {
    const { a, toB } = pair();
    a.send(aToB('x'));
    a.advanceTo(110_000);
    expect(a.events.at(-1)).toEqual({ kind: 'handshake-failed', peer: toB, reason: 'no-answer' });
    expect(toB.pendingHandshake).toBeDefined();
    a.advanceTo(110_000 + 540_000);
    expect(toB.pendingHandshake).toBeUndefined();
    expect(a.device.context.indices.size).toBe(0);
    expect(a.device.nextTimeout()).toBeUndefined();
  });
});
