import { describe, expect, it } from 'vitest';
import { type Endpoint, ip } from '../../../src/core/base/address.ts';
import type { Crypto } from '../../../src/core/base/crypto.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { CookieBudget, HandshakeLoad } from '../../../src/core/wireguard/load.ts';
import { RateLimiter } from '../../../src/core/wireguard/rate-limiter.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { REFERENCE_OUTER, Rig, type RigOptions } from '../../support/reference-rig.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { snapshot } from '../../support/snapshot.ts';
import { advance, aToB, B_OUTER, exchange, pair } from '../../support/wireguard-ends.ts';

/** A device that is under load while the test says so. */
function loadedRig(options: RigOptions = {}): { rig: Rig; load: { on: boolean } } {
  const load = { on: true };
  const rig = new Rig({ ...options, device: { ...options.device, load: { underLoad: () => load.on } } });
  return { rig, load };
}

const at = (address: string, port: number = 1_000): Endpoint => ({ address: ip(address), port });

/** The cookie that the device sends to `from` for a message of the reference peer. */
function cookieFor(rig: Rig, from: Endpoint): Uint8Array {
  const message = rig.initiation();
  rig.feed(message, from);
  const reply = rig.end.take();
  expect(reply[0]).toBe(3);
  return rig.reference.readCookie(reply, message);
}

describe('the order of checks', () => {
  it('G1: length, then mac1, then under load mac2, then the rate limit, and only then a Diffie–Hellman (W§5.3)', () => {
    let computed = 0;
    const counting: Crypto = {
      ...nodeCrypto,
      keyPair(privateKey) {
        const pair = nodeCrypto.keyPair(privateKey);
        const dh = (key: Uint8Array): Uint8Array | undefined => {
          computed++;
          return pair.dh(key);
        };
        return { publicKey: pair.publicKey, wipe: () => pair.wipe(), dh };
      },
    };
    const { rig } = loadedRig({ device: { crypto: counting } });
    const before = computed;
    const cookie = cookieFor(rig, REFERENCE_OUTER);
    rig.feed(rig.initiation({ cookie }).subarray(1));
    const badMac1 = rig.initiation({ cookie });
    badMac1[116]! ^= 1;
    rig.feed(badMac1);
    const badMac2 = rig.initiation({ cookie });
    badMac2[140]! ^= 1;
    rig.feed(badMac2);
    expect(computed).toBe(before);
    for (let i = 0; i < 10; i++) rig.feed(rig.initiation({ cookie, index: i }));
    expect(computed - before).toBeGreaterThan(0);
    expect(rig.dropped('malformed')).toBe(1);
    expect(rig.dropped('bad-mac1')).toBe(1);
    expect(rig.dropped('cookie-required')).toBe(2);
    expect(rig.dropped('rate-limited')).toBe(5);
    expect(rig.dropped('initiation-flood')).toBe(4);
  });

  it('G1: without load mac2 is not looked at (W§5.4.4)', () => {
    const rig = new Rig();
    const initiation = rig.initiation();
    initiation.fill(0x77, 132);
    rig.feed(initiation);
    expect(rig.end.take()[0]).toBe(2);
  });
});

