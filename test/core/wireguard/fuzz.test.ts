/** Bad input by the hundred thousand. Under SLUICE_DEEP=1 each target gets the whole budget. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { fromHex, setU16be, toHex, u32le } from '../../../src/core/base/bytes.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { CookieJar } from '../../../src/core/wireguard/cookies.ts';
import { Device } from '../../../src/core/wireguard/device.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { deep } from '../../support/deep.ts';
import { checkLaws } from '../../support/laws.ts';
import type { ReferenceSession } from '../../support/reference-peer.ts';
import { REFERENCE_OUTER, Rig } from '../../support/reference-rig.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { snapshot } from '../../support/snapshot.ts';
import { describeVectors } from '../../support/vectors.ts';
import { A_INNER, aToB, B_INNER, B_OUTER, End, innerPacket, net, pair } from '../../support/wireguard-ends.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A device with a session, one unconfirmed, and an initiation under way; and a genuine message of every type. */
function target(underLoad: boolean): { rig: Rig; samples: Uint8Array[]; session: ReferenceSession } {
  const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER }, device: { load: { underLoad: () => underLoad } } });
  const calm = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
  const session = underLoad ? calm.connect() : rig.connect();
  rig.end.stallUntil(6_000);
  if (!underLoad) rig.initiate();
  rig.end.stallUntil(12_000);
  rig.end.device.initiate(rig.peer, rig.end.now);
  rig.end.drain();
  const initiation = rig.end.take();
  const { message: response } = rig.reference.respond(initiation, 99, rig.ephemeral());
  const cookie = rig.reference.cookieReply(initiation, rig.random.bytes(16), rig.random.bytes(24));
  const data = session.seal(7n, aToB('some data'));
  return { rig, session, samples: [rig.initiation(), response, cookie, data, session.seal(8n)] };
}

/** A genuine message with a few bytes changed, cut or added; never one that is genuine still. */
function mutate(random: SeededRandom, samples: readonly Uint8Array[]): Uint8Array {
  const sample = samples[random.below(samples.length)]!;
  const kind = random.below(10);
  if (kind === 0) return random.bytes(random.below(200));
  if (kind === 1) return sample.subarray(0, random.below(sample.length));
  if (kind === 2) return Uint8Array.of(...sample, ...random.bytes(1 + random.below(40)));
  const bytes = Uint8Array.from(sample);
  const start = random.below(bytes.length);
  for (let i = 0; i < 1 + random.below(4); i++) bytes[(start + i * i) % bytes.length]! ^= 1 + random.below(255);
  return bytes;
}

/** Whether a handshake message differs from its genuine form in mac2 alone, which nobody looks at without load. */
const onlyMac2 = (bytes: Uint8Array, samples: readonly Uint8Array[]): boolean =>
  samples.some(
    (sample) =>
      (sample[0] === 1 || sample[0] === 2) &&
      sample.length === bytes.length &&
      sample.subarray(0, -16).every((byte, i) => byte === bytes[i]),
  );

/**
 * Whether a handshake message would be genuine again once its mac1 is made right: type, receiver and Noise message are untouched.
 * The sender's index is covered by mac1 alone, which everyone can make who knows the public key.
 */
const genuineOnceSigned = (bytes: Uint8Array, samples: readonly Uint8Array[]): boolean =>
  samples.some(
    (sample) =>
      sample.length === bytes.length &&
      sample.subarray(0, -32).every((byte, i) => byte === bytes[i] || (i >= 4 && i < 8)),
  );

function expectNothing(rig: Rig, count: number, next: () => Uint8Array): void {
  const before = snapshot(rig.end.device);
  const due = rig.end.device.nextTimeout();
  rig.end.outbox.length = 0;
  for (let i = 0; i < count; i++) {
    const bytes = next();
    const kept = Uint8Array.from(bytes);
    rig.end.device.handleDatagram(bytes, REFERENCE_OUTER, rig.end.now, rig.end);
    const output = rig.end.device.nextOutput();
    if (output) throw new Error(`${toHex(kept)} was answered with ${output.kind}`);
    if (i % 500 === 0 && snapshot(rig.end.device) !== before)
      throw new Error(`state changed by or before ${toHex(kept)}`);
  }
  expect(snapshot(rig.end.device)).toBe(before);
  expect(rig.end.device.nextTimeout()).toBe(due);
  expect(rig.end.inbox).toHaveLength(0);
}

