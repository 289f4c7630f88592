import { describe, expect, it } from 'vitest';
import { Arena } from '../../../../src/node/crypto/wasm/arena.ts';

describe('pieces of the AEAD’s memory', () => {
  it('lie in the memory, behind what is taken, 64-aligned, zeroed, and apart from each other', () => {
    const memory = new ArrayBuffer(4096);
    const arena = new Arena(memory, 1000);
    const pieces = [100, 64, 1, 200].map((bytes) => arena.allocate(bytes));
    expect(pieces.map(({ length }) => length)).toEqual([100, 64, 1, 200]);
    expect(pieces.map(({ byteOffset }) => byteOffset)).toEqual([1024, 1152, 1216, 1280]);
    for (const piece of pieces) expect(piece.buffer).toBe(memory);
  });

  it('are used again once they are given back, without what was in them', () => {
    const arena = new Arena(new ArrayBuffer(4096), 0);
    const first = arena.allocate(2048);
    const second = arena.allocate(2048);
    first.fill(7);
    second.fill(8);
    arena.release(first);
    const again = arena.allocate(2048);
    expect(again.byteOffset).toBe(first.byteOffset);
    expect(again.every((byte) => byte === 0)).toBe(true);
    expect(second[0]).toBe(8);
  });

  it('are handed out once only, however often one is given back, and never from elsewhere', () => {
    const arena = new Arena(new ArrayBuffer(4096), 0);
    const piece = arena.allocate(64);
    arena.release(new Uint8Array(64));
    arena.release(piece.subarray());
    arena.release(piece);
    arena.release(piece);
    const places = [1, 2, 3].map(() => arena.allocate(64).byteOffset);
    expect(new Set(places).size).toBe(3);
  });

  it('are ordinary memory when nothing is left, and the memory never grows', () => {
    const memory = new ArrayBuffer(4096);
    const arena = new Arena(memory, 0);
    const large = arena.allocate(4096);
    const other = arena.allocate(64);
    expect(other.buffer).not.toBe(memory);
    expect(other).toHaveLength(64);
    arena.release(other);
    arena.release(large);
    expect(arena.allocate(4096).buffer).toBe(memory);
  });
});
