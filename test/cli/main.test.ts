import { execFileSync, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../src/core/base/version.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const built = existsSync(MAIN);
if (!built) console.warn('skipped: the binary itself, which is not built (npm run build)');

/** Runs the built binary until it ends; `signalAt` sends SIGINT when that text was printed. */
async function main(argv: readonly string[], { stdin = '', signalAt = '\0' } = {}) {
  const child = spawn(process.execPath, [MAIN, ...argv]);
  child.stdin.end(stdin);
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      const before = printed.includes(signalAt);
      printed += chunk;
      if (!before && printed.includes(signalAt)) child.kill('SIGINT');
    });
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.on('close', resolve)),
  ]);
  return { code, out, err };
}

describe.skipIf(!built)('the sluice binary', () => {
  it('can be executed, and ends with the exit code of the command', async () => {
    expect(statSync(MAIN).mode & 0o111).toBe(0o111);
    expect(await main(['--version'])).toEqual({ code: 0, out: `sluice ${VERSION}\n`, err: '' });
    expect((await main(['gte'])).code).toBe(2);
    expect((await main(['get', 'magnet:?'])).code).toBe(1);
  });

  it('passes keys through pipes', async () => {
    const { out } = await main(['genkey']);
    expect((await main(['pubkey'], { stdin: out })).out).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
  });

  it('does not mind a pipe that closes early', () => {
    const command = `"${process.execPath}" "${MAIN}" completion bash | head -1; echo "\${PIPESTATUS[0]}"`;
    expect(execFileSync('bash', ['-c', command], { encoding: 'utf8' })).toBe('# bash completion for sluice\n0\n');
  });

  it('ends in good order at Ctrl-C: a running sandbox with 0, an unfinished demo with 130', async () => {
    expect(await main(['sandbox'], { signalAt: 'Ctrl-C ends it' })).toMatchObject({ code: 0 });
    expect(await main(['demo', '--size', '64'], { signalAt: '5/9' })).toMatchObject({
      code: 130,
      err: expect.stringContaining('everything that the demo made is deleted'),
    });
  });
});
