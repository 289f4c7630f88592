import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { backends } from '../support/crypto-backends.ts';
import { describeVectors } from '../support/vectors.ts';

interface Vectors {
  readonly testGroups: readonly { readonly tests: readonly Case[] }[];
}
interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

describeVectors<Vectors>('X25519, Wycheproof', 'x25519_test.json', ({ testGroups }) => {
  const cases = testGroups.flatMap(({ tests }) => tests);

  it.each(backends.map((crypto) => ({ name: crypto.name, crypto })))(
    '$name agrees on all 518, twist and non-canonical ones included, and refuses exactly the 31 zero results (RFC 7748 §6.1)',
    ({ crypto }) => {
      expect(cases).toHaveLength(518);
      const refused = cases.filter((vector) => {
        const shared = crypto.keyPair(fromHex(vector.private)).dh(fromHex(vector.public));
        const expected = /^0+$/.test(vector.shared) ? undefined : vector.shared;
        expect(shared && toHex(shared), `${vector.tcId} ${vector.comment}`).toBe(expected);
        return shared === undefined;
      });
      expect(refused).toHaveLength(31);
    },
  );
});