describe('load', () => {
  const messages = (load: HandshakeLoad, source: Endpoint, count: number, now: number): boolean[] =>
    Array.from({ length: count }, () => load.underLoad(source, instant(now)));

  it('G2: many handshake messages within a second mean load, which lasts another second (W§5.3)', () => {
    const load = new HandshakeLoad(new SeededRandom(1));
    for (let host = 1; host <= 20; host++) expect(messages(load, at(`192.0.2.${host}`), 10, 0)).not.toContain(true);
    expect(messages(load, at('198.51.100.1'), 1, 900)).toEqual([true]);
    expect(messages(load, at('198.51.100.2'), 1, 1_899)).toEqual([true]);
    expect(messages(load, at('198.51.100.3'), 1, 1_900)).toEqual([false]);
  });

  it('G2: one flooding source forces cookies on itself alone (W§5.3)', () => {
    const load = new HandshakeLoad(new SeededRandom(1));
    const flood = messages(load, at('192.0.2.1'), 20_000, 0);
    expect(flood.slice(0, 40)).not.toContain(true);
    expect(flood.slice(40)).not.toContain(false);
    expect(messages(load, at('192.0.2.2'), 5, 0)).not.toContain(true);
  });

  it('G2: a flood from everywhere forces them on everyone, in constant memory (W§5.3)', () => {
    const load = new HandshakeLoad(new SeededRandom(1));
    const random = new SeededRandom(2);
    for (let i = 0; i < 20_000; i++)
      load.underLoad({ address: { family: 4, bytes: random.bytes(4) }, port: 1 }, instant(0));
    expect(messages(load, at('192.0.2.2'), 1, 0)).toEqual([true]);
  });

  it('G2: a device that nobody floods asks for no cookie, and a flooded one does (W§5.3)', () => {
    const rig = new Rig();
    const garbage = rig.initiation();
    garbage[100]! ^= 1;
    rig.reference.sign(garbage);
    for (let i = 0; i < 40; i++) rig.feed(garbage);
    expect(rig.end.outbox).toHaveLength(0);
    for (let i = 0; i < 100; i++) rig.feed(garbage);
    expect(rig.end.outbox.map(({ bytes }) => bytes[0])).toEqual(Array(20).fill(3));
    expect(rig.dropped('rate-limited')).toBe(80);
    rig.feed(rig.initiation(), at('203.0.113.1'));
    expect(rig.end.outbox.at(-1)?.bytes[0]).toBe(2);
  });
});

describe('cookies given', () => {
  it('G2: no more than 2,000 per second leave for all sources together, whatever a single one wants (W§5.3)', () => {
    const budget = new CookieBudget(new SeededRandom(1));
    const allowed = (now: number, count: number, source: (i: number) => Endpoint): number =>
      Array.from({ length: count }, (_, i) => budget.allow(source(i), instant(now))).filter(Boolean).length;
    const anyone = (i: number): Endpoint => ({
      address: { family: 4, bytes: Uint8Array.of(10, i >>> 16, i >>> 8, i) },
      port: 1,
    });
    expect(allowed(0, 10_000, () => at('192.0.2.1'))).toBe(20);
    expect(allowed(0, 10_000, anyone)).toBe(1_980);
    expect(allowed(1_000, 10_000, anyone)).toBe(2_000);
  });

  it('G3: a cookie is of one address and one port (W§5.4.7)', () => {
    const { rig } = loadedRig();
    const cookie = cookieFor(rig, at('192.0.2.1', 1_000));
    for (const from of [at('192.0.2.1', 1_001), at('192.0.2.2', 1_000)]) {
      rig.feed(rig.initiation({ cookie }), from);
      expect(rig.end.take()[0]).toBe(3);
    }
    rig.feed(rig.initiation({ cookie }), at('192.0.2.1', 1_000));
    expect(rig.end.take()[0]).toBe(2);
  });

  it('G3: the same goes for IPv6 (W§5.4.7)', () => {
    const { rig } = loadedRig();
    const cookie = cookieFor(rig, at('2001:db8::1'));
    rig.feed(rig.initiation({ cookie }), at('2001:db8::2'));
    expect(rig.end.take()[0]).toBe(3);
    rig.feed(rig.initiation({ cookie }), at('2001:db8::1'));
    expect(rig.end.take()[0]).toBe(2);
  });

  it('G3: the secret behind cookies is renewed every 120 s (W§5.4.7)', () => {
    const { rig } = loadedRig();
    const cookie = cookieFor(rig, REFERENCE_OUTER);
    rig.end.advanceTo(119_999);
    expect(cookieFor(rig, REFERENCE_OUTER)).toEqual(cookie);
    rig.end.advanceTo(120_000);
    expect(cookieFor(rig, REFERENCE_OUTER)).not.toEqual(cookie);
  });

  it('G4: a reply names the sender’s index and is bound to the mac1 it answers, for responses as for initiations (W§5.4.7)', () => {
    const { rig, load } = loadedRig({ peer: { endpoint: REFERENCE_OUTER } });
    const initiation = rig.initiation({ index: 0x0102_0304 });
    rig.feed(initiation);
    const reply = rig.end.take();
    expect([...reply.subarray(4, 8)]).toEqual([4, 3, 2, 1]);
    expect(() => rig.reference.readCookie(reply, rig.initiation())).toThrow();
    expect(rig.reference.readCookie(reply, initiation)).toHaveLength(16);

    load.on = false;
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const response = rig.reference.respond(rig.end.take(), 0x0a0b_0c0d, rig.ephemeral()).message;
    load.on = true;
    rig.feed(response);
    const replyToResponse = rig.end.take();
    expect([...replyToResponse.subarray(0, 8)]).toEqual([3, 0, 0, 0, 0x0d, 0x0c, 0x0b, 0x0a]);
    expect(rig.reference.readCookie(replyToResponse, response)).toHaveLength(16);
    expect(rig.peer.lastHandshakeAt).toBeUndefined();
  });
});

