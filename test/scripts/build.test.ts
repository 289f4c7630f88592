import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-build-'));
  mkdirSync(join(root, 'scripts'));
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.base.json', 'scripts/build.mjs'])
    cpSync(join(ROOT, name), join(root, name));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  write('src/index.ts', 'export const answer = 42;\n');
  write('src/cli/main.ts', '#!/usr/bin/env node\nexport {};\n');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, text: string): void => writeFileSync(join(root, name), text);
const built = (name: string): string => readFileSync(join(root, 'dist', name), 'utf8');
const build = (...args: string[]): { status: number | null; output: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/build.mjs', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
};

describe('scripts/build.mjs', () => {
  it('compiles to dist/ and makes the command executable', () => {
    expect(build()).toMatchObject({ status: 0, output: expect.stringContaining('dist/ is ready') });
    expect(built('index.js')).toContain('answer = 42');
    expect(existsSync(join(root, 'dist/index.d.ts'))).toBe(true);
    expect(statSync(join(root, 'dist/cli/main.js')).mode & 0o111).toBe(0o111);
  });

  it('with --if-stale says and does nothing while dist/ is newer than its sources', () => {
    expect(build('--if-stale').output).toContain('dist/ is ready');
    expect(build('--if-stale')).toEqual({ status: 0, output: '' });
    write('src/index.ts', 'export const answer = 43;\n');
    expect(build('--if-stale').output).toContain('dist/ is ready');
    expect(built('index.js')).toContain('answer = 43');
  });

  it('notices a removed source, and leaves nothing of it in dist/', () => {
    write('src/extra.ts', 'export {};\n');
    build();
    expect(existsSync(join(root, 'dist/extra.js'))).toBe(true);
    rmSync(join(root, 'src/extra.ts'));
    expect(build('--if-stale').status).toBe(0);
    expect(existsSync(join(root, 'dist/extra.js'))).toBe(false);
  });

  it('fails on a type error, keeps the dist/ before it, and stays stale', () => {
    build();
    write('src/index.ts', 'export const answer: string = 42;\n');
    expect(build('--if-stale')).toMatchObject({ status: 1, output: expect.stringContaining('TS2322') });
    expect(built('index.js')).toContain('answer = 42');
    expect(build('--if-stale').status).toBe(1);
  });

  it('makes one file of the worker and what of ours it imports, and leaves packages outside', () => {
    cpSync(join(ROOT, 'scripts/bundle-worker.mjs'), join(root, 'scripts/bundle-worker.mjs'));
    mkdirSync(join(root, 'src/node/worker'), { recursive: true });
    write('src/node/part.ts', "export const part = 'a part of ours';\n");
    write(
      'src/node/worker/main.ts',
      "import { blake2s } from '@noble/hashes/blake2.js';\nimport { part } from '../part.ts';\nconsole.log(part, blake2s);\n",
    );
    expect(build().status).toBe(0);
    const worker = built('node/worker/main.js');
    expect(worker).toContain('a part of ours');
    expect(worker.match(/from "[^"]+"/g)).toEqual(['from "@noble/hashes/blake2.js"']);
    expect(built('node/part.js')).toContain('a part of ours');
    write('src/node/part.ts', "// @ts-ignore\nimport './nowhere.js';\nexport const part = 'another';\n");
    expect(build('--if-stale')).toMatchObject({
      status: 1,
      output: expect.stringContaining('the worker’s bundle failed'),
    });
    expect(built('node/part.js')).toContain('a part of ours');
  });

  it('runs the bundler if there is one, and stays stale if it fails', () => {
    write('scripts/bundle-webtorrent.mjs', 'console.log("bundled"); process.exit(0);\n');
    expect(build().output).toContain('bundled');
    write('scripts/bundle-webtorrent.mjs', 'process.exit(3);\n');
    expect(build('--if-stale')).toMatchObject({
      status: 1,
      output: expect.stringContaining('the WebTorrent bundle failed'),
    });
    expect(build('--if-stale').status).toBe(1);
  });
});
