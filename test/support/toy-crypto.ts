/**
 * Cryptography that protects nothing and costs next to nothing, for simulations of years of tunnel time. What matters to the machines
 * above holds: both sides of an exchange agree on a secret, and nothing opens under another key, counter or content.
 */

import { setU32le, u32le } from '../../src/core/base/bytes.ts';
import { type AeadKey, type Crypto, KEY_LENGTH, type KeyPair, TAG_LENGTH } from '../../src/core/base/crypto.ts';

export const toyCrypto: Crypto = {
  name: 'toy',
  aeadKey: (key) => new ToyAeadKey(key),
  xaeadSeal: (key, nonce, plaintext, associatedData) => {
    const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
    sealed.set(plaintext);
    sealed.set(digest(TAG_LENGTH, key, nonce, associatedData, plaintext), plaintext.length);
    return sealed;
  },
  xaeadOpen: (key, nonce, sealed, associatedData) => {
    const plaintext = sealed.slice(0, sealed.length - TAG_LENGTH);
    const tag = digest(TAG_LENGTH, key, nonce, associatedData, plaintext);
    return tag.every((byte, i) => byte === sealed[plaintext.length + i]) ? plaintext : undefined;
  },
  keyPair: (privateKey) => new ToyKeyPair(privateKey),
  blake2s: (input, outputLength, key) => digest(outputLength, key ?? new Uint8Array(0), input),
};

/** Prime, and small enough for products that are exact. */
const MODULUS = 67_108_859;
const GENERATOR = 5;

/** Diffie–Hellman in the additive group of integers: `a · bG = b · aG`. */
class ToyKeyPair implements KeyPair {
  readonly publicKey: Uint8Array;
  readonly #scalar: number;

  constructor(privateKey: Uint8Array) {
    this.#scalar = 1 + (u32le(digest(4, privateKey), 0) % (MODULUS - 1));
    this.publicKey = point((this.#scalar * GENERATOR) % MODULUS);
  }

  dh(peerPublicKey: Uint8Array): Uint8Array | undefined {
    const product = (this.#scalar * (u32le(peerPublicKey, 0) % MODULUS)) % MODULUS;
    return product === 0 ? undefined : point(product);
  }

  wipe(): void {}
}

function point(value: number): Uint8Array {
  const bytes = new Uint8Array(KEY_LENGTH);
  setU32le(bytes, 0, value);
  return bytes;
}

/** Leaves the text as it is and puts a checksum behind it. */
class ToyAeadKey implements AeadKey {
  readonly #key: number;

  constructor(key: Uint8Array) {
    this.#key = u32le(digest(4, key), 0);
  }

  seal(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): void {
    buffer.fill(0, offset + length, offset + length + TAG_LENGTH);
    setU32le(buffer, offset + length, this.#sum(buffer, offset, length, low, high, ad));
  }

  open(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): boolean {
    if (length < TAG_LENGTH) return false;
    const end = length - TAG_LENGTH;
    return u32le(buffer, offset + end) === this.#sum(buffer, offset, end, low, high, ad);
  }

  wipe(): void {}

  #sum(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): number {
    let sum = Math.imul(Math.imul(this.#key ^ low, 0x0100_0193) ^ high, 0x0100_0193);
    for (let i = offset; i < offset + length; i++) sum = Math.imul(sum ^ buffer[i]!, 0x0100_0193);
    for (let i = 0; i < (ad?.length ?? 0); i++) sum = Math.imul(sum ^ ad![i]!, 0x0100_0193);
    return sum >>> 0;
  }
}

/** Some bytes that depend on every byte of `parts`. */
function digest(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  let at = 0;
  const mix = (value: number): void => {
    const lane = at++ & 7;
    state[lane] = Math.imul(state[lane]! ^ value, 0x9e37_79b1) + state[(lane + 3) & 7]!;
    state[lane]! ^= state[lane]! >>> 15;
  };
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) mix(part[i]!);
    mix(256 + part.length);
  }
  for (let i = 0; i < 24; i++) mix(length);
  return new Uint8Array(state.buffer).slice(0, length);
}
