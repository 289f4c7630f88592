import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { Burst, TRANSPORT_HEADER_LENGTH } from '../../../src/core/base/burst.ts';
import { setU16be } from '../../../src/core/base/bytes.ts';
import type { AeadKey } from '../../../src/core/base/crypto.ts';
import { fromReference, REFERENCE_INNER, REFERENCE_OUTER, Rig, toReference } from '../../support/reference-rig.ts';
import { snapshot } from '../../support/snapshot.ts';
import {
  A_INNER,
  A_OUTER,
  aToB,
  B_INNER,
  connectedPair,
  End,
  exchange,
  innerPacket,
  net,
  pair,
  texts,
} from '../../support/wireguard-ends.ts';

describe('receiving', () => {
  it('H1: a packet is judged by index, age, tag, counter, content and source, in this order, and by nothing after the first fault (W§5.4.6)', () => {
    const rig = new Rig({ peer: { roaming: true } });
    const session = rig.connect();
    const elsewhere = { address: ip('203.0.113.5'), port: 5 };
    const forge = (bytes: Uint8Array, at: number): Uint8Array => {
      bytes[at]! ^= 1;
      return bytes;
    };
    const fault = (bytes: Uint8Array): string => {
      const before = rig.end.device.drops.toJSON();
      rig.feed(bytes, elsewhere);
      const after = rig.end.device.drops.toJSON();
      return Object.keys(after)
        .filter((reason) => after[reason] !== before[reason])
        .join();
    };
    const unauthentic = snapshot(rig.end.device);
    expect(fault(forge(session.seal(0n), 4))).toBe('unknown-index');
    expect(fault(forge(session.seal(2n ** 64n - 1n), 20))).toBe('counter-limit');
    expect(fault(forge(session.seal(0n), 20))).toBe('bad-tag'); // replayed as well, but not authentic
    expect(fault(session.seal(0n, new Uint8Array(1)))).toBe('replayed'); // bad inside as well
    expect(snapshot(rig.end.device)).toBe(unauthentic);
    expect(fault(session.seal(1n, innerPacket('9.9.9.9', B_INNER).subarray(0, 19)))).toBe('bad-inner-packet');
    expect(rig.peer.endpoint).toEqual(elsewhere); // what is wrong inside is authentic all the same
    expect(fault(session.seal(2n, innerPacket('9.9.9.9', B_INNER)))).toBe('source-not-allowed');
    expect(fault(session.seal(3n, fromReference('x')))).toBe('');
    rig.end.stallUntil(180_000);
    expect(fault(forge(session.seal(4n), 20))).toBe('session-expired');
  });

  it('H1: a burst is decrypted in place and handed over before the call returns (W§5.4.6)', () => {
    const { a, b } = connectedPair();
    const burst = new Burst(8);
    for (const text of ['one', 'two', 'three']) {
      a.send(aToB(text));
      burst.append(a.take(), A_OUTER);
    }
    const places: number[] = [];
    b.device.handleBurst(burst, b.now, {
      handlePacket(bytes, offset, length, now, peer) {
        expect(bytes).toBe(burst.slab);
        expect(now).toBe(b.now);
        expect(peer.publicKey).toEqual(a.publicKey);
        expect(texts([bytes.slice(offset, offset + length)])).toEqual([['one', 'two', 'three'][places.length]]);
        places.push(offset);
      },
    });
    expect(places).toEqual([0, 1, 2].map((slot) => slot * burst.slotSize + TRANSPORT_HEADER_LENGTH));
  });

  it('messages of a burst take effect in their order, a handshake message between packets too (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    rig.end.stallUntil(rig.end.now + 1_000);
    const burst = new Burst(8);
    for (const datagram of [
      session.seal(1n, fromReference('one')),
      rig.initiation(),
      session.seal(2n, fromReference('two')),
    ])
      burst.append(datagram, REFERENCE_OUTER);
    const order: string[] = [];
    rig.end.device.handleBurst(burst, rig.end.now, {
      handlePacket(bytes, offset, length) {
        rig.end.drain();
        order.push(...texts([bytes.slice(offset, offset + length)]), `${rig.end.outbox.length} sent`);
      },
    });
    expect(order).toEqual(['one', '0 sent', 'two', '1 sent']);
  });

  it('what a burst is about to hand over is told of beforehand, if it is authentic and more than a few packets', () => {
    const rig = new Rig();
    const session = rig.connect();
    const told = (counters: readonly bigint[], forged?: bigint): string[] => {
      const burst = new Burst(8);
      for (const counter of counters) {
        const datagram = session.seal(counter, fromReference(`${counter}`));
        if (counter === forged) datagram[20]! ^= 1;
        burst.append(datagram, REFERENCE_OUTER);
      }
      const calls: string[] = [];
      const text = (bytes: Uint8Array, offset: number): string => texts([bytes.slice(offset, offset + 21)]).join();
      rig.end.device.handleBurst(burst, rig.end.now, {
        expectPacket: (bytes, offset) => void calls.push(`expect ${text(bytes, offset)}`),
        handlePacket: (bytes, offset) => void calls.push(`handle ${text(bytes, offset)}`),
      });
      return calls;
    };
    const handled = ['handle 1', 'handle 2', 'handle 4'];
    expect(told([1n, 2n, 3n, 4n], 3n)).toEqual(['expect 1', 'expect 2', 'expect 4', ...handled]);
    expect(told([5n, 6n, 7n])).toEqual(['handle 5', 'handle 6', 'handle 7']);
  });

  it('what a message of a burst ends is over for those behind it (W§6.3)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const burst = new Burst(8);
    for (const counter of [1n, 2n, 3n]) burst.append(session.seal(counter, fromReference('x')), REFERENCE_OUTER);
    let packets = 0;
    rig.end.device.handleBurst(burst, rig.end.now, {
      handlePacket(_bytes, _offset, _length, now, peer) {
        packets++;
        rig.end.device.removePeer(peer, now);
      },
    });
    expect(packets).toBe(1);
    expect(rig.dropped('unknown-index')).toBe(2);
  });

  it('what a burst left undelivered, since its sink failed, vouches for nothing in the next (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const burst = new Burst(8);
    for (const counter of [1n, 2n]) burst.append(session.seal(counter, fromReference('x')), REFERENCE_OUTER);
    const failing = {
      handlePacket(): void {
        throw new Error('the sink failed');
      },
    };
    expect(() => rig.end.device.handleBurst(burst, rig.end.now, failing)).toThrow('the sink failed');
    burst.clear();
    burst.append(session.seal(3n, fromReference('y')), REFERENCE_OUTER);
    const forged = session.seal(4n, fromReference('z'));
    forged[20]! ^= 1;
    burst.append(forged, REFERENCE_OUTER);
    rig.end.device.handleBurst(burst, rig.end.now, rig.end);
    expect(texts(rig.end.inbox)).toEqual(['y']);
    // Its content is not even looked at.
    expect(rig.end.device.drops.toJSON()).toEqual({ 'bad-tag': 1 });
  });

  it('a counter that stands twice in a burst is taken once (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const burst = new Burst(8);
    for (let copies = 0; copies < 2; copies++) burst.append(session.seal(1n, fromReference('x')), REFERENCE_OUTER);
    rig.end.device.handleBurst(burst, rig.end.now, rig.end);
    expect(rig.end.inbox).toHaveLength(1);
    expect(rig.dropped('replayed')).toBe(1);
  });

  it('H5: packets that are not padded, or padded further than by us, are taken and trimmed to their own length (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const packet = innerPacket(REFERENCE_INNER, B_INNER, new Uint8Array(5).fill(7));
    rig.feed(session.seal(1n, packet));
    rig.feed(session.seal(2n, Uint8Array.of(...packet, ...new Uint8Array(100))));
    expect(rig.end.inbox).toEqual([packet, packet]);
    const six = innerPacket('fd00::1', 'fd00::2', new Uint8Array(3).fill(9));
    rig.feed(session.seal(3n, Uint8Array.of(...six, ...new Uint8Array(13))));
    expect(rig.end.inbox.at(-1)).toEqual(six);
  });

  it('H6: what is no IP packet is dropped, yet counts as authenticated (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const claims = (length: number): Uint8Array => {
      const packet = innerPacket(REFERENCE_INNER, B_INNER, new Uint8Array(10));
      setU16be(packet, 2, length);
      return packet;
    };
    const six = innerPacket('fd00::1', 'fd00::2', new Uint8Array(10));
    setU16be(six, 4, 11);
    const version = (first: number): Uint8Array => Uint8Array.of(first, ...claims(30).subarray(1));
    const bad = [claims(31), claims(19), claims(0), six, version(0x55), version(0x00), version(0xf5)];
    const short = [Uint8Array.of(0x45), claims(30).subarray(0, 19), innerPacket('fd00::1', 'fd00::2').subarray(0, 39)];
    // Its source is known then: the short way must judge as the long one does.
    rig.feed(session.seal(1n, claims(30)));
    let counter = 2n;
    for (const packet of [...bad, ...short]) {
      rig.end.stallUntil(rig.end.now + 1);
      rig.feed(session.seal(counter++, packet));
      expect(rig.peer.lastReceivedAt).toBe(rig.end.now);
    }
    expect(rig.dropped('bad-inner-packet')).toBe(bad.length + short.length);
    expect(rig.end.inbox).toHaveLength(1);
    rig.feed(session.seal(counter, claims(30)));
    expect(rig.end.inbox).toHaveLength(2);
  });

  it('H7: the inner source must belong to the sender by the longest prefix over all peers (W§2)', () => {
    const rig = new Rig({ peer: { allowedIps: [net('10.66.0.0/16'), net('fd00::/16')] } });
    rig.end.addPeer({ publicKey: rig.random.bytes(32) }, { allowedIps: [net('10.66.7.0/24'), net('fd00:7::/32')] });
    const session = rig.connect();
    const sources = ['10.66.0.1', '10.66.6.255', '10.66.7.1', '10.67.0.1', 'fd00::1', 'fd00:7::1', 'fe80::1'];
    const allowed = sources.filter((source, i) => {
      const before = rig.end.inbox.length;
      rig.feed(session.seal(BigInt(i + 1), innerPacket(source, source.includes(':') ? 'fd00::2' : B_INNER)));
      return rig.end.inbox.length > before;
    });
    expect(allowed).toEqual(['10.66.0.1', '10.66.6.255', 'fd00::1']);
    expect(rig.dropped('source-not-allowed')).toBe(4);
  });
});

