/** Robust statistics of few samples: medians, quartiles, and ratios of pairs that were measured next to each other. */

export interface Spread {
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
  readonly min: number;
  readonly max: number;
  /** The quartiles are so far apart that the median says little: nothing should be claimed from it. */
  readonly noisy: boolean;
}

/** Distance of the quartiles against the median. */
const NOISY = 0.2;

/** Of at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const [q1, median, q3] = [quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)];
  const noisy = q3 - q1 > NOISY * Math.abs(median);
  return { median, q1, q3, min: sorted[0]!, max: sorted.at(-1)!, noisy };
}

/**
 * Of the ratios within each round, so that what slowed a whole round down does not count. Rounds in which either value is absent
 * are left out; `undefined` if none remains, or if a divisor is 0.
 */
export function pairedRatio(
  values: readonly (number | undefined)[],
  divisors: readonly (number | undefined)[],
): Spread | undefined {
  const ratios: number[] = [];
  for (const [round, value] of values.entries()) {
    const divisor = divisors[round];
    if (value === undefined || divisor === undefined) continue;
    if (divisor === 0) return undefined;
    ratios.push(value / divisor);
  }
  return ratios.length === 0 ? undefined : spreadOf(ratios);
}

/** Linear between the two nearest of the sorted values. */
function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
}