describe('cookies taken', () => {
  /** The device has initiated; the reference peer can answer the initiation with cookies. */
  function initiating(): { rig: Rig; initiation: Uint8Array; cookie: Uint8Array } {
    const rig = new Rig({ peer: { endpoint: REFERENCE_OUTER } });
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    return { rig, initiation: rig.end.take(), cookie: rig.random.bytes(16) };
  }
  const mac2 = (message: Uint8Array): Uint8Array => message.subarray(132);
  const next = (rig: Rig): Uint8Array => {
    rig.end.advanceTo(rig.end.now + 5_334);
    return rig.end.take();
  };
  const signed = (rig: Rig, message: Uint8Array, cookie?: Uint8Array): Uint8Array =>
    rig.reference.sign(Uint8Array.from(message), cookie);

  /** What the device would have to write for the reference peer to accept its MACs. */
  function expectMac2(rig: Rig, message: Uint8Array, cookie: Uint8Array | undefined): void {
    const ours = Uint8Array.from(message);
    const asPeer = Object.assign(Object.create(rig.reference) as typeof rig.reference, {
      remoteKey: rig.reference.publicKey,
    });
    expect(mac2(message)).toEqual(mac2(asPeer.sign(ours, cookie)));
  }

  it('G5: a reply to the initiation under way is kept, sends nothing, moves nothing, and makes mac2 of the next one (W§6.6)', () => {
    const { rig, initiation, cookie } = initiating();
    const endpoint = rig.peer.endpoint;
    const due = rig.end.device.nextTimeout();
    rig.feed(rig.reference.cookieReply(initiation, cookie, rig.random.bytes(24)), at('203.0.113.99'));
    expect(rig.end.outbox).toHaveLength(0);
    expect(rig.peer.endpoint).toBe(endpoint);
    expect(rig.peer.lastReceivedAt).toBeUndefined();
    expect(rig.end.device.nextTimeout()).toBe(due);
    const second = next(rig);
    expectMac2(rig, second, cookie);
    expect(mac2(second)).not.toEqual(new Uint8Array(16));
  });

  it('G5: a reply that answers nothing, answers twice, or is forged is dropped (W§5.4.7)', () => {
    const { rig, initiation, cookie } = initiating();
    const forged = rig.reference.cookieReply(initiation, cookie, rig.random.bytes(24));
    forged[63]! ^= 1;
    const strange = rig.reference.cookieReply(signed(rig, initiation).fill(1, 4, 8), cookie, rig.random.bytes(24));
    const before = snapshot(rig.end.device);
    rig.feed(forged);
    rig.feed(strange);
    expect(rig.dropped('bad-cookie-reply')).toBe(1);
    expect(rig.dropped('unknown-index')).toBe(1);
    expect(snapshot(rig.end.device)).toBe(before);
    rig.feed(rig.reference.cookieReply(initiation, cookie, rig.random.bytes(24)));
    rig.feed(rig.reference.cookieReply(initiation, rig.random.bytes(16), rig.random.bytes(24)));
    expect(rig.dropped('bad-cookie-reply')).toBe(2);
    expectMac2(rig, next(rig), cookie);
  });

  it('G5: a cookie makes mac2 for 120 s; afterwards mac2 is zero (W§5.4.4)', () => {
    const { rig, initiation, cookie } = initiating();
    rig.feed(rig.reference.cookieReply(initiation, cookie, rig.random.bytes(24)));
    const sent: { at: number; zero: boolean }[] = [];
    while (rig.end.now < 200_000) {
      rig.end.advanceTo(rig.end.now + 1_000);
      rig.end.device.initiate(rig.peer, rig.end.now);
      rig.end.drain();
      for (const { bytes } of rig.end.outbox.splice(0))
        if (bytes[0] === 1) sent.push({ at: rig.end.now, zero: mac2(bytes).every((byte) => byte === 0) });
    }
    for (const { at: time, zero } of sent) expect(zero, `at ${time}`).toBe(time >= 120_000);
  });

  it('G5: a loaded device of ours and a client of ours come together with the client’s next try (W§6.6)', () => {
    const { a, b } = pair({ deviceB: { load: { underLoad: () => true } } });
    a.send(aToB('x'));
    exchange(a, b);
    expect(b.inbox).toHaveLength(0);
    advance(a, b, 5_334);
    expect(b.inbox).toHaveLength(1);
    expect(b.device.drops.toJSON()).toEqual({ 'cookie-required': 1 });
    expect(a.device.peers[Symbol.iterator]().next().value?.endpoint).toEqual(B_OUTER);
  });
});

