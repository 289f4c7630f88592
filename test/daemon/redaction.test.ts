import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Redactor } from '../../src/daemon/redaction.ts';

const formsOf = (key: Buffer): string[] => [
  key.toString('base64'),
  key.toString('base64').slice(0, -1),
  key.toString('base64url'),
  key.toString('hex'),
  key.toString('hex').toUpperCase(),
];

/** Keys that begin or end with what is no letter (G17). */
const KEYS = [
  Buffer.from([0xfb, ...randomBytes(31)]),
  Buffer.from([0xff, ...randomBytes(31)]),
  Buffer.concat([randomBytes(30), Buffer.from([0xfb, 0xef])]),
  Buffer.concat([randomBytes(30), Buffer.from([0xff, 0xff])]),
  ...Array.from({ length: 64 }, () => randomBytes(32)),
];

const AROUND: readonly ((key: string) => string)[] = [
  (key) => key,
  (key) => `PrivateKey = ${key}`,
  (key) => `PrivateKey=${key};`,
  (key) => JSON.stringify({ message: 'a key', privateKey: key }),
  (key) => JSON.stringify({ error: { stack: `Error: bad key ${key}\n    at x` } }),
  (key) => `"${key}" (${key})`,
];

describe('redaction', () => {
  it('starts from keys that begin with + and with / (the case that others miss, F28, G17)', () => {
    expect(KEYS[0]!.toString('base64')).toMatch(/^\+/);
    expect(KEYS[1]!.toString('base64')).toMatch(/^\//);
  });

  it('removes every form of a key that it knows, wherever it stands', () => {
    for (const key of KEYS) {
      const redactor = new Redactor();
      redactor.add(key);
      for (const form of formsOf(key))
        for (const text of [...AROUND, (given: string) => `x${given}y`, (given: string) => `/${given}/`].map((around) =>
          around(form),
        ))
          expect(redactor.clean(text)).not.toContain(form);
    }
  });

  it('removes keys that it does not know by their shape', () => {
    const redactor = new Redactor();
    for (const key of KEYS)
      for (const form of formsOf(key))
        for (const around of AROUND) expect(redactor.clean(around(form))).not.toContain(form.replace(/=$/, ''));
  });

  it('removes texts that it was told, such as an API key of a person’s own', () => {
    const redactor = new Redactor();
    redactor.add('correct-horse-battery');
    expect(redactor.clean('X-Api-Key: correct-horse-battery')).toBe('X-Api-Key: (key removed)');
  });

  it('leaves alone what is no key', () => {
    const text =
      '{"message":"Tunnel up","endpoint":"198.51.100.2:51820","infoHash":"da39a3ee5e6b4b0d3255bfef95601890afd80709","path":"/home/somebody/.local/state/sluice/api-key"}';
    expect(new Redactor().clean(text)).toBe(text);
  });
});
