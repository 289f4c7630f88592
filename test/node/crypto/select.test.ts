import { afterEach, describe, expect, it, vi } from 'vitest';
import type { AeadKey, Crypto } from '../../../src/core/base/crypto.ts';
import { nobleCrypto } from '../../../src/node/crypto/noble.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { type SkippedCrypto, selectCrypto, selectFrom } from '../../../src/node/crypto/select.ts';
import { selfTest } from '../../../src/node/crypto/self-test.ts';
import { backends } from '../../support/crypto-backends.ts';

const withKey = (change: (key: AeadKey) => Partial<AeadKey>): Crypto => ({
  ...nobleCrypto,
  name: 'broken',
  aeadKey(bytes) {
    const key = nobleCrypto.aeadKey(bytes);
    const { seal, open, wipe } = {
      seal: key.seal.bind(key),
      open: key.open.bind(key),
      wipe: key.wipe.bind(key),
      ...change(key),
    };
    return { seal, open, wipe };
  },
});

const broken: Record<string, Crypto> = {
  'accepts every tag': withKey((key) => ({
    open: (...args) => {
      key.open(...args);
      return true;
    },
  })),
  'ignores the associated data': withKey((key) => ({
    seal: (b, o, l, low, high) => key.seal(b, o, l, low, high),
    open: (b, o, l, low, high) => key.open(b, o, l, low, high),
  })),
  'ignores the high counter word': withKey((key) => ({
    seal: (b, o, l, low, _, ad) => key.seal(b, o, l, low, 0, ad),
    open: (b, o, l, low, _, ad) => key.open(b, o, l, low, 0, ad),
  })),
  'goes wrong at one length only': withKey((key) => ({
    seal(b, o, l, low, high, ad) {
      key.seal(b, o, l, low, high, ad);
      if (l === 193) b[o + l]! ^= 1;
    },
  })),
  'accepts a zero X25519 result': {
    ...nobleCrypto,
    keyPair: (bytes) => {
      const pair = nobleCrypto.keyPair(bytes);
      return { publicKey: pair.publicKey, dh: (peer) => pair.dh(peer) ?? new Uint8Array(32), wipe: () => pair.wipe() };
    },
  },
  'accepts any cookie': { ...nobleCrypto, xaeadOpen: () => new Uint8Array(114) },
  'truncates a longer BLAKE2s': {
    ...nobleCrypto,
    blake2s: (input, length, key) => nobleCrypto.blake2s(input, 32, key).slice(0, length),
  },
  throws: {
    ...nobleCrypto,
    aeadKey: () => {
      throw new Error('no such cipher');
    },
  },
};

const absent = (): never => {
  throw new Error('Cannot find package\nRequire stack');
};

afterEach(() => vi.unstubAllEnvs());

describe('crypto self-test', () => {
  it.each(backends.map((crypto) => ({ name: crypto.name, crypto })))('passes $name', ({ crypto }) => {
    expect(selfTest(crypto)).toBeUndefined();
  });

  it.each(Object.entries(broken))('refuses a backend that %s', (_, crypto) => {
    expect(selfTest(crypto)).toBeTypeOf('string');
  });
});

describe('crypto selection', () => {
  it('takes the first in order of speed: wasm, node, noble', async () => {
    vi.stubEnv('SLUICE_CRYPTO', '');
    const fake = { ...nobleCrypto, name: 'wasm' };
    const loaders = { wasm: () => fake, node: () => nodeCrypto, noble: () => nobleCrypto };
    expect(await selectFrom(loaders, {})).toBe(fake);
    expect((await selectFrom({ ...loaders, wasm: absent }, {})).name).toBe('node');
    expect((await selectCrypto()).name).toBe('wasm');
  });

  it('passes over an absent backend and one that fails its self-test, and reports both', async () => {
    const skipped: SkippedCrypto[] = [];
    const loaders = {
      wasm: absent,
      node: () => broken['accepts every tag']!,
      noble: () => nobleCrypto,
    };
    const crypto = await selectFrom(loaders, { onSkipped: (one) => skipped.push(one) });
    expect(crypto.name).toBe('noble');
    expect(skipped).toEqual([
      { name: 'wasm', reason: 'absent', message: 'Cannot find package' },
      { name: 'node', reason: 'self-test-failed', message: expect.stringContaining('forged') },
    ]);
  });

  it('takes the backend that is asked for by option, or else by SLUICE_CRYPTO', async () => {
    vi.stubEnv('SLUICE_CRYPTO', 'noble');
    expect((await selectCrypto()).name).toBe('noble');
    expect((await selectCrypto({ prefer: 'node' })).name).toBe('node');
  });

  it('fails rather than take another than the one asked for', async () => {
    const loaders = { wasm: absent, node: () => nodeCrypto, noble: () => nobleCrypto };
    await expect(selectFrom(loaders, { prefer: 'wasm' })).rejects.toMatchObject({ code: 'ERR_CRYPTO_SELF_TEST' });
    await expect(selectFrom(loaders, {}, 'wasm')).rejects.toMatchObject({ code: 'ERR_CRYPTO_SELF_TEST' });
  });

  it('names an unknown backend', async () => {
    await expect(selectFrom({} as never, {}, 'rot13')).rejects.toMatchObject({ code: 'ERR_CONFIG_VALUE' });
    await expect(selectCrypto({ prefer: 'rot13' as never })).rejects.toThrow(RangeError);
  });
});
