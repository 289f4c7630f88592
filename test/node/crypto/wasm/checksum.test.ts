import { describe, expect, it } from 'vitest';
import { sum } from '../../../../src/core/wire/checksum.ts';
import { loadWasm } from '../../../../src/node/crypto/wasm.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';

describe('the Internet checksum in the AEAD’s memory (RFC 1071)', () => {
  const inside = loadWasm().allocate!(70_000);
  const outside = new SeededRandom(1).bytes(70_000);
  inside.set(outside);

  it('is that of the same bytes in any memory, for every alignment and every length up to 300', () => {
    for (let offset = 0; offset < 33; offset++)
      for (let length = 0; length <= 300; length++)
        if (sum(inside, offset, length, 7) !== sum(outside, offset, length, 7))
          expect.fail(`offset ${offset} length ${length}`);
  });

  it('follows writes, and does not overflow on 64 KiB of ones', () => {
    inside.fill(0xff, 0, 65_535);
    outside.fill(0xff, 0, 65_535);
    for (const length of [65_535, 65_534, 40_001])
      expect(sum(inside, 0, length, 0xfffff)).toBe(sum(outside, 0, length, 0xfffff));
    expect(sum(inside, 66_000, 100)).toBe(sum(outside, 66_000, 100));
  });
});
