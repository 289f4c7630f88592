/** ChaCha20-Poly1305 per packet, by backend: a full packet and an acknowledgement, opened and sealed in place in a burst's slab. */

import { TRANSPORT_HEADER_LENGTH } from '../core/base/burst.ts';
import { type AeadKey, type Crypto, TAG_LENGTH } from '../core/base/crypto.ts';
import { backends } from './backends.ts';
import type { Case, Effort, Metrics, Section } from './section.ts';

const SLOTS = 64;
const SLOT_BYTES = 2048;
/** Of the plaintext: an IP packet of the tunnel's MTU padded to 16, and an acknowledgement. */
const LENGTHS = [1424, 64] as const;
/** The optimizing compilers want some thousand calls first. */
const WARM_UP_MS = 20;
/** Measured time per case and round. */
const MEASURE_MS: Readonly<Record<Effort, number>> = { smoke: 20, quick: 50, full: 150 };

export const aead: Section = {
  name: 'aead',
  title: 'AEAD, per packet',
  note: `Time of the calls alone, in place in ${SLOTS} slots of ${SLOT_BYTES} bytes in turn; the median of the runs through them. Ratios are to the first backend.`,
  async open({ effort }) {
    const { found, notShown } = await backends();
    const cases = LENGTHS.flatMap((length) =>
      (['open', 'seal'] as const).flatMap((what) =>
        found.map((crypto, index): Case => {
          const run = prepare(crypto, what, length);
          run(WARM_UP_MS);
          const measured = (): Metrics => run(MEASURE_MS[effort]);
          return { group: `${what} ${length} B`, name: crypto.name, baseline: index === 0, run: measured };
        }),
      ),
    );
    return { cases, notShown };
  },
};

function prepare(crypto: Crypto, what: 'open' | 'seal', length: number): (measureMs: number) => Metrics {
  const key = crypto.aeadKey(new Uint8Array(32).fill(7));
  const bytes = SLOTS * SLOT_BYTES;
  const slab = crypto.allocate?.(bytes) ?? new Uint8Array(bytes);
  if (what === 'seal')
    return (measureMs) =>
      perPacket(
        measureMs,
        () => {},
        (slot) => key.seal(slab, placeOf(slot), length, slot, 0),
      );
  const sealed = sealedSlab(key, length);
  return (measureMs) =>
    perPacket(
      measureMs,
      () => slab.set(sealed),
      (slot) => {
        if (!key.open(slab, placeOf(slot), length + TAG_LENGTH, slot, 0)) throw new Error('a packet was not opened');
      },
    );
}

function sealedSlab(key: AeadKey, length: number): Uint8Array {
  const slab = new Uint8Array(SLOTS * SLOT_BYTES);
  for (let slot = 0; slot < SLOTS; slot++) key.seal(slab, placeOf(slot), length, slot, 0);
  return slab;
}

function placeOf(slot: number): number {
  return slot * SLOT_BYTES + TRANSPORT_HEADER_LENGTH;
}

/** The median over runs through the slab, so that a run in which the machine did something else does not count. */
function perPacket(measureMs: number, prepareRun: () => void, handle: (slot: number) => void): Metrics {
  const runs: number[] = [];
  for (let totalMs = 0; totalMs < measureMs; ) {
    prepareRun();
    const start = performance.now();
    for (let slot = 0; slot < SLOTS; slot++) handle(slot);
    const ms = performance.now() - start;
    runs.push((ms * 1e6) / SLOTS);
    totalMs += ms;
  }
  return { 'ns/packet': runs.sort((a, b) => a - b)[runs.length >> 1]! };
}
