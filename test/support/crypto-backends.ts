/** Every crypto backend. */

import type { AeadKey, Crypto } from '../../src/core/base/crypto.ts';
import { nobleCrypto } from '../../src/node/crypto/noble.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';
import { loadWasm } from '../../src/node/crypto/wasm.ts';

export const backends: readonly Crypto[] = [nobleCrypto, nodeCrypto, loadWasm()];

/** The counter words of a whole 12-byte nonce; its first four bytes, zero in WireGuard, are put into the key's nonce. */
export function setNonce(key: AeadKey, nonce: Uint8Array): readonly [number, number] {
  const target = (key as AeadKey & { readonly nonce: Uint8Array }).nonce;
  target.set(nonce.subarray(0, 4));
  const view = new DataView(nonce.buffer, nonce.byteOffset, 12);
  return [view.getUint32(4, true), view.getUint32(8, true)];
}
