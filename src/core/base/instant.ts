/**
 * A moment on the shell's clock, in milliseconds. The clock is monotonic and keeps counting while the host sleeps
 * (whitepaper §6.1 ages must include suspend), so an `Instant` is only comparable with others of the same process.
 */
export type Instant = number & { readonly [instantBrand]: true };

declare const instantBrand: unique symbol;

/** Takes a reading of the shell's clock, in milliseconds, as an `Instant`. Called by clocks and tests only. */
export function instant(milliseconds: number): Instant {
  return milliseconds as Instant;
}

/** The moment `delayMs` after `from`. */
export function after(from: Instant, delayMs: number): Instant {
  return (from + delayMs) as Instant;
}

/** Milliseconds from `from` to `to`; never negative, so that a clock that steps back freezes ages instead of inverting them. */
export function elapsedMs(from: Instant, to: Instant): number {
  return to > from ? to - from : 0;
}

/** The earlier of two deadlines, where `undefined` means "never". */
export function earliest(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return a < b ? a : b;
}