describe('the rate limit', () => {
  it('G6: lets 5 at once and 20 per second through, for each IPv4 address (W§5.3)', () => {
    const limiter = new RateLimiter();
    const allowed = (address: string, count: number, now: number): number =>
      Array.from({ length: count }, () => limiter.allow(ip(address), instant(now))).filter(Boolean).length;
    expect(allowed('192.0.2.1', 10, 0)).toBe(5);
    expect(allowed('192.0.2.2', 10, 0)).toBe(5);
    expect(allowed('192.0.2.1', 10, 50)).toBe(1);
    expect(allowed('192.0.2.1', 10, 150)).toBe(2);
    let total = 0;
    for (let now = 1_000; now < 11_000; now += 10) total += allowed('192.0.2.1', 1, now);
    expect(total).toBeGreaterThanOrEqual(200);
    expect(total).toBeLessThanOrEqual(206);
  });

  it('G6: takes an IPv6 /64 for one source (W§5.3)', () => {
    const limiter = new RateLimiter();
    for (let i = 0; i < 5; i++) expect(limiter.allow(ip(`2001:db8::${i}`), instant(0))).toBe(true);
    expect(limiter.allow(ip('2001:db8::ffff'), instant(0))).toBe(false);
    expect(limiter.allow(ip('2001:db8:0:1::1'), instant(0))).toBe(true);
  });

  it('G6: remembers a bounded number of sources, each for a second after its last message (W§5.3)', () => {
    const limiter = new RateLimiter(100);
    for (let i = 0; i < 100; i++) expect(limiter.allow(ip(`192.0.2.${i}`), instant(0))).toBe(true);
    expect(limiter.allow(ip('198.51.100.1'), instant(500))).toBe(false);
    expect(limiter.allow(ip('192.0.2.1'), instant(900))).toBe(true);
    expect(limiter.size).toBe(100);
    expect(limiter.allow(ip('198.51.100.1'), instant(1_001))).toBe(true);
    expect(limiter.size).toBe(2);
  });
});
