/**
 * The cryptography that the core needs, as an interface: backends live in `src/node/crypto` and are cross-checked against
 * each other. WireGuard uses ChaCha20-Poly1305 (RFC 8439), XChaCha20-Poly1305, X25519 (RFC 7748) and BLAKE2s (RFC 7693).
 */

export const KEY_LENGTH = 32;
export const TAG_LENGTH = 16;

export interface Crypto {
  /** The backend's name as the status reports it: `wasm`, `node`, `noble`. */
  readonly name: string;
  /** A ChaCha20-Poly1305 key of 32 bytes, made ready for many packets. The key is copied. */
  aeadKey(key: Uint8Array): AeadKey;
  /** Memory that the AEAD works on without copying, for slabs of packets; absent: any memory is as good. It never moves. */
  allocate?(bytes: number): Uint8Array;
  /** Takes back what `allocate` handed out. No view of it may be used after. */
  release?(memory: Uint8Array): void;
  /** XChaCha20-Poly1305 with a 24-byte nonce: ciphertext ‖ tag, in fresh memory. Only cookies use it. */
  xaeadSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array;
  /** The plaintext, or `undefined` if the tag is wrong. */
  xaeadOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array | undefined;
  /** An X25519 key pair from 32 private bytes, which are clamped (RFC 7748 §5) and copied. */
  keyPair(privateKey: Uint8Array): KeyPair;
  /** BLAKE2s of `input`, `outputLength` bytes (1 to 32), keyed if `key` (up to 32 bytes) is given. Keyed is not HMAC. */
  blake2s(input: Uint8Array, outputLength: number, key?: Uint8Array): Uint8Array;
}

/** A ChaCha20-Poly1305 key. The nonce is 4 zero bytes ‖ LE32(counterLow) ‖ LE32(counterHigh) (whitepaper §5.4.6). */
export interface AeadKey {
  /** Encrypts `length` bytes of `buffer` at `offset` in place and writes the 16-byte tag behind them. */
  seal(
    buffer: Uint8Array,
    offset: number,
    length: number,
    counterLow: number,
    counterHigh: number,
    associatedData?: Uint8Array,
  ): void;
  /**
   * Decrypts `length` bytes (tag included, so at least 16) of `buffer` at `offset` in place. False if the tag is wrong;
   * the bytes are then undefined and must not be used.
   */
  open(
    buffer: Uint8Array,
    offset: number,
    length: number,
    counterLow: number,
    counterHigh: number,
    associatedData?: Uint8Array,
  ): boolean;
  /** Zeroes what can be zeroed. The key must not be used after. */
  wipe(): void;
}

export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** X25519 with the peer's public key: 32 bytes, or `undefined` if the result is all zero (31 Wycheproof cases). */
  dh(peerPublicKey: Uint8Array): Uint8Array | undefined;
  /** Zeroes what can be zeroed. The pair must not be used after. */
  wipe(): void;
}

/** Where random bytes come from: the operating system in the shell, a seed in tests. */
export interface Random {
  /** Overwrites all of `target`. */
  fill(target: Uint8Array): void;
}
