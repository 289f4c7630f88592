/** Numbers drawn from the injected `Random`. */

import { u32le } from './bytes.ts';
import type { Random } from './crypto.ts';

const scratch = new Uint8Array(4);

/** A uniform unsigned 32-bit integer. */
export function randomU32(random: Random): number {
  random.fill(scratch);
  return u32le(scratch, 0);
}

/** A uniform number in [0, 1), as Math.random, in steps of 2^-32. */
export function randomUnit(random: Random): number {
  return randomU32(random) / 0x1_0000_0000;
}

export function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  random.fill(bytes);
  return bytes;
}
