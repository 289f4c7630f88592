import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { type AeadVectors, casesOf } from '../support/aead-vectors.ts';
import { backends } from '../support/crypto-backends.ts';
import { describeVectors } from '../support/vectors.ts';

describeVectors<AeadVectors>('XChaCha20-Poly1305, Wycheproof', 'xchacha20_poly1305_test.json', (vectors) => {
  const cases = casesOf(vectors, 192);

  it.each(backends.map((crypto) => ({ name: crypto.name, crypto })))(
    '$name opens and reseals 246 valid cases and refuses 60 forged ones (draft-irtf-cfrg-xchacha §2)',
    ({ crypto }) => {
      const results = { valid: 0, invalid: 0 };
      for (const { tcId, comment, key, iv, aad, msg, ct, tag, result } of cases) {
        const [k, n, ad] = [fromHex(key), fromHex(iv), fromHex(aad)];
        const opened = crypto.xaeadOpen(k, n, fromHex(ct + tag), ad);
        expect(opened && toHex(opened), `${tcId} ${comment}`).toBe(result === 'valid' ? msg : undefined);
        results[result]++;
        if (opened) expect(toHex(crypto.xaeadSeal(k, n, opened, ad)), `${tcId}`).toBe(ct + tag);
      }
      expect(results).toEqual({ valid: 246, invalid: 60 });
    },
  );
});
