import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUILTINS, bundleProcess, requireBuiltin } from '../../src/torrent/bundle-environment.ts';
import { webTorrentVersions } from '../../src/torrent/webtorrent.ts';
import { bundler, replacements, syntax } from './scripts.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DIST = join(ROOT, 'dist/torrent');
const MODULES = join(process.env['SLUICE_WEBTORRENT_DIR'] ?? ROOT, 'node_modules');

describe('the bundle that was built', () => {
  let code = '';

  beforeAll(() => {
    const path = join(DIST, 'webtorrent-bundle.js');
    if (!existsSync(path)) throw new Error(`${path} is not there: run \`npm run build\``);
    code = readFileSync(path, 'utf8');
  });

  it('asks for no module but those of the allow-list', () => {
    const asked = syntax.specifiers(code);
    expect(asked.filter((name) => !replacements.HARMLESS_BUILTINS.includes(name))).toEqual([]);
    expect(asked.length).toBeGreaterThan(5);
    expect(bundler.outputFaults(code)).toEqual([]);
  });

  it('has the same allow-list at run time as when it was built', () => {
    expect(Object.keys(BUILTINS).sort()).toEqual([...replacements.HARMLESS_BUILTINS].sort());
    const forbidden = builtinModules.filter((name) => !Object.hasOwn(BUILTINS, name));
    expect(forbidden).toEqual(
      expect.arrayContaining([
        'net',
        'dgram',
        'dns',
        'http',
        'https',
        'http2',
        'tls',
        'child_process',
        'worker_threads',
        'cluster',
        'inspector',
        'module',
      ]),
    );
    for (const name of forbidden) expect(() => requireBuiltin(name)).toThrow(/may not have/);
  });

  it('uses no global that reaches the network, and sees none', () => {
    const network = [
      'fetch',
      'WebSocket',
      'EventSource',
      'XMLHttpRequest',
      'Worker',
      'WebAssembly',
      'WebTransport',
      'RTCPeerConnection',
      'navigator',
    ];
    expect(syntax.freeNames(code).filter((name) => network.includes(name))).toEqual([]);
    expect(Object.keys(bundleProcess())).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/binding|dlopen|builtin/i)]),
    );
  });

  it('tells the versions that it was made from', async () => {
    const { version } = JSON.parse(readFileSync(join(MODULES, 'webtorrent/package.json'), 'utf8'));
    expect((await webTorrentVersions())['webtorrent']).toBe(version);
  });

  it('comes with the licence of every package in it', () => {
    const notices = readFileSync(join(DIST, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
    const titles = [...notices.matchAll(/^-{80}\n(.+) \(.+\)\n-{80}$/gm)].map((match) => match[1]!);
    expect(titles).toEqual(
      expect.arrayContaining([expect.stringMatching(/^webtorrent@/), expect.stringMatching(/^k-rpc-socket@/)]),
    );
    expect(notices).toContain(`contains these ${titles.length} packages`);
    expect(notices.match(/Permission is hereby granted/gi)!.length).toBeGreaterThan(30);
  });
});

describe('the check of the bundled text', () => {
  it.each([
    'net',
    'dgram',
    'dns',
    'http',
    'https',
    'tls',
    'child_process',
    'worker_threads',
    'node:net',
    './beside.js',
    'undici',
  ])('refuses %s', (name) => {
    expect(bundler.outputFaults(`const x = require('${name}');`)).toEqual([`The bundle still imports "${name}"`]);
    expect(bundler.outputFaults(`import x from '${name}';`)).toHaveLength(1);
  });

  it('refuses a module whose name is computed', () => {
    expect(bundler.outputFaults('const name = "n" + "et"; await import(name);')).toHaveLength(1);
    expect(bundler.outputFaults('require(name)')).toHaveLength(1);
  });
});
