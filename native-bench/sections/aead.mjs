/** ChaCha20-Poly1305 per packet, by backend: a full packet and an acknowledgement, opened and sealed in place in a burst's slab. */
import { backends } from '../backends.mjs';

const SLOTS = 64;
const SLOT_BYTES = 2048;
const HEADER_BYTES = 16;
const TAG_BYTES = 16;
/** Measured time per case and round, in milliseconds. */
const MEASURE_MS = 150;

export const aead = {
  name: 'aead',
  title: 'AEAD, per packet',
  note: 'In place, 64 slots of 2048 bytes in turn; median of the runs through them; time of the calls alone.',
  async open({ dist, note }) {
    const cryptos = await backends(dist, note);
    const cases = [];
    for (const length of [1424, 64]) {
      for (const what of ['open', 'seal']) {
        for (const [i, crypto] of cryptos.entries()) {
          const key = crypto.aeadKey(new Uint8Array(32).fill(7));
          const run = what === 'open' ? () => timeOpen(key, length) : () => timeSeal(key, length);
          // The optimizing compiler wants some thousand calls first.
          for (let calls = 0; calls < 4 && crypto.name !== 'noble'; calls++) run();
          cases.push({ group: `${what} ${length} B`, name: crypto.name, baseline: i === 0, run });
        }
      }
    }
    return { cases };
  },
};

function timeOpen(key, length) {
  const sealed = new Uint8Array(SLOTS * SLOT_BYTES);
  for (let slot = 0; slot < SLOTS; slot++) key.seal(sealed, slot * SLOT_BYTES + HEADER_BYTES, length, slot, 0);
  const slab = new Uint8Array(sealed.length);
  return perPacket(
    () => slab.set(sealed),
    (slot) => {
      if (!key.open(slab, slot * SLOT_BYTES + HEADER_BYTES, length + TAG_BYTES, slot, 0)) throw new Error('not opened');
    },
  );
}

function timeSeal(key, length) {
  const slab = new Uint8Array(SLOTS * SLOT_BYTES);
  return perPacket(
    () => {},
    (slot) => key.seal(slab, slot * SLOT_BYTES + HEADER_BYTES, length, slot, 0),
  );
}

/** The median over runs through the slab, so that a run in which the machine did something else does not count. */
function perPacket(prepare, handle) {
  const runs = [];
  let total = 0;
  while (total < MEASURE_MS * 1e6) {
    prepare();
    const start = process.hrtime.bigint();
    for (let slot = 0; slot < SLOTS; slot++) handle(slot);
    const nanoseconds = Number(process.hrtime.bigint() - start);
    runs.push(nanoseconds / SLOTS);
    total += nanoseconds;
  }
  return { 'ns/packet': runs.sort((a, b) => a - b)[runs.length >> 1] };
}
