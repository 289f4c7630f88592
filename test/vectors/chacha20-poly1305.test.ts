import { expect, it } from 'vitest';
import { concat, fromHex, toHex } from '../../src/core/base/bytes.ts';
import { type AeadVectors, casesOf } from '../support/aead-vectors.ts';
import { backends, setNonce } from '../support/crypto-backends.ts';
import { describeVectors } from '../support/vectors.ts';

describeVectors<AeadVectors>('ChaCha20-Poly1305, Wycheproof', 'chacha20_poly1305_test.json', (vectors) => {
  const cases = casesOf(vectors, 96);

  it.each(backends.map((crypto) => ({ name: crypto.name, crypto })))(
    '$name opens and reseals 256 valid cases and refuses 60 forged ones (RFC 8439 §2.8)',
    ({ crypto }) => {
      const results = { valid: 0, invalid: 0 };
      for (const { tcId, comment, key: keyText, iv, aad, msg, ct, tag, result } of cases) {
        const key = crypto.aeadKey(fromHex(keyText));
        const [low, high] = setNonce(key, fromHex(iv));
        const packet = concat(new Uint8Array(5), fromHex(ct), fromHex(tag));
        const opened = key.open(packet, 5, packet.length - 5, low, high, fromHex(aad));
        expect(opened, `${tcId} ${comment}`).toBe(result === 'valid');
        results[result]++;
        if (!opened) continue;
        const length = msg.length / 2;
        expect(toHex(packet.subarray(5, 5 + length)), `${tcId}`).toBe(msg);
        key.seal(packet, 5, length, low, high, fromHex(aad));
        expect(toHex(packet.subarray(5)), `${tcId}`).toBe(ct + tag);
      }
      expect(results).toEqual({ valid: 256, invalid: 60 });
    },
  );
});
