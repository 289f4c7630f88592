import { describe, expect, it } from 'vitest';
import { fromBase64 } from '../../src/core/base/bytes.ts';
import { sluice } from './support.ts';

/** RFC 7748 §6.1, Alice: private and public key. */
const ALICE = ['dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=', 'hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo='] as const;

describe('genkey, genpsk and pubkey', () => {
  it('make a clamped private key, another one each time (RFC 7748 §5)', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, async () => (await sluice(['genkey'])).out));
    expect(new Set(keys).size).toBe(20);
    for (const text of keys) {
      const key = fromBase64(text.trimEnd())!;
      expect(key).toHaveLength(32);
      expect([key[0]! & 7, key[31]! & 0xc0]).toEqual([0, 0x40]);
    }
  });

  it('make a preshared key of 32 bytes', async () => {
    const { code, out } = await sluice(['genpsk']);
    expect(code).toBe(0);
    expect(fromBase64(out.trimEnd())).toHaveLength(32);
  });

  it('derive a public key as RFC 7748 §6.1 does, whatever whitespace surrounds the private one', async () => {
    expect(await sluice(['pubkey'], { stdin: ` ${ALICE[0]}\r\n` })).toEqual({ code: 0, out: `${ALICE[1]}\n`, err: '' });
  });

  it.each(['', 'not a key', ALICE[0].slice(0, 40), `${'A'.repeat(43)}=`])(
    'refuse %j without repeating it',
    async (stdin) => {
      const { code, out, err } = await sluice(['pubkey'], { stdin });
      expect([code, out]).toEqual([3, '']);
      expect(err).toContain('error: standard input:1: PrivateKey');
      expect(err).not.toContain(ALICE[0].slice(0, 12));
    },
  );

  it('tell a person what to paste, on standard error', async () => {
    const { out, err } = await sluice(['pubkey'], { stdin: ALICE[0], tty: true });
    expect(out).toBe(`${ALICE[1]}\n`);
    expect(err).toContain('Ctrl-D');
  });
});