describe('datagrams that are not genuine', () => {
  it('B5: mutated messages of every type are silence and change nothing (W§5.1)', () => {
    const { rig, samples } = target(false);
    const random = new SeededRandom(21);
    expectNothing(rig, deep(20_000, 400_000), () => {
      let bytes = mutate(random, samples);
      while (onlyMac2(bytes, samples)) bytes = mutate(random, samples);
      return bytes;
    });
  }, 600_000);

  it('B5: so are mutated handshake messages whose mac1 is right (W§5.1)', () => {
    const { rig, samples } = target(false);
    const random = new SeededRandom(22);
    const handshakes = samples.slice(0, 2);
    expectNothing(rig, deep(3_000, 300_000), () => {
      let bytes = mutate(random, handshakes);
      while (bytes.length < 32 || genuineOnceSigned(bytes, samples)) bytes = mutate(random, handshakes);
      return rig.reference.sign(Uint8Array.from(bytes));
    });
  }, 1_800_000);

  it('B5: under load the only answers are cookie replies, no more than 20 per second to one source (W§5.3)', () => {
    const { rig, samples } = target(true);
    const random = new SeededRandom(23);
    const before = snapshot(rig.end.device);
    let answers = 0;
    const count = deep(5_000, 100_000);
    for (let i = 0; i < count; i++) {
      let bytes = mutate(random, samples.slice(0, 2));
      while (bytes.length < 32) bytes = mutate(random, samples.slice(0, 2));
      rig.end.device.handleDatagram(rig.reference.sign(Uint8Array.from(bytes)), REFERENCE_OUTER, rig.end.now, rig.end);
      for (let output = rig.end.device.nextOutput(); output; output = rig.end.device.nextOutput()) {
        if (output.kind !== 'datagram' || output.bytes[0] !== 3) throw new Error(`answered with ${output.kind}`);
        expect(output.to).toBe(REFERENCE_OUTER);
        answers++;
      }
    }
    expect(answers).toBe(20);
    expect(snapshot(rig.end.device)).toBe(before);
  }, 600_000);

  it('B4: memory is flat under a flood of them (W§5.1)', () => {
    const { rig, samples } = target(false);
    const random = new SeededRandom(24);
    const flood = (count: number): void => {
      for (let i = 0; i < count; i++) {
        rig.end.device.handleDatagram(mutate(random, samples), REFERENCE_OUTER, rig.end.now, rig.end);
        while (rig.end.device.nextOutput());
      }
    };
    flood(5_000);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    flood(deep(20_000, 200_000));
    collectGarbage();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000);
  }, 600_000);
});

describe('packets that are authentic and bad inside', () => {
  it('H6: are delivered exactly if an independent parser finds an IP packet from an allowed source in them (W§5.4.6)', () => {
    const { rig, session } = target(false);
    const random = new SeededRandom(25);
    const count = deep(10_000, 300_000);
    for (let counter = 1n; counter <= count; counter++) {
      const plaintext = somePlaintext(random);
      const expected = parsedIndependently(plaintext);
      rig.end.device.handleDatagram(session.seal(counter, plaintext), REFERENCE_OUTER, rig.end.now, rig.end);
      const delivered = rig.end.inbox.pop();
      if (toHex(delivered ?? new Uint8Array(0)) !== toHex(expected ?? new Uint8Array(0)))
        throw new Error(
          `${toHex(plaintext)}: expected ${expected?.length ?? 'nothing'} bytes, got ${delivered?.length}`,
        );
      rig.end.senders.length = 0;
      while (rig.end.device.nextOutput());
    }
  }, 600_000);
});

