/** Every crypto backend that this machine has. One that is absent is named loudly: its tests are not run. */

import type { AeadKey, Crypto } from '../../src/core/base/crypto.ts';
import { nobleCrypto } from '../../src/node/crypto/noble.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';
import { loadSodium } from '../../src/node/crypto/sodium.ts';
import { loadWasm } from '../../src/node/crypto/wasm.ts';

export const backends: readonly Crypto[] = [nobleCrypto, nodeCrypto, ...(await sodium()), loadWasm()];

async function sodium(): Promise<Crypto[]> {
  try {
    return [await loadSodium()];
  } catch (error) {
    console.warn(`SKIPPED: crypto backend sodium: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
    return [];
  }
}

/** The counter words of a whole 12-byte nonce; its first four bytes, zero in WireGuard, are put into the key's nonce. */
export function setNonce(key: AeadKey, nonce: Uint8Array): readonly [number, number] {
  const target = (key as AeadKey & { readonly nonce: Uint8Array }).nonce;
  target.set(nonce.subarray(0, 4));
  const view = new DataView(nonce.buffer, nonce.byteOffset, 12);
  return [view.getUint32(4, true), view.getUint32(8, true)];
}
