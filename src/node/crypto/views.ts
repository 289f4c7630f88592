/**
 * Recycled views. node:crypto wants a typed array for each run of bytes, and making two of them for every packet costs
 * 40 to 80 ns and garbage. Packets come from the same few slots of the same slab, in few lengths, so a small direct-mapped
 * table finds nearly all of them. A miss only costs the allocation that the table saves.
 */

import { TAG_LENGTH } from '../../core/base/crypto.ts';

/** One packet of the AEAD: plaintext and tag. */
export interface PacketViews {
  readonly owner: Uint8Array;
  readonly offset: number;
  readonly plain: Uint8Array;
  readonly tag: Uint8Array;
}

/** 64 slots of a burst times 8 lengths; about 200 kB when full. */
const ENTRIES = 512;
const SLOT_BITS = 11;

export class ViewCache {
  readonly #entries: (PacketViews | undefined)[] = new Array<PacketViews | undefined>(ENTRIES).fill(undefined);

  /** Views of `length` plaintext bytes of `owner` at `offset`, and of the tag behind them. Throws RangeError past the end. */
  at(owner: Uint8Array, offset: number, length: number): PacketViews {
    const index = ((offset >>> SLOT_BITS) & 63) | (((length >>> 4) & 7) << 6);
    const entry = this.#entries[index];
    if (entry && entry.owner === owner && entry.offset === offset && entry.plain.length === length) return entry;
    const views = packetViews(owner, offset, length);
    this.#entries[index] = views;
    return views;
  }
}

function packetViews(owner: Uint8Array, offset: number, length: number): PacketViews {
  if (offset < 0 || length < 0 || offset + length + TAG_LENGTH > owner.length)
    throw new RangeError(`"buffer" expected room for ${length} bytes and a tag at ${offset}, has ${owner.length}`);
  const plain = owner.subarray(offset, offset + length);
  const tag = owner.subarray(offset + length, offset + length + TAG_LENGTH);
  return { owner, offset, plain, tag };
}
