/** What must be unpredictable and yet the same for the same pair of ends: initial sequence numbers and timestamp origins. */

import type { Random } from '../../base/crypto.ts';
import type { Instant } from '../../base/instant.ts';
import { randomU32 } from '../../base/random.ts';
import { halfSipHash, type SipKey } from './siphash.ts';
import { TUPLE_WORDS } from './tuple.ts';

/** RFC 9293 §3.4.1: the clock of ISNs ticks every 4 µs. */
const TICKS_PER_MS = 250;
const WRAP = 0x1_0000_0000;

export class SequenceSource {
  readonly #sequenceKey: SipKey;
  readonly #clockKey: SipKey;

  constructor(random: Random) {
    this.#sequenceKey = { k0: randomU32(random), k1: randomU32(random) };
    this.#clockKey = { k0: randomU32(random), k1: randomU32(random) };
  }

  /** RFC 6528 §3: a clock plus a keyed hash of both ends. */
  initialSequence(tuple: Int32Array, now: Instant): number {
    const clock = Math.floor((now * TICKS_PER_MS) % WRAP) | 0;
    return (clock + halfSipHash(this.#sequenceKey, tuple, TUPLE_WORDS)) | 0;
  }

  /** RFC 7323 §5.4; the same for every incarnation of a connection, so that RFC 6191 works. */
  clockOffset(tuple: Int32Array): number {
    return halfSipHash(this.#clockKey, tuple, TUPLE_WORDS);
  }
}
