import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { libc } from '../../support/fast-udp.ts';

const PROGRAM = join(import.meta.dirname, 'descriptor-program.mjs');
/** Twelve rounds of three bursts of sixty from each of two ports. */
const ALL = 12 * 3 * 60 * 2;

function run(execArgv: readonly string[], ...argv: readonly string[]): unknown {
  const { stdout, stderr, signal } = spawnSync(process.execPath, [...execArgv, PROGRAM, ...argv], { encoding: 'utf8' });
  if (!stdout.startsWith('{')) throw new Error(`${signal ?? 'ended'}: ${stderr}`);
  return JSON.parse(stdout);
}

describe.skipIf(!libc)('The fast UDP ports in a process of their own', () => {
  it('lose nothing and do not crash while the garbage collector runs between system calls', () => {
    expect(run(['--expose-gc'])).toEqual({ received: ALL, refused: false });
  });

  it('work under a filter that forbids recvmmsg and sendmmsg (seccomp(2))', () => {
    expect(run([], 'forbid')).toEqual({ received: ALL, refused: true });
  });
});
