/**
 * A backend that watches how its AEAD keys are used, over all devices that share it: a counter must not seal twice under one key, and
 * no key may be used that is 180 s old.
 */

import { toHex } from '../../src/core/base/bytes.ts';
import type { AeadKey, Crypto } from '../../src/core/base/crypto.ts';

const MAX_AGE_MS = 180_000;

export class WatchedCrypto {
  readonly crypto: Crypto;
  /** The moment at which keys are made and used. */
  now = 0;
  seals = 0;
  /** The greatest counter that each key has sealed. */
  readonly #sealed: Map<string, number> = new Map();

  constructor(inner: Crypto) {
    this.crypto = { ...inner, aeadKey: (key) => this.#watch(inner.aeadKey(key), toHex(key)) };
  }

  #watch(inner: AeadKey, name: string): AeadKey {
    const madeAt = this.now;
    let wiped = false;
    const check = (what: string): void => {
      if (wiped) throw new Error(`a wiped key was used to ${what}`);
      if (this.now - madeAt >= MAX_AGE_MS) throw new Error(`a key of ${this.now - madeAt} ms was used to ${what}`);
    };
    return {
      seal: (buffer, offset, length, low, high, ad) => {
        check('seal');
        this.seals++;
        const counter = high * 0x1_0000_0000 + low;
        if (counter <= (this.#sealed.get(name) ?? -1)) throw new Error(`counter ${counter} sealed twice under one key`);
        this.#sealed.set(name, counter);
        inner.seal(buffer, offset, length, low, high, ad);
      },
      open: (buffer, offset, length, low, high, ad) => {
        check('open');
        return inner.open(buffer, offset, length, low, high, ad);
      },
      wipe: () => {
        wiped = true;
        inner.wipe();
      },
    };
  }
}
