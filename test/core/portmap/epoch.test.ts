import { describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { Epoch } from '../../../src/core/portmap/epoch.ts';

const at = (seconds: number): Instant => instant(5_000_000 + seconds * 1000);

describe('the epoch (RFC 6886 §3.6)', () => {
  /** After 45 s at least 1000 + 7/8 · 45 - 2 = 1037.375 is expected. */
  it.each([
    [1_037, false],
    [1_038, true],
    [1_045, true],
    [9_999, true],
    [0, false],
  ])('1000, and %i after 45 s: state kept is %s', (seconds, kept) => {
    const epoch = new Epoch();
    expect(epoch.observe(1_000, at(0))).toBe(true);
    expect(epoch.observe(seconds, at(45))).toBe(kept);
  });

  it('counts from the last answer, not from the first', () => {
    const epoch = new Epoch();
    epoch.observe(1_000, at(0));
    epoch.observe(5, at(10));
    expect(epoch.observe(13, at(20))).toBe(true);
  });

  it('says nothing about the first answer, nor about another gateway', () => {
    const epoch = new Epoch();
    expect(epoch.observe(1_000_000, at(0))).toBe(true);
    epoch.reset();
    expect(epoch.observe(1, at(1))).toBe(true);
  });
});
