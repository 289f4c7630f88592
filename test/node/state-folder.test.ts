import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStateFolder, type StateFolder } from '../../src/node/state-folder.ts';

const KEY = new Uint8Array(32).fill(3);
const OTHER_KEY = new Uint8Array(32).fill(4);

let root: string;
const opened: StateFolder[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-state-'));
});
afterEach(() => {
  for (const folder of opened.splice(0)) folder.close();
  rmSync(root, { recursive: true, force: true });
});

const open = async (key = KEY, dir = root): Promise<StateFolder> => {
  const folder = await openStateFolder(key, dir);
  opened.push(folder);
  return folder;
};

describe('the state folder', () => {
  it('gives back what was written before a restart, and nothing for what never was', async () => {
    const before = await open();
    before.write('guard', 'one');
    before.write('guard', 'two');
    before.close();
    const after = await open();
    expect(after.read('guard')).toBe('two');
    expect(after.read('exits')).toBeUndefined();
    expect(after.problem).toBeUndefined();
  });

  it('keeps identities apart, and shows neither key nor content to other users', async () => {
    (await open()).write('paused', 'mine');
    expect((await open(OTHER_KEY)).read('paused')).toBeUndefined();
    const names = readdirSync(root).filter((name) => name.startsWith('paused'));
    expect(names).toHaveLength(1);
    expect(names[0]).not.toContain('0303');
    expect(statSync(join(root, names[0]!)).mode & 0o777).toBe(0o600);
    expect(statSync(root).mode & 0o077).toBe(0);
  });

  it('leaves no temporary file behind, whether a write succeeds or fails', async () => {
    const folder = await open();
    folder.write('exits', 'text');
    // A folder of that name cannot be replaced by a file: it stands for a disk that takes no more.
    const taken = readdirSync(root)
      .find((name) => name.startsWith('exits'))!
      .replace('exits', 'guard');
    mkdirSync(join(root, taken));
    folder.write('guard', 'leak');
    expect(folder.problem).toMatchObject({ code: 'ERR_STATE_DIR', message: expect.stringContaining(root) });
    expect(readdirSync(root).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('knows what the disk did not take, and writes it with the next write that succeeds', async () => {
    const folder = await open();
    folder.write('exits', 'text');
    const taken = join(
      root,
      readdirSync(root)
        .find((name) => name.startsWith('exits'))!
        .replace('exits', 'guard'),
    );
    mkdirSync(taken);
    folder.write('guard', 'leak');
    expect(folder.read('guard')).toBe('leak');
    rmSync(taken, { recursive: true });
    folder.write('exits', 'more');
    expect(folder.problem).toBeUndefined();
    expect(readFileSync(taken, 'utf8')).toBe('leak');
  });

  it('takes what cannot be read for something, not for nothing', async () => {
    const folder = await open();
    folder.write('guard', 'text');
    const path = join(root, readdirSync(root).find((name) => name.startsWith('guard'))!);
    rmSync(path);
    mkdirSync(path);
    expect(folder.read('guard')).toBe('');
  });

  it('says why it cannot be used', async () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    await expect(openStateFolder(KEY, file)).rejects.toMatchObject({
      code: 'ERR_STATE_DIR',
      message: `The state folder ${file} cannot be used: it is a file, not a folder.`,
    });
  });

  it('is not needed: without one everything is kept in memory', async () => {
    const folder = await openStateFolder(KEY);
    folder.write('guard', 'text');
    expect(folder.read('guard')).toBe('text');
    expect((await openStateFolder(KEY)).read('guard')).toBeUndefined();
  });
});

describe('the lock of a state folder', () => {
  it('refuses a second holder of the same key, and lets another key in', async () => {
    await open();
    await expect(openStateFolder(KEY, root)).rejects.toMatchObject({ code: 'ERR_STATE_LOCKED' });
    await open(OTHER_KEY);
  });

  it('is free again once its owner was killed', async () => {
    const first = await open();
    const path = join(root, readdirSync(root).find((name) => name.startsWith('lock'))!);
    first.close();
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('locked'))`;
    const owner = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => owner.stdout.once('data', resolve));
    await expect(openStateFolder(KEY, root)).rejects.toMatchObject({ code: 'ERR_STATE_LOCKED' });
    const exited = new Promise((resolve) => owner.once('exit', resolve));
    owner.kill('SIGKILL');
    await exited;
    await open();
  });

  it('holds in folders whose path is too long for a socket', async () => {
    const deep = join(root, 'x'.repeat(60), 'y'.repeat(60));
    await open(KEY, deep);
    await expect(openStateFolder(KEY, deep)).rejects.toMatchObject({ code: 'ERR_STATE_LOCKED' });
  });
});
