/** The running hash and chaining key of a Noise handshake (Noise §5.2). Each derived key seals exactly one field, with counter 0. */

import { concat } from '../base/bytes.ts';
import { type Crypto, TAG_LENGTH } from '../base/crypto.ts';
import { HASH_LENGTH, kdf1, kdf2, kdf3 } from './kdf.ts';

export class SymmetricState {
  readonly #crypto: Crypto;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #key: Uint8Array = new Uint8Array(0);

  /** The arrays become this state's own. */
  constructor(crypto: Crypto, chainingKey: Uint8Array, hash: Uint8Array) {
    this.#crypto = crypto;
    this.#chainingKey = chainingKey;
    this.#hash = hash;
  }

  /** The state after the protocol's name, which is longer than a hash and hence hashed, not padded, and the prologue. */
  static start(crypto: Crypto, protocolName: Uint8Array, prologue: Uint8Array): SymmetricState {
    const chainingKey = crypto.blake2s(protocolName, HASH_LENGTH);
    const state = new SymmetricState(crypto, chainingKey, Uint8Array.from(chainingKey));
    state.mixHash(prologue);
    return state;
  }

  /** A copy that can be advanced, and thrown away, without touching this one. */
  clone(): SymmetricState {
    return new SymmetricState(this.#crypto, Uint8Array.from(this.#chainingKey), Uint8Array.from(this.#hash));
  }

  get hash(): Uint8Array {
    return this.#hash;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.blake2s(concat(this.#hash, data), HASH_LENGTH);
  }

  /** Mixes an ephemeral public key into the chaining key, which pre-shared-key patterns do (Noise §9.2). */
  mixChain(publicKey: Uint8Array): void {
    const chainingKey = kdf1(this.#crypto, this.#chainingKey, publicKey);
    this.#chainingKey.fill(0);
    this.#chainingKey = chainingKey;
  }

  /** Mixes a Diffie–Hellman result, which is zeroed. */
  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = kdf2(this.#crypto, this.#chainingKey, secret);
    this.#replace(chainingKey, key);
    secret.fill(0);
  }

  /** Mixes the pre-shared key into chaining key, hash and key. */
  mixKeyAndHash(presharedKey: Uint8Array): void {
    const [chainingKey, mixin, key] = kdf3(this.#crypto, this.#chainingKey, presharedKey);
    this.#replace(chainingKey, key);
    this.mixHash(mixin);
    mixin.fill(0);
  }

  /** Ciphertext ‖ tag, with the running hash as associated data; the hash then covers it. */
  sealAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
    sealed.set(plaintext);
    const aead = this.#crypto.aeadKey(this.#key);
    aead.seal(sealed, 0, plaintext.length, 0, 0, this.#hash);
    aead.wipe();
    this.mixHash(sealed);
    return sealed;
  }

  /** The plaintext, or `undefined` if the tag is wrong. */
  openAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const opened = Uint8Array.from(sealed);
    const aead = this.#crypto.aeadKey(this.#key);
    const genuine = aead.open(opened, 0, opened.length, 0, 0, this.#hash);
    aead.wipe();
    if (!genuine) return undefined;
    this.mixHash(sealed);
    return opened.subarray(0, opened.length - TAG_LENGTH);
  }

  /** The keys of the two directions, the initiator's sending key first. */
  split(): [Uint8Array, Uint8Array] {
    return kdf2(this.#crypto, this.#chainingKey, new Uint8Array(0));
  }

  wipe(): void {
    this.#chainingKey.fill(0);
    this.#hash.fill(0);
    this.#key.fill(0);
  }

  #replace(chainingKey: Uint8Array, key: Uint8Array): void {
    this.#chainingKey.fill(0);
    this.#key.fill(0);
    this.#chainingKey = chainingKey;
    this.#key = key;
  }
}
