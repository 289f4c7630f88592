import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TAG_LENGTH } from '../../../../src/core/base/crypto.ts';
import { nobleCrypto } from '../../../../src/node/crypto/noble.ts';
import { instantiate } from '../../../../src/node/crypto/wasm/instance.ts';
import { loadWasm } from '../../../../src/node/crypto/wasm.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';

const ROOT = resolve(import.meta.dirname, '../../../..');
const crypto = loadWasm();
const inside = crypto.allocate!(1 << 16);
const random = new SeededRandom(20_261_121);
const bytes = (length: number): Uint8Array => random.bytes(length);
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('the AEAD on WebAssembly', () => {
  it.each([
    ['in its own memory', inside],
    ['elsewhere', new Uint8Array(inside.length)],
  ])('seals and opens packets of 0 to 4,100 bytes at any offset as the reference does, %s', (_, slab) => {
    const key = bytes(32);
    const [ours, reference] = [crypto.aeadKey(key), nobleCrypto.aeadKey(key)];
    for (let length = 0; length <= 4_100; length++) {
      const offset = 64 + (length % 37);
      const end = offset + length + TAG_LENGTH;
      const before = bytes(end + 64);
      const expected = before.slice();
      reference.seal(expected, offset, length, length, 1);
      slab.set(before);
      ours.seal(slab, offset, length, length, 1);
      if (!same(slab.subarray(0, before.length), expected)) expect.unreachable(`sealed ${length} bytes otherwise`);
      const opened = ours.open(slab, offset, length + TAG_LENGTH, length, 1);
      if (!opened || !same(slab.subarray(0, end - TAG_LENGTH), before.subarray(0, end - TAG_LENGTH)))
        expect.unreachable(`did not open ${length} bytes`);
      if (!same(slab.subarray(end, before.length), before.subarray(end)))
        expect.unreachable(`wrote behind ${length} bytes`);
    }
  });

  it.each([0, 1, 15, 16, 64, 192, 193, 447, 448, 449, 1424])(
    'refuses a packet of %i bytes with any byte of text, tag or associated data changed (RFC 8439 §2.8)',
    (length) => {
      const key = crypto.aeadKey(bytes(32));
      const data = bytes(48);
      const sealed = bytes(length + TAG_LENGTH);
      key.seal(sealed, 0, length, 9, 8, data);
      const open = (packet: Uint8Array, ad: Uint8Array): boolean => {
        inside.set(packet, 128);
        return key.open(inside, 128, packet.length, 9, 8, ad);
      };
      expect(open(sealed, data)).toBe(true);
      for (let at = 0; at < sealed.length; at++) {
        const forged = sealed.slice();
        forged[at]! ^= 1 << (at & 7);
        if (open(forged, data)) expect.unreachable(`took byte ${at} changed`);
      }
      for (let at = 0; at < data.length; at++) {
        const forged = data.slice();
        forged[at]! ^= 1 << (at & 7);
        if (open(sealed, forged)) expect.unreachable(`took byte ${at} of the associated data changed`);
      }
      for (const wrong of [data.subarray(1), data.subarray(0, 47), new Uint8Array(0)])
        expect(open(sealed, wrong)).toBe(false);
    },
  );

  it('takes any turn of keys, places, lengths and associated data', () => {
    const secrets = [1, 2, 3].map(() => bytes(32));
    const pairs = secrets.map((secret) => ({ ours: crypto.aeadKey(secret), reference: nobleCrypto.aeadKey(secret) }));
    const outside = new Uint8Array(8192);
    const packet = fc.record({
      key: fc.nat({ max: 2 }),
      slab: fc.constantFrom(inside, inside.subarray(1024), outside, outside.subarray(3)),
      offset: fc.nat({ max: 100 }),
      text: fc.uint8Array({ maxLength: 1500 }),
      data: fc.option(fc.uint8Array({ maxLength: 80 }), { nil: undefined }),
      low: fc.nat({ max: 0xffff_ffff }),
      high: fc.nat({ max: 0xffff_ffff }),
    });
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 6 }), (packets) => {
        for (const { key, slab, offset, text, data, low, high } of packets) {
          const { ours, reference } = pairs[key]!;
          const expected = new Uint8Array(text.length + TAG_LENGTH);
          expected.set(text);
          reference.seal(expected, 0, text.length, low, high, data);
          slab.set(text, offset);
          ours.seal(slab, offset, text.length, low, high, data);
          const sealed = slab.subarray(offset, offset + expected.length);
          expect(same(sealed, expected)).toBe(true);
          expect(ours.open(slab, offset, expected.length, low, high, data)).toBe(true);
          expect(same(sealed.subarray(0, text.length), text)).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('refuses what does not fit, and a packet larger than any datagram, before a byte is written', () => {
    const key = crypto.aeadKey(bytes(32));
    const piece = crypto.allocate!(64);
    const before = inside.slice();
    expect(() => key.seal(piece, 0, 49, 0, 0)).toThrow(RangeError);
    expect(() => key.seal(piece, -16, 16, 0, 0)).toThrow(RangeError);
    expect(() => key.open(piece, 32, 33, 0, 0)).toThrow(RangeError);
    expect(() => key.seal(new Uint8Array(1 << 18), 0, 1 << 17, 0, 0)).toThrow('"buffer" expected a datagram');
    expect(same(inside, before)).toBe(true);
    crypto.release!(piece);
  });

  it('leaves neither a wiped key nor the key stream of its last packet in the module’s part of the memory', () => {
    const secret = bytes(32);
    const key = crypto.aeadKey(secret);
    const stream = new Uint8Array(64 + TAG_LENGTH);
    key.seal(stream, 0, 64, 3, 0);
    const memory = Buffer.from(inside.buffer, 0, instantiate().FREE.value);
    const found = (): boolean[] =>
      [secret, secret.subarray(16), stream.subarray(0, 16)].map((part) => memory.includes(Buffer.from(part)));
    expect(found()).toEqual([true, true, true]);
    key.wipe();
    expect(found()).toEqual([false, false, false]);
  });

  it.each(['seal', 'open'] as const)(
    'seals and opens on with one key after another, last used to %s, was wiped',
    (use) => {
      const [left, right] = [bytes(32), bytes(32)];
      const [ours, other] = [crypto.aeadKey(left), crypto.aeadKey(right)];
      const memory = Buffer.from(inside.buffer, 0, instantiate().FREE.value);
      const lie = (): boolean[] => [left, right].map((secret) => memory.includes(Buffer.from(secret)));
      const sealed = new Uint8Array(64 + TAG_LENGTH);
      nobleCrypto.aeadKey(left).seal(sealed, 0, 64, 5, 0);
      const agree = (): void => {
        const packet = new Uint8Array(sealed.length);
        ours.seal(packet, 0, 64, 5, 0);
        expect(same(packet, sealed)).toBe(true);
        expect(ours.open(packet, 0, packet.length, 5, 0)).toBe(true);
      };
      agree();
      other[use](new Uint8Array(TAG_LENGTH), 0, use === 'seal' ? 0 : TAG_LENGTH, 1, 0);
      expect(lie()).toEqual([true, true]);
      other.wipe();
      expect(lie()).toEqual([false, false]);
      agree();
    },
  );

  it('is built from the sources beside it: a build gives the same bytes', { timeout: 180_000 }, () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/wasm.mjs', '--check'], { cwd: ROOT });
    expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
  });
});

describe('without WebAssembly SIMD', () => {
  beforeEach(() => {
    vi.stubEnv('SLUICE_CRYPTO', '');
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    vi.unstubAllGlobals();
    vi.resetModules();
  });

  const select = async (): Promise<{ name: string; skipped: unknown[] }> => {
    vi.resetModules();
    const { selectCrypto } = await import('../../../../src/node/crypto/select.ts');
    const skipped: unknown[] = [];
    const { name } = await selectCrypto({ onSkipped: (one) => skipped.push(one) });
    return { name, skipped };
  };

  it('takes the next backend where there is no WebAssembly at all, as under --jitless', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    const { name, skipped } = await select();
    expect(name).not.toBe('wasm');
    expect(skipped[0]).toMatchObject({ name: 'wasm', reason: 'absent' });
  });

  it('takes the next backend where the processor or the engine refuses the module or its memory', async () => {
    class Refusing {
      constructor() {
        throw new Error('Wasm SIMD unsupported');
      }
    }
    vi.stubGlobal('WebAssembly', { Module: Refusing });
    const { name, skipped } = await select();
    expect(name).not.toBe('wasm');
    expect(skipped[0]).toEqual({ name: 'wasm', reason: 'absent', message: 'Wasm SIMD unsupported' });
  });
});