describe('sending', () => {
  it('H4: the counter starts at 0, grows by one, and crosses 2^32 and 2^53 without a repeat (W§5.4.6)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.connect();
    const next = (): bigint => {
      rig.end.send(toReference('x'));
      const opened = session.open(rig.end.outbox.splice(0).find(({ bytes }) => bytes[0] === 4)!.bytes);
      return opened!.counter;
    };
    const place = (counter: bigint): void => {
      const keypair = rig.peer.keypairs.current!;
      keypair.sendHigh = Number(counter >> 32n);
      keypair.sendLow = Number(counter & 0xffff_ffffn);
    };
    expect([next(), next(), next()]).toEqual([0n, 1n, 2n]);
    for (const start of [2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n - 1n, 2n ** 63n - 1n]) {
      place(start);
      expect([next(), next(), next()]).toEqual([start, start + 1n, start + 2n]);
    }
  });

  it('H4: at the limit nothing more is sealed, so no nonce is used twice (W§6.2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.connect();
    const keypair = rig.peer.keypairs.current!;
    const nonces: string[] = [];
    const { send } = keypair;
    Object.assign(keypair, {
      send: {
        seal(...args: Parameters<AeadKey['seal']>) {
          nonces.push(`${args[4]}:${args[3]}`);
          send.seal(...args);
        },
        open: () => false,
        wipe: () => send.wipe(),
      } satisfies AeadKey,
    });
    keypair.sendHigh = 0xffff_ffff;
    keypair.sendLow = 0xffff_dffd;
    for (let i = 0; i < 5; i++) rig.end.send(toReference('x'));
    expect(nonces).toEqual([`${0xffff_ffff}:${0xffff_dffd}`, `${0xffff_ffff}:${0xffff_dffe}`]);
  });

  it('H5: packets are padded with zeros to a multiple of 16, but never beyond the MTU of the tunnel (W§5.4.6)', () => {
    const rig = new Rig({ device: { mtu: 1_420 }, peer: { endpoint: REFERENCE_OUTER } });
    const session = rig.connect();
    const sealed = (length: number): Uint8Array => {
      rig.end.send(innerPacket(B_INNER, REFERENCE_INNER, new Uint8Array(length - 20).fill(0xee)));
      return session.open(rig.end.take())!.plaintext;
    };
    for (const [length, padded] of [
      [20, 32],
      [32, 32],
      [33, 48],
      [1_408, 1_408],
      [1_409, 1_420],
      [1_420, 1_420],
    ] as const) {
      const plaintext = sealed(length);
      expect(plaintext).toHaveLength(padded);
      expect(plaintext.subarray(length).every((byte) => byte === 0)).toBe(true);
      expect(plaintext.subarray(20, length).every((byte) => byte === 0xee)).toBe(true);
    }
  });

  it('H5: the same goes for packets that had to wait for the session (W§5.4.6)', () => {
    const rig = new Rig({ device: { mtu: 100 } });
    const session = rig.initiate();
    for (const length of [20, 90, 100])
      rig.end.send(innerPacket(B_INNER, REFERENCE_INNER, new Uint8Array(length - 20)));
    rig.feed(session.seal(0n));
    expect(rig.end.outbox.map(({ bytes }) => session.open(bytes)!.plaintext.length)).toEqual([32, 96, 100]);
  });

  it('H8: the longest prefix of the destination decides; without one the packet is an error, not another route (W§2)', () => {
    const end = new End({ endpoint: A_OUTER });
    const peerOf = (seed: number, allowed: string[]) =>
      end.addPeer({ publicKey: new Uint8Array(32).fill(seed) }, { allowedIps: allowed.map(net) });
    const wide = peerOf(9, ['10.0.0.0/8', 'fd00::/8']);
    const narrow = peerOf(25, ['10.66.0.0/16', '10.66.0.2/32', 'fd00:1::/32']);
    const chosen = (destination: string): string => {
      const before = [wide.staged.length, narrow.staged.length];
      const outcome = end.send(innerPacket(destination.includes(':') ? 'fd00::9' : '10.9.9.9', destination));
      if (outcome === 'dropped') return 'none';
      return wide.staged.length > before[0]! ? 'wide' : 'narrow';
    };
    const destinations = ['10.1.2.3', '10.66.1.1', '10.66.0.2', '11.0.0.1', 'fd01::1', 'fd00:1::1', 'fe80::1'];
    expect(destinations.map(chosen)).toEqual(['wide', 'narrow', 'narrow', 'none', 'wide', 'narrow', 'none']);
    expect(end.device.drops.of('no-route')).toBe(2);
    expect(end.send(new Uint8Array(19).fill(0x45))).toBe('dropped');
    expect(end.send(new Uint8Array(0))).toBe('dropped');
    expect(end.send(new Uint8Array(60).fill(0x75))).toBe('dropped');
  });

  it('H8: the destination decides, whatever address was looked up before (W§2)', () => {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER, allowedIps: [net('10.66.1.0/24')] } });
    rig.connect();
    expect(rig.end.send(innerPacket(B_INNER, '10.66.1.1'))).toBe('sent');
    expect(rig.end.send(innerPacket('10.66.1.1', '10.66.2.1'))).toBe('dropped');
    expect(rig.end.send(innerPacket(B_INNER, '10.66.1.1'))).toBe('sent');
    expect(rig.end.send(innerPacket(B_INNER, '10.66.2.1'))).toBe('dropped');
    expect(rig.dropped('no-route')).toBe(2);
  });

  it('H8: a network given to another peer is no longer the first one’s (W§2)', () => {
    const end = new End({ endpoint: A_OUTER });
    const first = end.addPeer(
      { publicKey: new Uint8Array(32).fill(9) },
      { allowedIps: [net('10.66.0.0/16'), net('10.1.0.0/16')] },
    );
    const second = end.addPeer({ publicKey: new Uint8Array(32).fill(25) }, { allowedIps: [net('10.66.3.4/16')] });
    end.send(innerPacket('10.9.9.9', '10.66.0.1'));
    expect([first.staged.length, second.staged.length]).toEqual([0, 1]);
    expect(first.allowedIps).toEqual([net('10.1.0.0/16')]);
    end.device.updatePeer(second, { allowedIps: [net('10.2.0.0/16')] }, end.now);
    expect(end.send(innerPacket('10.9.9.9', '10.66.0.1'))).toBe('dropped');
    expect(end.send(innerPacket('10.9.9.9', '10.2.0.1'))).toBe('staged');
  });

  it('H9: 128 packets wait for a session, in order, the oldest giving way (W§6.4)', () => {
    const { a, b } = pair();
    for (let i = 0; i < 200; i++) expect(a.send(aToB(`${i}`))).toBe('staged');
    expect(a.device.drops.of('staging-full')).toBe(72);
    exchange(a, b);
    expect(texts(b.inbox)).toEqual(Array.from({ length: 128 }, (_, i) => `${i + 72}`));
  });

  it('H9: without an endpoint packets wait for one as well, and leave when it is set (W§6.4)', () => {
    const rig = new Rig();
    expect(rig.end.send(toReference('x'))).toBe('staged');
    rig.end.device.updatePeer(rig.peer, { endpoint: REFERENCE_OUTER }, rig.end.now);
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const answer = rig.reference.respond(rig.end.take(), 1, rig.ephemeral());
    rig.feed(answer.message);
    expect(rig.end.outbox).toHaveLength(1);
  });

  it('H10: an inner packet of 1420 bytes fits an outer path of 1500, over IPv4 and IPv6 (W§5.4.6)', () => {
    const { a, b } = connectedPair();
    a.send(innerPacket(A_INNER, B_INNER, new Uint8Array(1_400)));
    const datagram = a.take();
    expect(datagram).toHaveLength(1_452);
    expect(datagram.length + 8 + 40).toBeLessThanOrEqual(1_500);
    b.feed(datagram, A_OUTER);
    expect(b.inbox[0]).toHaveLength(1_420);
  });

  it('H10: a packet that does not fit the slot it was written in is dropped and counted (W§5.4.6)', () => {
    const { a } = connectedPair({ deviceA: { mtu: 4_000 } });
    const burst = new Burst(2, 1_024);
    const packet = innerPacket(A_INNER, B_INNER, new Uint8Array(980));
    burst.slab.set(packet, burst.nextSlot() + TRANSPORT_HEADER_LENGTH);
    expect(a.device.sendPacket(burst, packet.length, a.now)).toBe('dropped');
    expect(a.device.drops.of('oversized-packet')).toBe(1);
    expect(burst.count).toBe(0);
    const fits = innerPacket(A_INNER, B_INNER, new Uint8Array(972));
    burst.slab.set(fits, burst.nextSlot() + TRANSPORT_HEADER_LENGTH);
    expect(a.device.sendPacket(burst, fits.length, a.now)).toBe('sent');
    expect(burst.lengths[0]).toBe(1_024);
  });

  it('H11: a datagram to send is its destination and its bytes; no DSCP or ECN is asked for (W§6.6)', () => {
    const { a } = pair();
    const burst = new Burst(1);
    burst.slab.set(aToB('x'), TRANSPORT_HEADER_LENGTH);
    a.device.sendPacket(burst, aToB('x').length, a.now);
    const output = a.device.nextOutput();
    expect(Object.keys(output ?? {}).sort()).toEqual(['bytes', 'kind', 'to']);
  });
});
