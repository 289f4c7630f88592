/**
 * The reference backend: @noble/ciphers, @noble/hashes and TweetNaCl, all of them plain JavaScript. Slow on full packets
 * (34 µs against 1.6), always there, and what every other backend is cross-checked with.
 */

import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s as hash } from '@noble/hashes/blake2.js';
import nacl from 'tweetnacl';
import { isAllZero, setU32le } from '../../core/base/bytes.ts';
import { type AeadKey, type Crypto, KEY_LENGTH, type KeyPair, TAG_LENGTH } from '../../core/base/crypto.ts';

export const nobleCrypto: Crypto = {
  name: 'noble',
  aeadKey: (key) => new NobleAeadKey(key),
  xaeadSeal: (key, nonce, plaintext, associatedData) =>
    xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext),
  xaeadOpen(key, nonce, sealed, associatedData) {
    if (sealed.length < TAG_LENGTH) return undefined;
    try {
      return xchacha20poly1305(key, nonce, associatedData).decrypt(sealed);
    } catch {
      return undefined;
    }
  },
  keyPair: (privateKey) => new NobleKeyPair(privateKey),
  blake2s: (input, outputLength, key) => hash(input, key ? { dkLen: outputLength, key } : { dkLen: outputLength }),
};

/** Exported for the vectors, which also have nonces that do not begin with four zero bytes. */
export class NobleAeadKey implements AeadKey {
  readonly nonce: Uint8Array = new Uint8Array(12);
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = copyKey('key', key);
  }

  seal(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): void {
    const cipher = this.#cipher(low, high, ad);
    cipher.encrypt(buffer.subarray(offset, offset + length), buffer.subarray(offset, offset + length + TAG_LENGTH));
  }

  open(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): boolean {
    if (length < TAG_LENGTH) return false;
    const sealed = buffer.subarray(offset, offset + length);
    try {
      this.#cipher(low, high, ad).decrypt(sealed, sealed.subarray(0, length - TAG_LENGTH));
      return true;
    } catch {
      return false;
    }
  }

  wipe(): void {
    this.#key.fill(0);
  }

  #cipher(low: number, high: number, ad: Uint8Array | undefined): ReturnType<typeof chacha20poly1305> {
    setU32le(this.nonce, 4, low);
    setU32le(this.nonce, 8, high);
    return chacha20poly1305(this.#key, this.nonce, ad);
  }
}

class NobleKeyPair implements KeyPair {
  readonly publicKey: Uint8Array;
  readonly #privateKey: Uint8Array;

  constructor(privateKey: Uint8Array) {
    this.#privateKey = copyKey('privateKey', privateKey);
    this.publicKey = nacl.scalarMult.base(this.#privateKey);
  }

  dh(peerPublicKey: Uint8Array): Uint8Array | undefined {
    requireLength('peerPublicKey', peerPublicKey, KEY_LENGTH);
    const shared = nacl.scalarMult(this.#privateKey, peerPublicKey);
    return isAllZero(shared) ? undefined : shared;
  }

  wipe(): void {
    this.#privateKey.fill(0);
  }
}

/** A copy of 32 key bytes. Throws RangeError, which names the argument and never holds the bytes. */
export function copyKey(name: string, key: Uint8Array): Uint8Array {
  requireLength(name, key, KEY_LENGTH);
  return Uint8Array.from(key);
}

/** Throws RangeError unless `bytes` has that length. */
export function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`"${name}" expected ${length} bytes, got ${bytes.length}`);
}
