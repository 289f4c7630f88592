/** `sluice up` with its state folder on a disk of a few kilobytes that is really full, or read-only: a tmpfs of its own, which needs root. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { replaceFile } from '../../src/node/state-folder.ts';
import { Sandbox } from '../../src/sandbox/index.ts';
import { Up } from '../cli/daemon-process.ts';
import { misfits } from '../support/status-schema.ts';

const PATIENCE = { timeout: 15_000 };

let provider: Sandbox;
let folder: string;
let stateDir: string;
let daemon: Up | undefined;

beforeEach(async () => {
  provider = await Sandbox.start();
  folder = mkdtempSync(join(tmpdir(), 'sluice-disk-'));
  stateDir = join(folder, 'state');
  mkdirSync(stateDir);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', stateDir]);
});
afterEach(async () => {
  daemon?.child.kill('SIGKILL');
  await daemon?.exit;
  daemon = undefined;
  execFileSync('umount', [stateDir]);
  rmSync(folder, { recursive: true });
  await provider.close();
});

const FILLER = 'filler';

/** Writes until the system refuses. */
function fill(): void {
  expect(() => writeFileSync(join(stateDir, FILLER), new Uint8Array(1 << 20))).toThrow(/ENOSPC/);
}

function start(env: Record<string, string> = {}): Up {
  const conf = join(folder, 'client.conf');
  writeFileSync(conf, provider.addClient({ ipv6: false }).conf, { mode: 0o600 });
  daemon = new Up({ stateDir, args: [conf], env });
  return daemon;
}

it('a disk that is full at the start is told in one sentence, with exit code 1', async () => {
  fill();
  const up = start();
  expect(await up.exit).toBe(1);
  expect(up.err).toMatch(
    /^error: The state folder \S+ cannot be written: the disk is full\.\n[\s\S]* next: Free some space[\s\S]*code: ERR_STATE_DIR\n$/,
  );
});

it('a folder that may only be read is told in one sentence, with exit code 1', async () => {
  execFileSync('mount', ['-o', 'remount,ro', stateDir]);
  const up = start();
  expect(await up.exit).toBe(1);
  expect(up.err).toMatch(
    /^error: The state folder \S+ cannot be written: the file system is read-only\.\n[\s\S]*code: ERR_STATE_DIR\n$/,
  );
});

it('a disk that fills up later stops nothing: a leak still engages, the status tells, and space makes it well again', async () => {
  const up = await start({ SLUICE_PROBE_URLS: provider.echoUrl, SLUICE_PROBE_EXPECTED: '203.0.113.10' }).running();
  const status = async () => {
    const { json } = await up.ask();
    expect(misfits(json)).toEqual([]);
    return json;
  };
  /** Probes while the exit lies, and again when it is right. */
  const leakAndHeal = async (): Promise<void> => {
    provider.exitEcho.lie = '198.51.100.77';
    await up.ask({ method: 'POST', path: '/api/v1/probe' });
    expect((await status()).killswitch).toMatchObject({ engaged: true, reasons: ['leak'] });
    provider.exitEcho.lie = undefined;
    await up.ask({ method: 'POST', path: '/api/v1/probe' });
  };
  await vi.waitFor(async () => expect((await status()).probe.verdict).toBe('ok'), PATIENCE);
  fill();
  await leakAndHeal();
  expect(await status()).toMatchObject({ state: 'connected', reason: { code: 'ERR_STATE_DIR' } });
  expect((await status()).reason.message).toContain('the disk is full');
  rmSync(join(stateDir, FILLER));
  await leakAndHeal();
  expect(await status()).toMatchObject({ state: 'connected', reason: null });
  up.signal('SIGTERM');
  expect(await up.exit).toBe(0);
});

it('a file that does not fit what room is left keeps its old text', () => {
  const path = join(stateDir, 'paused');
  replaceFile(path, 'old');
  writeFileSync(join(stateDir, FILLER), new Uint8Array(48 << 10));
  expect(() => replaceFile(path, 'new'.repeat(10_000))).toThrow(/ENOSPC/);
  expect(readFileSync(path, 'utf8')).toBe('old');
  expect(readdirSync(stateDir).sort()).toEqual([FILLER, 'paused']);
});
