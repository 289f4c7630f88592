/** Randomness from a seed, for tests that must repeat exactly. Not for keys outside tests. */

import type { Random } from '../../src/core/base/crypto.ts';

export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A uniform unsigned 32-bit integer. */
  u32(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  /** A uniform integer from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * bound);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.u32() / 0x1_0000_0000 < probability;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.fill(bytes);
    return bytes;
  }

  fill(target: Uint8Array): void {
    let word = 0;
    for (let i = 0; i < target.length; i++, word >>>= 8) {
      if (i % 4 === 0) word = this.u32();
      target[i] = word;
    }
  }
}
