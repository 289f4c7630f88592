import { describe, expect, it } from 'vitest';
import { ViewCache } from '../../../src/node/crypto/views.ts';

describe('recycled views', () => {
  it('hands out the same views for the same slot and length, without allocation', () => {
    const cache = new ViewCache();
    const slab = new Uint8Array(64 * 2048);
    const first = Array.from({ length: 64 }, (_, slot) => cache.at(slab, slot * 2048 + 16, 1424));
    const acks = Array.from({ length: 64 }, (_, slot) => cache.at(slab, slot * 2048 + 16, 64));
    for (let slot = 0; slot < 64; slot++) {
      expect(cache.at(slab, slot * 2048 + 16, 1424)).toBe(first[slot]);
      expect(cache.at(slab, slot * 2048 + 16, 64)).toBe(acks[slot]);
    }
  });

  it('never hands out a view of other memory, another offset or another length', () => {
    const cache = new ViewCache();
    const [a, b] = [new Uint8Array(4096), new Uint8Array(4096)];
    for (const [owner, offset, length] of [
      [a, 0, 64],
      [b, 0, 64],
      [a, 4, 64],
      [a, 4, 68],
      [a, 0, 64],
    ] as const) {
      const { plain, tag } = cache.at(owner, offset, length);
      for (const view of [plain, tag]) expect(view.buffer).toBe(owner.buffer);
      expect([plain.byteOffset, plain.length]).toEqual([offset, length]);
      expect([tag.byteOffset, tag.length]).toEqual([offset + length, 16]);
    }
  });

  it('refuses a range that does not fit', () => {
    const cache = new ViewCache();
    expect(() => cache.at(new Uint8Array(40), 0, 25)).toThrow(RangeError);
    expect(() => cache.at(new Uint8Array(40), -1, 8)).toThrow(RangeError);
    expect(() => cache.at(new Uint8Array(40), 0, 24)).not.toThrow();
  });
});
