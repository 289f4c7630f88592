import { describe, expect, it } from 'vitest';
import { Burst } from '../../../src/core/base/burst.ts';

describe('a burst in memory of the AEAD', () => {
  it('puts its slots into the slab that it is given, which may be larger', () => {
    const memory = new Uint8Array(4096).subarray(64);
    const burst = new Burst(2, 128, memory);
    burst.append(Uint8Array.of(1), undefined);
    burst.append(Uint8Array.of(2), undefined);
    expect(burst.full).toBe(true);
    expect(burst.slab).toBe(memory);
    expect([memory[0], memory[128]]).toEqual([1, 2]);
  });

  it('refuses a slab that is too small, and one whose packets would not be 4-aligned', () => {
    expect(() => new Burst(2, 128, new Uint8Array(255))).toThrow('"slab" expected 256 bytes');
    expect(() => new Burst(2, 128, new Uint8Array(512).subarray(2))).toThrow('"slab" expected 256 bytes, 4-aligned');
  });
});
