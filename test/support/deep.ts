/** How much of a large test runs: a slice in `npm test`, all of it under SLUICE_DEEP=1. */

export const DEEP: boolean = process.env['SLUICE_DEEP'] === '1';

/** `slice` normally, `whole` under SLUICE_DEEP=1. */
export function deep(slice: number, whole: number): number {
  return DEEP ? whole : slice;
}
