/**
 * TAI64N timestamps (cr.yp.to/libtai/tai64.html), which make each initiation newer than the one before (whitepaper §5.1): 8 bytes of
 * seconds, 4 of nanoseconds, big-endian, so that byte order is time order.
 */

import { compareBytes, setU32be, u32be } from '../base/bytes.ts';

export const TIMESTAMP_LENGTH = 12;

/** TAI64 counts from 2^62 at 1970 TAI, which was 10 seconds ahead of UTC; leap seconds are ignored, as by every implementation. */
const TAI64_HIGH = 0x4000_0000;
const TAI_OFFSET_SECONDS = 10;
/** Timestamps tell no time finer than this, 16.8 ms, to anyone who measures (§5.1 wants order, not precision). */
const STEP_NANOSECONDS = 0x100_0000;
const SECOND_NANOSECONDS = 1_000_000_000;

/** The timestamp of a moment of Unix time, rounded down to the step. Throws RangeError if a part is out of range. */
export function tai64n(unixSeconds: number, nanoseconds: number): Uint8Array {
  if (!Number.isSafeInteger(unixSeconds) || unixSeconds < 0)
    throw new RangeError(`"unixSeconds" expected a non-negative integer, got ${unixSeconds}`);
  if (!Number.isInteger(nanoseconds) || nanoseconds < 0 || nanoseconds >= SECOND_NANOSECONDS)
    throw new RangeError(`"nanoseconds" expected 0 to 999999999, got ${nanoseconds}`);
  const seconds = unixSeconds + TAI_OFFSET_SECONDS;
  return encode(TAI64_HIGH + Math.floor(seconds / 0x1_0000_0000), seconds >>> 0, nanoseconds & -STEP_NANOSECONDS);
}

/**
 * `wall` if it is later than `last`, else the first step after `last`: strictly increasing whatever the clock does (§5.1). The
 * caller keeps the result, over restarts, as the next `last`.
 */
export function laterTimestamp(last: Uint8Array | undefined, wall: Uint8Array): Uint8Array {
  if (!last || compareBytes(wall, last) > 0) return wall;
  const nanoseconds = (u32be(last, 8) & -STEP_NANOSECONDS) + STEP_NANOSECONDS;
  if (nanoseconds < SECOND_NANOSECONDS) return encode(u32be(last, 0), u32be(last, 4), nanoseconds);
  const low = (u32be(last, 4) + 1) >>> 0;
  return encode(u32be(last, 0) + (low === 0 ? 1 : 0), low, 0);
}

function encode(high: number, low: number, nanoseconds: number): Uint8Array {
  const bytes = new Uint8Array(TIMESTAMP_LENGTH);
  setU32be(bytes, 0, high);
  setU32be(bytes, 4, low);
  setU32be(bytes, 8, nanoseconds);
  return bytes;
}
