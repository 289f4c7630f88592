import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { backends } from '../support/crypto-backends.ts';
import { describeVectors } from '../support/vectors.ts';

interface Case {
  readonly in: string;
  readonly key: string;
  readonly out: string;
}

describeVectors<readonly Case[]>('BLAKE2s, known answers of its authors', 'blake2s-kat.json', (cases) => {
  it.each(backends.map((crypto) => ({ name: crypto.name, crypto })))(
    '$name agrees on 256 unkeyed and 256 keyed hashes of 32 bytes (RFC 7693)',
    ({ crypto }) => {
      expect(cases.filter(({ key }) => key === '')).toHaveLength(256);
      expect(cases.filter(({ key }) => key !== '')).toHaveLength(256);
      for (const { in: input, key, out } of cases)
        expect(toHex(crypto.blake2s(fromHex(input), 32, key === '' ? undefined : fromHex(key))), input).toBe(out);
    },
  );
});
