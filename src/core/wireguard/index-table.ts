/**
 * The indices by which peers address us (whitepaper §5.4: `receiver`): random 32-bit numbers, one table for pending handshakes and
 * sessions alike, so that no two owners ever share one.
 */

import type { Random } from '../base/crypto.ts';
import { randomU32 } from '../base/random.ts';

export class IndexTable<Owner> {
  /** @internal Keys are signed, which V8 keeps as small integers: a look-up per packet must not allocate. */
  readonly owners: Map<number, Owner> = new Map();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** How many indices are taken. */
  get size(): number {
    return this.owners.size;
  }

  /** Draws a free index, unpredictable to outsiders, and gives it to the owner that `create` makes. */
  allocate<Kind extends Owner>(create: (index: number) => Kind): Kind {
    let index = randomU32(this.#random);
    while (this.owners.has(index | 0)) index = randomU32(this.#random);
    const owner = create(index);
    this.owners.set(index | 0, owner);
    return owner;
  }

  /** Hands a taken index over: a handshake that succeeded becomes a session under the same index. */
  replace(index: number, owner: Owner): void {
    this.owners.set(index | 0, owner);
  }

  find(index: number): Owner | undefined {
    return this.owners.get(index | 0);
  }

  release(index: number): void {
    this.owners.delete(index | 0);
  }
}
