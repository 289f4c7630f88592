/**
 * Compiles src/ to dist/, with one file of the engine's worker and one of WebTorrent. With `--if-stale` it does nothing, and says
 * nothing, while dist/ is newer than everything it is made from. A failed build leaves the dist/ before it in place.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { argv, execPath, exit, pid } from 'node:process';

const ROOT = resolve(import.meta.dirname, '..');
const DIST = join(ROOT, 'dist');
const FRESH = join(ROOT, `.tmp/build-${pid}`);
/** Its modification time is the moment at which the last complete build began. */
const STAMP = 'index.js';
const SOURCES = ['src', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.base.json'];

if (!argv.includes('--if-stale') || isStale()) build();

function isStale() {
  const stamp = modifiedAt(join(DIST, STAMP));
  return stamp === 0 || SOURCES.some((name) => newest(join(ROOT, name)) > stamp);
}

function build() {
  const startedAt = new Date();
  try {
    run('tsc', ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--outDir', FRESH]);
    utimesSync(join(FRESH, STAMP), 0, 0);
    if (existsSync(join(FRESH, 'node/worker/main.js')))
      run('the worker’s bundle', ['scripts/bundle-worker.mjs', FRESH]);
    const main = join(FRESH, 'cli/main.js');
    if (existsSync(main)) chmodSync(main, 0o755);
    rmSync(DIST, { recursive: true, force: true });
    renameSync(FRESH, DIST);
  } finally {
    rmSync(FRESH, { recursive: true, force: true });
  }
  const bundler = 'scripts/bundle-webtorrent.mjs';
  if (existsSync(join(ROOT, bundler))) run('the WebTorrent bundle', [bundler]);
  utimesSync(join(DIST, STAMP), startedAt, startedAt);
  console.log(`build: dist/ is ready, ${((Date.now() - startedAt.getTime()) / 1000).toFixed(1)} s`);
}

function run(what, args) {
  const { status, error } = spawnSync(execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`build: ${what} failed${error ? `: ${error.message}` : ''}`);
  rmSync(FRESH, { recursive: true, force: true });
  exit(1);
}

/** The latest change below `path`. Folders count too: their time changes when a file is removed. */
function newest(path) {
  const own = modifiedAt(path);
  if (own === 0 || !statSync(path).isDirectory()) return own;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), own);
}

function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
