import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KEYS } from '../../src/core/tunnel/config/lines.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('docs/reference', () => {
  it('is what scripts/reference.mjs makes of the sources', () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/reference.mjs', '--check'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it.each(Object.values(KEYS).flatMap((keys) => Object.keys(keys)))('explains the key %s of a .conf', (key) => {
    expect(readFileSync(join(ROOT, 'docs/reference/wireguard-conf.md'), 'utf8')).toContain(`\`${key}\``);
  });
});
