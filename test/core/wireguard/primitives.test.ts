import { blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { ascii, fromHex, toHex } from '../../../src/core/base/bytes.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { hmacBlake2s, kdf1, kdf2, kdf3 } from '../../../src/core/noise/kdf.ts';
import { SymmetricState } from '../../../src/core/noise/symmetric-state.ts';
import { PROLOGUE } from '../../../src/core/wireguard/constants.ts';
import { CookieIssuer } from '../../../src/core/wireguard/cookies.ts';
import { tai64n } from '../../../src/core/wireguard/timestamps.ts';
import { nobleCrypto } from '../../../src/node/crypto/noble.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { ReferencePeer } from '../../support/reference-peer.ts';
import { fromReference, Rig, toReference } from '../../support/reference-rig.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { EPOCH_SECONDS, texts } from '../../support/wireguard-ends.ts';

const backends = [nobleCrypto, nodeCrypto];

/** Points of low order (cr.yp.to/ecdh.html): X25519 with any of them is zero, also with the unused high bit set. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((point) => {
  const high = fromHex(point);
  high[31]! |= 0x80;
  return [fromHex(point), high];
});

describe.each(backends)('primitives, backend $name', (crypto) => {
  it('A1: the first chaining key is the hash of the protocol name, unpadded, and the first hash covers it and the identifier (W§5.4.1)', () => {
    const state = SymmetricState.start(crypto, ascii('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'), ascii(PROLOGUE));
    const chain = blake2s(Buffer.from('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s'));
    expect(toHex(chain)).toBe('60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36');
    expect(toHex(state.hash)).toBe('2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3');
  });

  it('A2: the key derivation is HKDF over HMAC-BLAKE2s, which is not keyed BLAKE2s (W§5.4, RFC 5869)', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i);
    const input = ascii('input');
    const secret = hmac(blake2s, key, input);
    const t1 = hmac(blake2s, secret, Uint8Array.of(1));
    const t2 = hmac(blake2s, secret, Uint8Array.of(...t1, 2));
    const t3 = hmac(blake2s, secret, Uint8Array.of(...t2, 3));
    expect(hmacBlake2s(crypto, key, input)).toEqual(secret);
    expect(secret).not.toEqual(blake2s(input, { key }));
    expect(kdf1(crypto, key, input)).toEqual(t1);
    expect(kdf2(crypto, key, input)).toEqual([t1, t2]);
    expect(kdf3(crypto, key, input)).toEqual([t1, t2, t3]);
  });

  it('A3: MACs are BLAKE2s keyed and parametrised for 16 bytes, neither HMAC nor a truncated hash (W§5.4.4)', () => {
    const issuer = new CookieIssuer(crypto, new SeededRandom(1), crypto.keyPair(new Uint8Array(32)).publicKey);
    const key = blake2s(Uint8Array.of(...ascii('mac1----'), ...crypto.keyPair(new Uint8Array(32)).publicKey));
    const withMac1 = (mac1: Uint8Array): Uint8Array => Uint8Array.of(...message, ...mac1, ...new Uint8Array(16));
    const message = new Uint8Array(116).fill(7);
    expect(issuer.checkMac1(withMac1(blake2s(message, { key, dkLen: 16 })))).toBe(true);
    expect(issuer.checkMac1(withMac1(blake2s(message, { key }).subarray(0, 16)))).toBe(false);
    expect(issuer.checkMac1(withMac1(hmac(blake2s, key, message).subarray(0, 16)))).toBe(false);
  });

  it('A5: keys beyond the field, with the high bit set, or on the twist are keys like any other (RFC 7748 §5)', () => {
    const pair = crypto.keyPair(new SeededRandom(3).bytes(32));
    // 2 lies on the twist; 2^255 - 19 + 9 is 9, not reduced.
    const nine = fromHex(`09${'00'.repeat(31)}`);
    const notReduced = fromHex(`f6${'ff'.repeat(30)}7f`);
    const highBit = fromHex(`09${'00'.repeat(30)}80`);
    expect(pair.dh(nine)).toEqual(pair.publicKey);
    expect(pair.dh(notReduced)).toEqual(pair.publicKey);
    expect(pair.dh(highBit)).toEqual(pair.publicKey);
    expect(pair.dh(fromHex(`02${'00'.repeat(31)}`))).toHaveLength(32);
  });

  it('A5: a key that makes the shared secret zero is refused as a value, never by an exception (RFC 7748 §6.1)', () => {
    const pair = crypto.keyPair(new SeededRandom(3).bytes(32));
    for (const point of LOW_ORDER) expect(pair.dh(point)).toBeUndefined();
  });

  it('A6: an initiation whose ephemeral key has low order is dropped, though mac1 is right (W§5.4.2)', () => {
    const rig = new Rig({ device: { crypto } });
    for (const publicKey of LOW_ORDER) {
      rig.feed(rig.initiation({ ephemeral: { privateKey: rig.random.bytes(32), publicKey } }));
      expect(rig.end.outbox).toHaveLength(0);
    }
    expect(rig.dropped('low-order-key')).toBe(LOW_ORDER.length);
  });

  it('A6: a response whose ephemeral key has low order is dropped, and the genuine one still counts (W§5.4.3)', () => {
    const rig = new Rig({ device: { crypto }, peer: { endpoint: { address: ip('192.0.2.9'), port: 9 } } });
    rig.end.device.initiate(rig.peer, instant(0));
    rig.end.drain();
    const genuine = rig.reference.respond(rig.end.take(), 77, rig.ephemeral()).message;
    for (const point of LOW_ORDER) {
      const forged = Uint8Array.from(genuine);
      forged.set(point, 12);
      rig.feed(rig.reference.sign(forged));
    }
    expect(rig.dropped('low-order-key')).toBe(LOW_ORDER.length);
    expect(rig.end.outbox).toHaveLength(0);
    rig.feed(genuine);
    expect(rig.end.outbox).toHaveLength(1);
  });

  it('A6: with a peer whose static key has low order there is no handshake in either direction (W§5.4.2)', () => {
    for (const publicKey of LOW_ORDER) {
      const rig = new Rig({ device: { crypto } });
      const weak = rig.end.addPeer({ publicKey }, { endpoint: { address: ip('192.0.2.9'), port: 9 } });
      rig.end.device.initiate(weak, rig.end.now);
      rig.end.drain();
      expect(rig.end.outbox).toHaveLength(0);
      rig.reference.publicKey = publicKey;
      rig.feed(rig.initiation({ staticStatic: new Uint8Array(32) }));
      expect(rig.end.outbox).toHaveLength(0);
      expect(rig.dropped('low-order-key')).toBe(2);
    }
  });

  it('A4: the nonce of a transport packet is its 64-bit counter, and nothing is associated with it (W§5.4.6)', () => {
    const rig = new Rig({ device: { crypto } });
    const session = rig.connect();
    for (const counter of [1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n])
      rig.feed(session.seal(counter, fromReference('x')));
    expect(texts(rig.end.inbox)).toEqual(['x', 'x', 'x', 'x']);
    rig.end.send(toReference('y'));
    rig.end.send(toReference('z'));
    expect(session.open(rig.end.take())?.counter).toBe(0n);
    expect(session.open(rig.end.take())?.counter).toBe(1n);
  });

  it('A4: the cookie in a reply is sealed with XChaCha20-Poly1305 under 24 random bytes (W§5.4.7)', () => {
    const rig = new Rig({ device: { crypto, load: { underLoad: () => true } } });
    const initiation = rig.initiation();
    rig.feed(initiation);
    const first = rig.end.take();
    expect(rig.reference.readCookie(first, initiation)).toHaveLength(16);
    rig.feed(initiation);
    const second = rig.end.take();
    expect(rig.reference.readCookie(second, initiation)).toEqual(rig.reference.readCookie(first, initiation));
    expect(second.subarray(8, 32)).not.toEqual(first.subarray(8, 32));
  });
});

describe('the handshake beside an independent reading of the paper', () => {
  it('A1: both directions agree on keys with and without a pre-shared key (W§5.4)', () => {
    for (const presharedKey of [undefined, new SeededRandom(8).bytes(32)]) {
      const rig = new Rig({
        ...(presharedKey ? { presharedKey } : {}),
        peer: { endpoint: { address: ip('192.0.2.77'), port: 7777 } },
      });
      const asResponder = rig.connect();
      rig.end.send(toReference('to the initiator'));
      expect(asResponder.open(rig.end.take())).toBeDefined();
      rig.end.advanceTo(10_000);
      rig.end.outbox.length = 0;
      const asInitiator = rig.beInitiated();
      expect(asInitiator.open(rig.end.take())?.plaintext).toHaveLength(0);
      rig.feed(asInitiator.seal(0n, fromReference('to the initiator')));
      expect(rig.end.inbox).toHaveLength(1);
    }
  });

  it('A1: our initiation opens for the reference peer to our key and our timestamp (W§5.4.2)', () => {
    const rig = new Rig({ peer: { endpoint: { address: ip('192.0.2.77'), port: 7777 } } });
    rig.end.device.initiate(rig.peer, rig.end.now);
    rig.end.drain();
    const { remoteStatic, timestamp } = rig.reference.respond(
      rig.end.take(),
      1,
      ReferencePeer.ephemeral(rig.random.bytes(32)),
    );
    expect(remoteStatic).toEqual(rig.end.publicKey);
    expect(timestamp).toEqual(tai64n(EPOCH_SECONDS, 0));
  });
});
