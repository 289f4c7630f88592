/**
 * Sequence numbers (RFC 9293 §3.4): 32 bits that wrap. Held as signed 32-bit integers, which V8 keeps unboxed; two of them compare
 * by the sign of their difference, correct while they are less than 2^31 apart, and every window is at most 2^30 (RFC 7323 §2.2).
 * Timestamps (RFC 7323 §5.2) compare the same way.
 */

/** `n` behind `sequence`; `n` may be negative. */
export function seqAdd(sequence: number, n: number): number {
  return (sequence + n) | 0;
}

/** How far `a` is ahead of `b`; negative if behind. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** a < b */
export function seqLt(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** a <= b */
export function seqLe(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** a > b */
export function seqGt(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/** a >= b */
export function seqGe(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}
