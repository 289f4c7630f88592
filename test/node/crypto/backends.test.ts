import { describe, expect, it } from 'vitest';
import { TAG_LENGTH } from '../../../src/core/base/crypto.ts';
import { nobleCrypto } from '../../../src/node/crypto/noble.ts';
import { systemRandom } from '../../../src/node/random.ts';
import { backends } from '../../support/crypto-backends.ts';

const random = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  systemRandom.fill(bytes);
  return bytes;
};
/** `toEqual` on 64 KiB takes longer than the cryptography. */
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const lengths = [...Array(301).keys(), 511, 512, 1024, 1420, 1424, 1500, 4096, 16_383, 65_519, 65_535];
const offsets = [0, 1, 3, 16, 2048];

describe.each(backends.map((crypto) => ({ name: crypto.name, crypto })))('crypto backend $name', ({ crypto }) => {
  it.each([false, true])(
    'seals the same bytes as the reference at every length, in place, touching nothing else (associated data: %s)',
    (withData) => {
      const key = random(32);
      const [ours, reference] = [crypto.aeadKey(key), nobleCrypto.aeadKey(key)];
      for (const length of lengths) {
        const offset = offsets[length % offsets.length]!;
        const data = withData ? random(length % 70) : undefined;
        const [low, high] = [random(1)[0]! * 0x1010101, length];
        const before = random(offset + length + TAG_LENGTH + 9);
        const [a, b] = [before.slice(), before.slice()];
        ours.seal(a, offset, length, low, high, data);
        reference.seal(b, offset, length, low, high, data);
        expect(same(a, b), `length ${length}`).toBe(true);
        expect(ours.open(a, offset, length + TAG_LENGTH, low, high, data), `length ${length}`).toBe(true);
        const end = offset + length + TAG_LENGTH;
        expect(same(a.subarray(0, offset + length), before.subarray(0, offset + length)), `length ${length}`).toBe(
          true,
        );
        expect(same(a.subarray(end), before.subarray(end)), `length ${length}`).toBe(true);
      }
    },
  );

  it('refuses a packet with any one byte changed, without throwing (RFC 8439 §2.8)', () => {
    const key = crypto.aeadKey(random(32));
    const data = random(12);
    const sealed = random(80 + TAG_LENGTH);
    key.seal(sealed, 0, 80, 5, 6, data);
    for (let at = 0; at < sealed.length; at++) {
      const forged = sealed.slice();
      forged[at]! ^= 1 << (at % 8);
      expect(key.open(forged, 0, forged.length, 5, 6, data), `byte ${at}`).toBe(false);
    }
    expect(key.open(sealed.slice(), 0, sealed.length, 5, 7, data)).toBe(false);
    expect(key.open(sealed.slice(), 0, sealed.length, 4, 6, data)).toBe(false);
    expect(key.open(sealed.slice(), 0, sealed.length - 1, 5, 6, data)).toBe(false);
    expect(key.open(sealed.slice(), 0, sealed.length, 5, 6)).toBe(false);
    expect(key.open(sealed, 0, sealed.length, 5, 6, data)).toBe(true);
  });

  it('refuses what is shorter than a tag', () => {
    const key = crypto.aeadKey(random(32));
    for (let length = 0; length < TAG_LENGTH; length++) expect(key.open(random(64), 0, length, 0, 0)).toBe(false);
  });

  it('writes the counter as LE32 words behind four zero bytes (whitepaper §5.4.6)', () => {
    const key = random(32);
    const [ours, reference] = [crypto.aeadKey(key), nobleCrypto.aeadKey(key)];
    for (const [low, high] of [
      [0, 0],
      [0xffff_ffff, 0],
      [0, 1],
      [0xffff_dfff, 0xffff_ffff],
    ] as const) {
      const [a, b] = [new Uint8Array(40), new Uint8Array(40)];
      ours.seal(a, 0, 24, low, high);
      reference.seal(b, 0, 24, low, high);
      expect(a).toEqual(b);
    }
  });

  it('works on views of a larger memory, of plain arrays and of Buffers alike', () => {
    const key = crypto.aeadKey(random(32));
    const memory = random(5000);
    const before = memory.slice();
    const view = memory.subarray(1001, 1301);
    key.seal(view, 7, 200, 1, 0);
    expect(memory.subarray(0, 1008)).toEqual(before.subarray(0, 1008));
    expect(memory.subarray(1224)).toEqual(before.subarray(1224));
    expect(key.open(Buffer.from(memory.buffer, 1001, 300), 7, 216, 1, 0)).toBe(true);
  });

  it('keeps its own copy of a key', () => {
    const bytes = random(32);
    const key = crypto.aeadKey(bytes);
    const pair = crypto.keyPair(bytes);
    const peer = nobleCrypto.keyPair(random(32)).publicKey;
    const secret = pair.dh(peer);
    const [a, b] = [new Uint8Array(32), new Uint8Array(32)];
    key.seal(a, 0, 16, 0, 0);
    bytes.fill(0);
    key.seal(b, 0, 16, 0, 0);
    expect(a).toEqual(b);
    expect(pair.dh(peer)).toEqual(secret);
  });

  it('agrees with the reference on XChaCha20-Poly1305 and refuses a changed cookie (whitepaper §5.4.7)', () => {
    for (const length of [0, 1, 16, 31, 64, 200]) {
      const [key, nonce, plain, data] = [random(32), random(24), random(length), random(16)];
      const sealed = crypto.xaeadSeal(key, nonce, plain, data);
      expect(sealed).toEqual(nobleCrypto.xaeadSeal(key, nonce, plain, data));
      expect(crypto.xaeadOpen(key, nonce, sealed, data)).toEqual(plain);
      expect(crypto.xaeadOpen(key, nonce, sealed, random(16))).toBeUndefined();
      sealed[length]! ^= 1;
      expect(crypto.xaeadOpen(key, nonce, sealed, data)).toBeUndefined();
    }
    expect(crypto.xaeadOpen(random(32), random(24), random(15), random(16))).toBeUndefined();
  });

  it('agrees with the reference on X25519, whatever bits the private key has (RFC 7748 §5)', () => {
    for (let round = 0; round < 20; round++) {
      const [mine, theirs] = [random(32), random(32)];
      const [ours, reference] = [crypto.keyPair(mine), nobleCrypto.keyPair(mine)];
      const peer = nobleCrypto.keyPair(theirs);
      expect(ours.publicKey).toEqual(reference.publicKey);
      expect(ours.dh(peer.publicKey)).toEqual(reference.dh(peer.publicKey));
      expect(ours.dh(peer.publicKey)).toEqual(peer.dh(ours.publicKey));
    }
  });

  it('agrees with the reference on BLAKE2s, keyed and not, at every output length', () => {
    for (let length = 1; length <= 32; length++) {
      const [input, key] = [random(length * 5), random(length)];
      expect(crypto.blake2s(input, length)).toEqual(nobleCrypto.blake2s(input, length));
      expect(crypto.blake2s(input, length, key)).toEqual(nobleCrypto.blake2s(input, length, key));
    }
  });

  it('names a wrong key length and a packet without room for the tag (caller’s fault)', () => {
    expect(() => crypto.aeadKey(new Uint8Array(31))).toThrow('"key" expected 32 bytes, got 31');
    expect(() => crypto.keyPair(new Uint8Array(33))).toThrow('"privateKey" expected 32 bytes, got 33');
    expect(() => crypto.keyPair(random(32)).dh(new Uint8Array(5))).toThrow('expected 32 bytes, got 5');
    expect(() => crypto.aeadKey(random(32)).seal(new Uint8Array(31), 0, 16, 0, 0)).toThrow();
  });
});
