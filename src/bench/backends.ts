/** The crypto backends that are there and pass their self-test. */

import type { Crypto } from '../core/base/crypto.ts';
import { CRYPTO_NAMES, type CryptoName, selectCrypto } from '../node/crypto/select.ts';
import type { NotShown } from './section.ts';

/** Fastest first, as the product prefers them; without those of `except`. */
export async function backends(except: readonly CryptoName[] = []): Promise<{ found: Crypto[]; notShown: NotShown[] }> {
  const found: Crypto[] = [];
  const notShown: NotShown[] = [];
  for (const name of CRYPTO_NAMES) {
    if (except.includes(name)) continue;
    try {
      found.push(await selectCrypto({ prefer: name }));
    } catch (error) {
      notShown.push({ name, why: error instanceof Error ? error.message : String(error) });
    }
  }
  return { found, notShown };
}
