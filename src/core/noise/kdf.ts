/** HMAC-BLAKE2s (RFC 2104) and the key derivation built from it: HKDF (RFC 5869) as Noise §4.3 and whitepaper §5.4 use it. */

import { concat } from '../base/bytes.ts';
import type { Crypto } from '../base/crypto.ts';

export const HASH_LENGTH = 32;
const BLOCK_LENGTH = 64;

/** HMAC-BLAKE2s-256. This is not keyed BLAKE2s, which WireGuard uses for MACs and cookies only. Keys up to 64 bytes. */
export function hmacBlake2s(crypto: Crypto, key: Uint8Array, input: Uint8Array): Uint8Array {
  const inner = new Uint8Array(BLOCK_LENGTH);
  const outer = new Uint8Array(BLOCK_LENGTH);
  for (let i = 0; i < BLOCK_LENGTH; i++) {
    const byte = key[i] ?? 0;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  const message = concat(inner, input);
  const digest = crypto.blake2s(message, HASH_LENGTH);
  const result = crypto.blake2s(concat(outer, digest), HASH_LENGTH);
  inner.fill(0);
  outer.fill(0);
  message.fill(0);
  return result;
}

/** The first output of the key derivation. */
export function kdf1(crypto: Crypto, key: Uint8Array, input: Uint8Array): Uint8Array {
  const secret = hmacBlake2s(crypto, key, input);
  const first = hmacBlake2s(crypto, secret, Uint8Array.of(1));
  secret.fill(0);
  return first;
}

/** The first two outputs of the key derivation. */
export function kdf2(crypto: Crypto, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const secret = hmacBlake2s(crypto, key, input);
  const first = hmacBlake2s(crypto, secret, Uint8Array.of(1));
  const second = hmacBlake2s(crypto, secret, concat(first, Uint8Array.of(2)));
  secret.fill(0);
  return [first, second];
}

/** The three outputs of the key derivation. */
export function kdf3(crypto: Crypto, key: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const secret = hmacBlake2s(crypto, key, input);
  const first = hmacBlake2s(crypto, secret, Uint8Array.of(1));
  const second = hmacBlake2s(crypto, secret, concat(first, Uint8Array.of(2)));
  const third = hmacBlake2s(crypto, secret, concat(second, Uint8Array.of(3)));
  secret.fill(0);
  return [first, second, third];
}