/** Something near an IP packet. */
function somePlaintext(random: SeededRandom): Uint8Array {
  const six = random.chance(0.4);
  const source = random.chance(0.8) ? (six ? 'fd00::1' : A_INNER) : six ? 'fe80::7' : '10.66.0.99';
  const packet = innerPacket(source, six ? 'fd00::2' : B_INNER, random.bytes(random.below(60)));
  if (random.chance(0.3)) setU16be(packet, six ? 4 : 2, random.chance(0.5) ? random.below(120) : random.below(65_536));
  if (random.chance(0.1)) packet[0] = random.below(256);
  const padded = random.chance(0.5) ? Uint8Array.of(...packet, ...new Uint8Array(random.below(20))) : packet;
  return random.chance(0.2) ? padded.subarray(0, random.below(padded.length)) : padded;
}

/** The bytes that must be delivered, by another reading of the same rules. */
function parsedIndependently(plaintext: Uint8Array): Uint8Array | undefined {
  const view = Buffer.from(plaintext);
  if (view.length < 1) return undefined;
  const high = view[0]! & 0xf0;
  if (high === 0x40 && view.length >= 20) {
    const total = view.readUInt16BE(2);
    const allowed = view.readUInt32BE(12) === 0x0a42_0001;
    return allowed && total >= 20 && total <= view.length ? view.subarray(0, total) : undefined;
  }
  if (high === 0x60 && view.length >= 40) {
    const total = 40 + view.readUInt16BE(4);
    const allowed = view.toString('hex', 8, 24) === 'fd000000000000000000000000000001';
    return allowed && total <= view.length ? view.subarray(0, total) : undefined;
  }
  return undefined;
}

describe('the laws of a machine', () => {
  it('progress, quiet, deterministic and total hold for a device', () => {
    const { samples } = target(false);
    checkLaws({
      seeds: deep(4, 200),
      steps: 400,
      samples,
      create: (seed) => {
        const ends = pair({ seed, a: { persistentKeepaliveSeconds: seed % 2 === 0 ? 25 : 0 } });
        ends.a.outbox.length = 0;
        const { device } = ends.a;
        return {
          handleTimeout: (now) => device.handleTimeout(now),
          nextTimeout: () => device.nextTimeout(),
          nextOutput: () => {
            const output = device.nextOutput();
            return output && 'peer' in output ? { ...output, peer: toHex(output.peer.publicKey) } : output;
          },
          handleBytes: (bytes, now) => device.handleDatagram(bytes, B_OUTER, now, ends.a),
          act: (choice, now) => {
            ends.a.now = now;
            ends.b.now = now;
            if (choice % 3 === 0) ends.a.send(aToB('x'));
            else if (choice % 3 === 1) device.initiate(ends.toB, now);
            else for (const { bytes } of ends.b.outbox.splice(0)) device.handleDatagram(bytes, B_OUTER, now, ends.a);
            for (const { bytes } of ends.a.outbox.splice(0)) ends.b.feed(bytes, ends.a.endpoint);
          },
        };
      },
    });
  }, 600_000);
});

interface Transcript {
  readonly [key: string]: string;
}

/** Every message with one bit flipped, and every message cut short. */
function* faults(message: Uint8Array): Generator<{ bytes: Uint8Array; at: number }> {
  for (let bit = 0; bit < message.length * 8; bit++) {
    const bytes = Uint8Array.from(message);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    yield { bytes, at: bit >> 3 };
  }
  for (let length = 0; length < message.length; length++) yield { bytes: message.slice(0, length), at: -1 };
}

