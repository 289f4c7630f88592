import { describe, expect, it } from 'vitest';
import { u32le } from '../../../src/core/base/bytes.ts';
import { fromReference, REFERENCE_OUTER, Rig, toReference } from '../../support/reference-rig.ts';
import { snapshot } from '../../support/snapshot.ts';
import { B_OUTER, connectedPair } from '../../support/wireguard-ends.ts';

/** A rig in which every kind of state exists: a confirmed session, one to be confirmed, and an initiation under way. */
function busyRig(): Rig {
  const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER, roaming: true } });
  rig.connect();
  rig.end.advanceTo(6_000);
  rig.end.outbox.length = 0;
  rig.initiate();
  rig.end.advanceTo(12_000);
  rig.end.device.initiate(rig.peer, rig.end.now);
  rig.end.drain();
  rig.end.outbox.length = 0;
  return rig;
}

describe('messages that prove nothing', () => {
  it('B1: a genuine message one byte longer or shorter is silence (W§5.4)', () => {
    const rig = new Rig();
    const initiation = rig.initiation();
    rig.feed(initiation.subarray(0, 147));
    rig.feed(Uint8Array.of(...initiation, 0));
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.dropped('malformed')).toBe(2);
    rig.feed(initiation);
    expect(rig.end.outbox).toHaveLength(1);
  });

  it('B2: a genuine message with a reserved byte that is not zero is silence, even signed anew (W§5.4)', () => {
    const rig = new Rig();
    for (const reserved of [1, 2, 3]) {
      const initiation = rig.initiation();
      initiation[reserved] = 1;
      rig.feed(rig.reference.sign(initiation));
    }
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.dropped('malformed')).toBe(3);
  });

  it('B3: a peer is addressed by the index it chose, to the last bit (W§5.4.3)', () => {
    const rig = new Rig();
    rig.feed(rig.initiation({ index: 0xfedc_ba98 }));
    const response = rig.end.take();
    expect(u32le(response, 8)).toBe(0xfedc_ba98);
    rig.feed(rig.reference.readResponse(response)!.seal(0n));
    rig.end.send(toReference('x'));
    expect(u32le(rig.end.take(), 4)).toBe(0xfedc_ba98);
  });

  it('B4: datagrams of 0 to 31 bytes, of other types, and of 65,507 bytes are silence and no exception (W§5.4)', () => {
    const rig = busyRig();
    const genuine = rig.initiate().seal(0n, fromReference('x'));
    const before = snapshot(rig.end.device);
    rig.end.outbox.length = 0;
    for (let length = 0; length < 32; length++) {
      for (const type of [0, 1, 2, 3, 4, 5, 255]) rig.feed(new Uint8Array(length).fill(type, 0, 1));
      rig.feed(genuine.subarray(0, length));
    }
    expect(rig.dropped('malformed')).toBe(32 * 8);
    for (const type of [0, 1, 2, 3, 4, 5, 255])
      for (const length of [32, 64, 92, 148, 65_507]) rig.feed(new Uint8Array(length).fill(type, 0, 1));
    expect(rig.end.outbox).toHaveLength(0);
    expect(snapshot(rig.end.device)).toBe(before);
  });

  it('B5: nothing unauthenticated is answered, or changes state, timers or the endpoint (W§5.1)', () => {
    const rig = busyRig();
    const session = rig.initiate();
    rig.end.outbox.length = 0;
    const elsewhere = { address: B_OUTER.address, port: 1 };
    const forge = (bytes: Uint8Array, at: number): Uint8Array => {
      const forged = Uint8Array.from(bytes);
      forged[at]! ^= 1;
      return forged;
    };
    const initiation = rig.initiation();
    const forgeries = [
      forge(initiation, 130), // mac1
      rig.reference.sign(forge(initiation, 10)), // ephemeral
      rig.reference.sign(forge(initiation, 50)), // static
      rig.reference.sign(forge(initiation, 100)), // timestamp
      forge(session.seal(0n), 31), // tag
      forge(session.seal(0n, fromReference('x')), 20), // ciphertext
      forge(session.seal(0n), 9), // counter
      forge(session.seal(0n), 5), // index
    ];
    const before = snapshot(rig.end.device);
    const due = rig.end.device.nextTimeout();
    for (const forged of forgeries) rig.feed(forged, elsewhere);
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.end.inbox).toHaveLength(0);
    expect(snapshot(rig.end.device)).toBe(before);
    expect(rig.end.device.nextTimeout()).toBe(due);
    rig.feed(session.seal(0n, fromReference('x')));
    expect(rig.end.inbox).toHaveLength(1);
  });

  it('B5: a genuine initiation of a stranger is silence as well (W§5.1)', () => {
    const rig = new Rig();
    rig.end.device.removePeer(rig.peer, rig.end.now);
    const before = snapshot(rig.end.device);
    rig.feed(rig.initiation());
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.dropped('unknown-peer')).toBe(1);
    expect(snapshot(rig.end.device)).toBe(before);
  });

  it('B5: a logged or serialised device shows no key (W§5.1)', () => {
    const { a, toB } = connectedPair({
      a: { presharedKey: new Uint8Array(32).fill(0x5a) },
      b: { presharedKey: new Uint8Array(32).fill(0x5a) },
    });
    expect(JSON.stringify(toB.presharedKey)).toContain('90');
    const text = snapshot(a.device);
    expect(text).not.toContain(Buffer.from(toB.presharedKey).toString('base64'));
    expect(text).not.toContain(Buffer.from(toB.staticStatic!).toString('base64'));
    expect(text).not.toContain(Buffer.from(a.privateKey).toString('base64'));
  });
});
