/**
 * Which counters of one key were received already (RFC 6479): a ring of 8192 bits of which one word is always being cleared ahead,
 * so that a counter up to 8128 behind the greatest is still judged. Counters are 64-bit, as two 32-bit halves.
 */

import { atMessageLimit } from './constants.ts';

/** How far behind the greatest counter a new one may be. */
export const REPLAY_WINDOW_SIZE = 8_128;

const RING_BITS = 8_192;
const RING_WORDS = RING_BITS / 32;
/** Word numbers are counters without their low 5 bits; of the low half, 27 bits remain. */
const WORD_NUMBER_MASK = 0x7ff_ffff;

export class ReplayWindow {
  /** @internal */
  readonly ring: Uint32Array = new Uint32Array(RING_WORDS);
  /** @internal The greatest counter taken. */
  greatestLow = 0;
  /** @internal */
  greatestHigh = 0;

  /**
   * Takes a counter. False if it was taken before, is too far behind, or is at the limit. Call only for authenticated
   * packets: a forged one must not use up a counter.
   */
  accept(low: number, high: number): boolean {
    if (atMessageLimit(low, high)) return false;
    const bit = 1 << (low & 31);
    const index = (low >>> 5) % RING_WORDS;
    // Nearly always: the next one, in a word that was cleared with its first.
    if (low === this.greatestLow + 1 && high === this.greatestHigh && bit !== 1) {
      this.greatestLow = low;
      this.ring[index] = this.ring[index]! | bit;
      return true;
    }
    const newer = high > this.greatestHigh || (high === this.greatestHigh && low > this.greatestLow);
    if (newer) this.#advance(low, high);
    else if (this.#depth(low, high) > REPLAY_WINDOW_SIZE) return false;
    const word = this.ring[index]!;
    if ((word & bit) !== 0) return false;
    this.ring[index] = word | bit;
    return true;
  }

  /** How far a counter that is not newer lies behind the greatest; anything beyond the ring reads as the ring's size. */
  #depth(low: number, high: number): number {
    const borrow = low > this.greatestLow ? 1 : 0;
    if (this.greatestHigh - high - borrow !== 0) return RING_BITS;
    return this.greatestLow - low + borrow * 0x1_0000_0000;
  }

  /** Makes a newer counter the greatest and clears the words that enter the ring. */
  #advance(low: number, high: number): void {
    const borrow = low < this.greatestLow ? 1 : 0;
    const distance = low - this.greatestLow + borrow * 0x1_0000_0000;
    const near = high - this.greatestHigh - borrow === 0 && distance < RING_BITS;
    const from = this.greatestLow >>> 5;
    const words = near ? ((low >>> 5) - from) & WORD_NUMBER_MASK : RING_WORDS;
    for (let i = 1; i <= words && i <= RING_WORDS; i++) this.ring[(from + i) % RING_WORDS] = 0;
    this.greatestLow = low;
    this.greatestHigh = high;
  }
}
