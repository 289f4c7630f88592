/** How often the leak tests play, and the moments they choose: one round by default; under SLUICE_DEEP=1 twenty, the first two of them with waits at full length. */
import { DEEP, deep } from '../support/deep.ts';
import { SeededRandom } from '../support/seeded-random.ts';

export interface Round {
  readonly seed: number;
  /** Waits for as long as the scenario says; otherwise no longer than it takes to show the same. */
  readonly full: boolean;
}

const FULL_ROUNDS = 2;

/** For `describe.each`: what ends the title, and the round. SLUICE_SEED=N plays the round of that seed alone. */
export const ROUNDS: readonly (readonly [string, Round])[] = seeds().map((seed) => [
  DEEP ? `, round ${seed}` : '',
  { seed, full: DEEP && seed <= FULL_ROUNDS },
]);

/** The moments of a round. */
export class Moments {
  readonly #random: SeededRandom;

  constructor({ seed }: Round) {
    this.#random = new SeededRandom(seed);
  }

  /** Uniform, in milliseconds or whatever the bounds are in. */
  between(least: number, most: number): number {
    return least + this.#random.below(most - least + 1);
  }

  pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }
}

function seeds(): number[] {
  const given = process.env['SLUICE_SEED'];
  if (given !== undefined) return [Number(given)];
  return Array.from({ length: deep(1, 20) }, (_, index) => index + 1);
}
