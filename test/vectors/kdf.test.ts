import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { kdf1, kdf2, kdf3 } from '../../src/core/noise/kdf.ts';
import { nobleCrypto as crypto } from '../../src/node/crypto/noble.ts';
import { describeVectors } from '../support/vectors.ts';

interface KdfVectors {
  readonly vectors: readonly Record<'key' | 'input' | 't0' | 't1' | 't2', string>[];
}

describeVectors<KdfVectors>('key derivation vectors of wireguard-go', 'wireguard_kdf.json', ({ vectors }) => {
  it.each(vectors)('A2: is HKDF of HMAC-BLAKE2s for key "$key" (W§5.4)', ({ key, input, t0, t1, t2 }) => {
    const [k, i] = [fromHex(key), fromHex(input)];
    expect(toHex(kdf1(crypto, k, i))).toBe(t0);
    expect(kdf2(crypto, k, i).map(toHex)).toEqual([t0, t1]);
    expect(kdf3(crypto, k, i).map(toHex)).toEqual([t0, t1, t2]);
  });
});
