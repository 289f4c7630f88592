/** Times pieces of some microseconds, each of which holds the time that reading the clock takes: that is taken off. */

import { spreadOf } from './statistics.ts';

const READINGS = 10_000;

let readingMs: number | undefined;

/** A moment, for `elapsedNs`. */
export function startTime(): number {
  readingMs ??= measureReading();
  return performance.now();
}

/** Nanoseconds since `start`; never negative. */
export function elapsedNs(start: number): number {
  return Math.max(0, performance.now() - start - readingMs!) * 1e6;
}

function measureReading(): number {
  const readings = Array.from({ length: READINGS }, () => {
    const start = performance.now();
    return performance.now() - start;
  });
  return spreadOf(readings).median;
}