describeVectors<Transcript & { cookie: Transcript }>(
  'the recorded messages of wireguard-go, damaged',
  'wireguard_go_transcript.json',
  (recorded) => {
    const hex = (name: string): Uint8Array => fromHex(recorded[name]!);
    const calm = { underLoad: () => false };

    it('B5: the initiation with any bit flipped or cut anywhere is refused, also with mac1 made right again (W§5.4.2)', () => {
      const end = new End({ endpoint: B_OUTER, privateKey: hex('responder_static_private'), device: { load: calm } });
      end.addPeer({ publicKey: hex('initiator_static_public') }, { presharedKey: hex('preshared_key') });
      const signer = new CookieJar(nodeCrypto, end.publicKey);
      const before = snapshot(end.device);
      for (const { bytes, at } of faults(hex('initiation'))) {
        if (at >= 132) continue; // mac2, which is not looked at without load
        end.feed(bytes, REFERENCE_OUTER);
        if (bytes.length !== 148 || at >= 116 || at < 8) continue;
        signer.sign(bytes, instant(0));
        end.feed(bytes, REFERENCE_OUTER);
      }
      expect(end.outbox).toHaveLength(0);
      expect(snapshot(end.device)).toBe(before);
      end.feed(hex('initiation'), REFERENCE_OUTER);
      expect(end.outbox).toHaveLength(1);
    });

    it('B5: so are the response and the data packet, and the genuine ones after all that are taken (W§5.4.3, §5.4.6)', () => {
      const numbers = [hex('initiator_ephemeral_private'), hex('initiator_index')];
      const end = new End({ endpoint: REFERENCE_OUTER, privateKey: hex('initiator_static_private') });
      const scripted = {
        fill: (into: Uint8Array) => into.set(numbers.find(({ length }) => length === into.length) ?? []),
      };
      const device = new Device(
        {
          privateKey: hex('initiator_static_private'),
          crypto: nodeCrypto,
          random: scripted,
          timestamp: () => hex('tai64n'),
          load: calm,
          peers: [
            {
              publicKey: hex('responder_static_public'),
              presharedKey: hex('preshared_key'),
              endpoint: B_OUTER,
              allowedIps: [net('0.0.0.0/0')],
            },
          ],
        },
        instant(0),
      );
      const [peer] = device.peers;
      device.initiate(peer!, instant(0));
      const initiation = device.nextOutput();
      expect(initiation?.kind === 'datagram' && toHex(initiation.bytes)).toBe(recorded['initiation']);
      const refuse = (message: Uint8Array, ignoredFrom: number): void => {
        const before = snapshot(device);
        for (const { bytes, at } of faults(message))
          if (at < ignoredFrom) device.handleDatagram(bytes, B_OUTER, instant(1), end);
        expect(device.nextOutput()).toBeUndefined();
        expect(snapshot(device)).toBe(before);
      };
      refuse(hex('response'), 76);
      device.handleDatagram(hex('response'), B_OUTER, instant(1), end);
      expect(device.nextOutput()?.kind).toBe('handshake');
      expect(device.nextOutput()?.kind).toBe('datagram');
      refuse(hex('reply_packet'), Number.POSITIVE_INFINITY);
      device.handleDatagram(hex('reply_packet'), B_OUTER, instant(1), end);
      expect(toHex(end.inbox[0]!)).toBe(recorded['reply_plaintext']!.slice(0, 72));
    });

    it('B5: so is the cookie reply (W§5.4.7)', () => {
      const jar = new CookieJar(nodeCrypto, hex('responder_static_public'));
      jar.sign(fromHex(recorded.cookie['initiation']!), instant(0));
      const reply = fromHex(recorded.cookie['cookie_reply']!);
      for (const { bytes, at } of faults(reply)) if (at >= 8) expect(jar.takeReply(bytes, instant(0))).toBe(false);
      expect(u32le(reply, 4)).toBe(u32le(fromHex(recorded.cookie['initiation']!), 4));
      expect(jar.takeReply(reply, instant(0))).toBe(true);
    });
  },
);

describe('peers that are strangers to each other', () => {
  it('B5: genuine messages of other devices are silence (W§5.1)', () => {
    const random = new SeededRandom(26);
    const rig = new Rig();
    const before = snapshot(rig.end.device);
    for (let i = 0; i < deep(20, 500); i++) {
      const others = pair({ seed: random.u32() });
      others.a.send(aToB('x'));
      const initiation = others.a.take();
      rig.feed(initiation, { address: ip('203.0.113.3'), port: 3 });
      others.b.feed(initiation, others.a.endpoint);
      const response = others.b.take();
      rig.feed(response);
      others.a.feed(response, others.b.endpoint);
      rig.feed(others.a.take());
    }
    expect(rig.end.outbox).toHaveLength(0);
    expect(snapshot(rig.end.device)).toBe(before);
  });
});
