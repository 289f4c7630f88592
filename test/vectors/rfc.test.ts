/** The examples printed in the RFCs: facts, so they need no vector file. */
import { describe, expect, it } from 'vitest';
import { ascii, concat, fromHex, toHex } from '../../src/core/base/bytes.ts';
import type { Crypto } from '../../src/core/base/crypto.ts';
import { backends, setNonce } from '../support/crypto-backends.ts';

const SUNSCREEN = ascii(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);

describe.each(backends.map((crypto) => ({ name: crypto.name, crypto })))('RFC examples on $name', ({ crypto }) => {
  it.each([
    {
      scalar: 'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      u: 'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      out: 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    },
    {
      scalar: '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
      u: 'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      out: '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
    },
  ])('X25519 of $scalar (RFC 7748 §5.2)', ({ scalar, u, out }) => {
    expect(toHex(crypto.keyPair(fromHex(scalar)).dh(fromHex(u))!)).toBe(out);
  });

  it('X25519 iterated 1 and 1,000 times (RFC 7748 §5.2)', () => {
    let [k, u] = [fromHex(`09${'00'.repeat(31)}`), fromHex(`09${'00'.repeat(31)}`)];
    for (let round = 1; round <= 1000; round++) {
      [k, u] = [crypto.keyPair(k).dh(u)!, k];
      if (round === 1) expect(toHex(k)).toBe('422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079');
    }
    expect(toHex(k)).toBe('684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51');
  });

  it('X25519 between Alice and Bob (RFC 7748 §6.1)', () => {
    const alice = crypto.keyPair(fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'));
    const bob = crypto.keyPair(fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'));
    expect(toHex(alice.publicKey)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
    expect(toHex(bob.publicKey)).toBe('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
    expect(toHex(alice.dh(bob.publicKey)!)).toBe('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
    expect(alice.dh(bob.publicKey)).toEqual(bob.dh(alice.publicKey));
  });

  it('ChaCha20-Poly1305 (RFC 8439 §2.8.2)', () => {
    const key = crypto.aeadKey(fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'));
    const [low, high] = setNonce(key, fromHex('070000004041424344454647'));
    const packet = concat(SUNSCREEN, new Uint8Array(16));
    key.seal(packet, 0, SUNSCREEN.length, low, high, fromHex('50515253c0c1c2c3c4c5c6c7'));
    expect(toHex(packet.subarray(0, 16))).toBe('d31a8d34648e60db7b86afbc53ef7ec2');
    expect(toHex(packet.subarray(-16))).toBe('1ae10b594f09e26a7e902ecbd0600691');
  });

  it('XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha §A.3.1)', () => {
    const key = fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
    const nonce = fromHex('404142434445464748494a4b4c4d4e4f5051525354555657');
    const sealed = crypto.xaeadSeal(key, nonce, SUNSCREEN, fromHex('50515253c0c1c2c3c4c5c6c7'));
    expect(toHex(sealed.subarray(-16))).toBe('c0875924c1c7987947deafd8780acf49');
  });

  it('BLAKE2s of "abc" (RFC 7693 appendix B)', () => {
    expect(toHex(crypto.blake2s(ascii('abc'), 32))).toBe(
      '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982',
    );
  });

  it('BLAKE2s self-test over 16, 20, 28 and 32 bytes, keyed and not (RFC 7693 appendix E)', () => {
    expect(toHex(grandHash(crypto))).toBe('6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe');
  });
});

function grandHash(crypto: Crypto): Uint8Array {
  let hashes: Uint8Array = new Uint8Array(0);
  for (const outputLength of [16, 20, 28, 32]) {
    for (const inputLength of [0, 3, 64, 65, 255, 1024]) {
      const input = sequence(inputLength, inputLength);
      hashes = concat(hashes, crypto.blake2s(input, outputLength));
      hashes = concat(hashes, crypto.blake2s(input, outputLength, sequence(outputLength, outputLength)));
    }
  }
  return crypto.blake2s(hashes, 32);
}

/** `selftest_seq` of appendix E: a Fibonacci-like generator. */
function sequence(length: number, seed: number): Uint8Array {
  let [a, b] = [Math.imul(0xdead4bad, seed), 1];
  return Uint8Array.from({ length }, () => {
    const next = (a + b) >>> 0;
    [a, b] = [b, next];
    return next >>> 24;
  });
}
