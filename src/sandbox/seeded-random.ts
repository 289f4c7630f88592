/** Repeatable randomness for the sandbox and for tests. Whoever knows the seed knows every key made from it: never for real secrets. */

import { setU32le } from '../core/base/bytes.ts';
import type { Random } from '../core/base/crypto.ts';

/** The generator sfc32 (Chris Doty-Humphrey): 128 bits of state, period at least 2^32. */
export class SeededRandom implements Random {
  #a = 0;
  #b = 0;
  #c: number;
  #counter = 1;
  readonly #word: Uint8Array = new Uint8Array(4);

  /** The lower 32 bits of `seed` count. */
  constructor(seed: number) {
    this.#c = seed | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  fill(target: Uint8Array): void {
    for (let at = 0; at < target.length; at += 4) {
      setU32le(this.#word, 0, this.#next());
      for (let i = 0; i < 4 && at + i < target.length; i++) target[at + i] = this.#word[i]!;
    }
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }
}
