/**
 * The backend on `sodium-native`, an optional dependency: libsodium, in place, the fastest one. The binding is called directly:
 * the package's own checks cost 15 % of an ACK, and its exception for each forged packet seven times the check itself.
 * libsodium has no BLAKE2s, so hashes are those of the reference backend.
 */

import { setU32le } from '../../core/base/bytes.ts';
import { type AeadKey, type Crypto, KEY_LENGTH, type KeyPair, TAG_LENGTH } from '../../core/base/crypto.ts';
import { copyKey, nobleCrypto, requireLength } from './noble.ts';
import { ViewCache } from './views.ts';

/** What is used of the binding. Lengths must be exact: it asserts in C++, so a wrong one would end the process. */
interface Binding {
  crypto_aead_chacha20poly1305_ietf_encrypt: Seal;
  crypto_aead_chacha20poly1305_ietf_decrypt: Open;
  crypto_aead_xchacha20poly1305_ietf_encrypt: Seal;
  crypto_aead_xchacha20poly1305_ietf_decrypt: Open;
  crypto_scalarmult(q: Uint8Array, n: Uint8Array, p: Uint8Array): number;
  crypto_scalarmult_base(q: Uint8Array, n: Uint8Array): number;
}
type Bytes = Uint8Array;
type Seal = (c: Bytes, m: Bytes, ad: Bytes | undefined, nonce: Bytes, key: Bytes) => number;
/** The number of plaintext bytes, or -1 if the tag is wrong. */
type Open = (m: Bytes, c: Bytes, ad: Bytes | undefined, nonce: Bytes, key: Bytes) => number;

/** Keeps a bundler from following: the package may be absent, and then the caller takes another backend. */
const MODULE: string = 'sodium-native/binding.js';

/** Loads the binding. Rejects if the package or its prebuilt binary is not there for this platform. */
export async function loadSodium(): Promise<Crypto> {
  const loaded: { default: Binding } = await import(MODULE);
  return sodiumCrypto(loaded.default);
}

function sodiumCrypto(binding: Binding): Crypto {
  const sealViews = new ViewCache();
  const openViews = new ViewCache();
  return {
    name: 'sodium',
    aeadKey: (key) => new SodiumAeadKey(key, binding, sealViews, openViews),
    xaeadSeal(key, nonce, plaintext, associatedData) {
      const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
      requireLength('nonce', nonce, 24);
      requireLength('key', key, KEY_LENGTH);
      binding.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, plaintext, associatedData, nonce, key);
      return sealed;
    },
    xaeadOpen(key, nonce, sealed, associatedData) {
      if (sealed.length < TAG_LENGTH) return undefined;
      requireLength('nonce', nonce, 24);
      requireLength('key', key, KEY_LENGTH);
      const plain = new Uint8Array(sealed.length - TAG_LENGTH);
      const opened = binding.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, sealed, associatedData, nonce, key);
      return opened === plain.length ? plain : undefined;
    },
    keyPair: (privateKey) => new SodiumKeyPair(privateKey, binding),
    blake2s: nobleCrypto.blake2s,
  };
}

/** `nonce` is open for the vectors, which also have nonces that do not begin with four zero bytes. */
export class SodiumAeadKey implements AeadKey {
  readonly nonce: Uint8Array = new Uint8Array(12);
  readonly #key: Uint8Array;
  readonly #sealViews: ViewCache;
  readonly #openViews: ViewCache;
  readonly #encrypt: Seal;
  readonly #decrypt: Open;

  constructor(key: Uint8Array, binding: Binding, sealViews: ViewCache, openViews: ViewCache) {
    this.#key = copyKey('key', key);
    this.#sealViews = sealViews;
    this.#openViews = openViews;
    this.#encrypt = binding.crypto_aead_chacha20poly1305_ietf_encrypt;
    this.#decrypt = binding.crypto_aead_chacha20poly1305_ietf_decrypt;
  }

  seal(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): void {
    setU32le(this.nonce, 4, low);
    setU32le(this.nonce, 8, high);
    const { plain, sealed } = this.#sealViews.at(buffer, offset, length);
    this.#encrypt(sealed, plain, ad, this.nonce, this.#key);
  }

  open(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): boolean {
    if (length < TAG_LENGTH) return false;
    setU32le(this.nonce, 4, low);
    setU32le(this.nonce, 8, high);
    const { plain, sealed } = this.#openViews.at(buffer, offset, length - TAG_LENGTH);
    return this.#decrypt(plain, sealed, ad, this.nonce, this.#key) === plain.length;
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

class SodiumKeyPair implements KeyPair {
  readonly publicKey: Uint8Array = new Uint8Array(KEY_LENGTH);
  readonly #privateKey: Uint8Array;
  readonly #binding: Binding;

  constructor(privateKey: Uint8Array, binding: Binding) {
    this.#privateKey = copyKey('privateKey', privateKey);
    this.#binding = binding;
    binding.crypto_scalarmult_base(this.publicKey, this.#privateKey);
  }

  dh(peerPublicKey: Uint8Array): Uint8Array | undefined {
    requireLength('peerPublicKey', peerPublicKey, KEY_LENGTH);
    const shared = new Uint8Array(KEY_LENGTH);
    // libsodium reports the all-zero results as a failure.
    return this.#binding.crypto_scalarmult(shared, this.#privateKey, peerPublicKey) === 0 ? shared : undefined;
  }

  wipe(): void {
    this.#privateKey.fill(0);
  }
}
