/**
 * The backend on node:crypto (OpenSSL): always there, about seven times faster than plain JavaScript on full packets. OpenSSL
 * has no keyed BLAKE2s and no HChaCha20, so hashes and cookies are those of the reference backend.
 */

import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
import { setU32le } from '../../core/base/bytes.ts';
import { type AeadKey, type Crypto, KEY_LENGTH, type KeyPair, TAG_LENGTH } from '../../core/base/crypto.ts';
import { copyKey, nobleCrypto, requireLength } from './noble.ts';
import { ViewCache } from './views.ts';

export const nodeCrypto: Crypto = {
  name: 'node',
  aeadKey: (key) => new NodeAeadKey(key),
  xaeadSeal: nobleCrypto.xaeadSeal,
  xaeadOpen: nobleCrypto.xaeadOpen,
  keyPair: (privateKey) => new NodeKeyPair(privateKey),
  blake2s: nobleCrypto.blake2s,
};

const ALGORITHM = 'chacha20-poly1305';
const OPTIONS = { authTagLength: TAG_LENGTH } as const;
const sealViews = new ViewCache();
const openViews = new ViewCache();

/** Exported for the vectors, which also have nonces that do not begin with four zero bytes. */
export class NodeAeadKey implements AeadKey {
  readonly nonce: Uint8Array = new Uint8Array(12);
  #key: KeyObject | undefined;

  constructor(key: Uint8Array) {
    const copy = copyKey('key', key);
    this.#key = createSecretKey(copy);
    copy.fill(0);
  }

  seal(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): void {
    this.#setCounter(low, high);
    const { plain, tag } = sealViews.at(buffer, offset, length);
    const cipher = createCipheriv(ALGORITHM, this.#ready(), this.nonce, OPTIONS);
    if (ad) cipher.setAAD(ad, { plaintextLength: length });
    // node:crypto has no output argument: the result is copied back.
    if (length > 0) plain.set(cipher.update(plain));
    cipher.final();
    tag.set(cipher.getAuthTag());
  }

  open(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): boolean {
    if (length < TAG_LENGTH) return false;
    this.#setCounter(low, high);
    const { plain, tag } = openViews.at(buffer, offset, length - TAG_LENGTH);
    const decipher = createDecipheriv(ALGORITHM, this.#ready(), this.nonce, OPTIONS);
    decipher.setAuthTag(tag);
    if (ad) decipher.setAAD(ad, { plaintextLength: plain.length });
    const opened = plain.length > 0 ? decipher.update(plain) : undefined;
    try {
      decipher.final();
    } catch {
      return false;
    }
    if (opened) plain.set(opened);
    return true;
  }

  /** OpenSSL's copy is freed, not zeroed: Node has no way to do more (docs/security.md). */
  wipe(): void {
    this.#key = undefined;
  }

  #ready(): KeyObject {
    if (!this.#key) throw new TypeError('"key" expected an AEAD key in use, got a wiped one');
    return this.#key;
  }

  #setCounter(low: number, high: number): void {
    setU32le(this.nonce, 4, low);
    setU32le(this.nonce, 8, high);
  }
}

class NodeKeyPair implements KeyPair {
  readonly publicKey: Uint8Array;
  #privateKey: KeyObject | undefined;

  constructor(privateKey: Uint8Array) {
    this.#privateKey = importPrivateKey(copyKey('privateKey', privateKey));
    this.publicKey = exportPublicKey(this.#privateKey);
  }

  dh(peerPublicKey: Uint8Array): Uint8Array | undefined {
    if (!this.#privateKey) throw new TypeError('"keyPair" expected a key pair in use, got a wiped one');
    const publicKey = importPublicKey(peerPublicKey);
    try {
      return Uint8Array.from(diffieHellman({ privateKey: this.#privateKey, publicKey }));
    } catch {
      // OpenSSL refuses the 31 results that are all zero, and says so by throwing.
      return undefined;
    }
  }

  /** As `NodeAeadKey.wipe`. */
  wipe(): void {
    this.#privateKey = undefined;
  }
}

/** A JWK is imported in 7 µs where DER takes 117 µs: the public key of an initiation must be cheap (whitepaper §5.3). */
function importPublicKey(bytes: Uint8Array): KeyObject {
  requireLength('peerPublicKey', bytes, KEY_LENGTH);
  return createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: base64url(bytes) },
    format: 'jwk',
  });
}

/** PKCS #8 (RFC 8410 §7) in front of the 32 bytes. The buffers are wiped; a JWK would put the key into a string. */
function importPrivateKey(bytes: Uint8Array): KeyObject {
  const header = Buffer.from('302e020100300506032b656e04220420', 'hex');
  const der = Buffer.alloc(header.length + KEY_LENGTH);
  der.set(header);
  der.set(bytes, header.length);
  bytes.fill(0);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

function exportPublicKey(privateKey: KeyObject): Uint8Array {
  return Uint8Array.from(Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x!, 'base64url'));
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}
