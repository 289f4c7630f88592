import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/core/base/bytes.ts';
import { checksum, fold, pseudoHeaderSum, sum, updateChecksum } from '../../../src/core/wire/checksum.ts';
import { sumMemoryWith } from '../../../src/core/wire/word-view.ts';

/** The definition of RFC 1071 §1, one byte at a time. */
const naive = (bytes: Uint8Array, offset: number, length: number, initial: number): number => {
  let total = initial;
  for (let i = 0; i < length; i++) {
    total += i % 2 === 0 ? bytes[offset + i]! * 256 : bytes[offset + i]!;
    total = (total % 65536) + Math.floor(total / 65536);
  }
  return (total % 65536) + Math.floor(total / 65536);
};

/** 0 and 0xffff are the same number in ones-complement arithmetic. */
const same = (a: number, b: number): boolean => a % 0xffff === b % 0xffff && (a === 0) === (b === 0);

const noise = (length: number, seed: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = seed = (Math.imul(seed, 1103515245) + 12345) >>> 16;
  return bytes;
};

describe('Internet checksum (RFC 1071)', () => {
  it('gives the sum of the example (RFC 1071 §3)', () => {
    expect(sum(fromHex('0001f203f4f5f6f7'), 0, 8)).toBe(0xddf2);
    expect(checksum(0xddf2)).toBe(0x220d);
  });

  it('equals the naive loop for every alignment and every length up to 300, within a view at any offset', () => {
    for (let base = 0; base < 4; base++) {
      const bytes = noise(400, base + 1).subarray(base);
      for (let offset = 0; offset < 8; offset++)
        for (let length = 0; length <= 300; length++) {
          const actual = sum(bytes, offset, length, 7);
          if (!same(actual, naive(bytes, offset, length, 7)))
            expect.fail(`base ${base} offset ${offset} length ${length}: ${actual}`);
        }
    }
  });

  it('equals the naive loop for random contents, with any initial sum', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.nat(7),
        fc.nat({ max: 0xfffff }),
        fc.boolean(),
        (bytes, offset, initial, full) => {
          if (full) bytes.fill(0xff);
          const start = Math.min(offset, bytes.length);
          return same(
            sum(bytes, start, bytes.length - start, initial),
            naive(bytes, start, bytes.length - start, initial),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it('does not overflow on 64 KiB of ones', () => {
    const bytes = new Uint8Array(65536).fill(0xff);
    expect(sum(bytes, 0, 65535)).toBe(naive(bytes, 0, 65535, 0));
    expect(sum(bytes, 1, 65535)).toBe(naive(bytes, 1, 65535, 0));
  });

  it('follows writes and keeps several buffers apart', () => {
    const buffers = [noise(200, 1), noise(200, 2), noise(200, 3)];
    for (let round = 0; round < 10; round++)
      for (const bytes of buffers) {
        bytes[round * 3] = round;
        expect(same(sum(bytes, 0, 200), naive(bytes, 0, 200, 0))).toBe(true);
      }
  });

  it('leaves a memory to what was named for it, from where the words begin', () => {
    const memory = new ArrayBuffer(400);
    const bytes = new Uint8Array(memory, 40);
    bytes.set(noise(360, 5));
    sumMemoryWith(memory, (address, length) => naive(new Uint8Array(memory), address, length, 0) + 1);
    expect(sum(bytes, 3, 200, 9)).toBe(fold(naive(bytes, 3, 200, 10)));
    const other = noise(360, 5);
    expect(same(sum(other, 3, 200, 9), naive(other, 3, 200, 9))).toBe(true);
  });

  it('folds a sum over a correct checksum to zero', () => {
    const bytes = noise(100, 9);
    bytes[10] = bytes[11] = 0;
    const field = checksum(sum(bytes, 0, 100));
    bytes[10] = field >>> 8;
    bytes[11] = field;
    expect(checksum(sum(bytes, 0, 100))).toBe(0);
    expect(fold(sum(bytes, 0, 100))).toBe(0xffff);
  });

  it('sums the pseudo header in the order of its fields (RFC 768, RFC 8200 §8.1)', () => {
    const header = fromHex('0a0200020a0200010011002c');
    expect(fold(pseudoHeaderSum(header, 0, header, 4, 4, 17, 0x2c))).toBe(naive(header, 0, 12, 0));
    const header6 = fromHex('fd000000000000000000000000000002fd000000000000000000000000000001000105a400000006');
    expect(fold(pseudoHeaderSum(header6, 0, header6, 16, 16, 6, 0x105a4))).toBe(naive(header6, 0, 40, 0));
  });

  it('updates a field for changed bytes as a new sum would (RFC 1624 §3)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (bytes, next) => {
          bytes[0] = 1; // A header is never all zero, the one case in which the two ways differ.
          const old = checksum(sum(bytes, 0, 20));
          const changed = Uint8Array.from(bytes);
          changed.set(next, 12);
          return updateChecksum(old, sum(bytes, 12, 4), sum(next, 0, 4)) === checksum(sum(changed, 0, 20));
        },
      ),
    );
  });
});
