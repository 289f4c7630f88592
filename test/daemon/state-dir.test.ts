import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseListen } from '../../src/api/listen.ts';
import { readAddress, removeAddress, writeAddress } from '../../src/daemon/address-file.ts';
import { openApiKey, readApiKey } from '../../src/daemon/api-key.ts';
import { makeStateDir, stateDirOf } from '../../src/daemon/state-dir.ts';
import { stateDirError } from '../../src/node/state-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-state-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('the state folder', () => {
  it('is SLUICE_TUNNEL_STATE_DIR, else below XDG_STATE_HOME, else below the home folder', () => {
    expect(stateDirOf({ SLUICE_TUNNEL_STATE_DIR: '/a', XDG_STATE_HOME: '/b' })).toBe('/a');
    expect(stateDirOf({ XDG_STATE_HOME: '/b' })).toBe('/b/sluice');
    expect(stateDirOf({})).toMatch(/\/\.local\/state\/sluice$/);
  });

  it('is made for its owner only', async () => {
    const path = join(folder, 'a', 'b');
    makeStateDir(path);
    makeStateDir(path);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  });

  it('is refused with one sentence if a file stands in its place', async () => {
    const path = join(folder, 'file');
    await writeFile(path, '');
    const refused = expect.objectContaining({
      code: 'ERR_STATE_DIR',
      message: expect.stringMatching(/cannot be made: it is a file, not a folder\.$/),
    });
    expect(() => makeStateDir(path)).toThrow(refused);
    expect(() => makeStateDir(join(path, 'below'))).toThrow(refused);
  });

  it.each([
    ['ENOSPC', 'the disk is full', 'Free some space'],
    ['EDQUOT', 'the disk is full', 'Free some space'],
    ['EROFS', 'the file system is read-only', 'writable'],
    ['EACCES', 'this user may not write there', 'writable'],
    ['EWHATEVER', 'something else', 'writable'],
  ])('says what is wrong with it: %s', (code, why, hint) => {
    const error = stateDirError(
      'The state folder /s cannot be written',
      Object.assign(new Error('something else'), { code }),
    );
    expect(error.message).toBe(`The state folder /s cannot be written: ${why}.`);
    expect(error.hint).toContain(hint);
  });
});

describe('the API key', () => {
  it('is made once, for its owner only, and nothing is left beside it', async () => {
    const first = await openApiKey(folder);
    expect(first.text).toMatch(/^[\w-]{43}$/);
    expect((await stat(join(folder, 'api-key'))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(folder, 'api-key'), 'utf8')).toBe(`${first.text}\n`);
    expect(await openApiKey(folder)).toEqual({ ...first, wasExposed: false });
    expect(await readApiKey(folder)).toBe(first.text);
    expect(await readdir(folder)).toEqual(['api-key']);
  });

  it('is another one for each state folder', async () => {
    await mkdir(join(folder, 'b'));
    expect((await openApiKey(folder)).text).not.toBe((await openApiKey(join(folder, 'b'))).text);
  });

  it('is hidden again if others could read it, and that is told', async () => {
    await openApiKey(folder);
    await chmod(join(folder, 'api-key'), 0o644);
    expect((await openApiKey(folder)).wasExposed).toBe(true);
    expect((await stat(join(folder, 'api-key'))).mode & 0o777).toBe(0o600);
  });

  it('may be one of a person’s own', async () => {
    await writeFile(join(folder, 'api-key'), 'correct-horse-battery-staple\n');
    expect((await openApiKey(folder)).text).toBe('correct-horse-battery-staple');
  });

  it.each([
    '',
    'short',
    'with space in the middle',
    `${'x'.repeat(300)}`,
    'with\nline-ends-in-the-middle',
    'käse-käse-käse-käse',
  ])('is refused if the file holds %j: nobody could send that, or anybody guess it', async (text) => {
    await writeFile(join(folder, 'api-key'), text);
    await expect(openApiKey(folder)).rejects.toMatchObject({ code: 'ERR_API_KEY' });
  });

  it('is none where no daemon ever ran', async () => {
    expect(await readApiKey(join(folder, 'nowhere'))).toBeUndefined();
  });
});

describe('the address for the command line', () => {
  it('is there while the daemon runs, and not taken away by another one', async () => {
    const address = parseListen('[::1]:8787')!;
    expect(await readAddress(folder)).toBeUndefined();
    writeAddress(folder, address);
    expect(await readAddress(folder)).toEqual(address);
    await removeAddress(folder, parseListen('[::1]:8788')!);
    expect(await readAddress(folder)).toEqual(address);
    await removeAddress(folder, address);
    expect(await readAddress(folder)).toBeUndefined();
  });
});
