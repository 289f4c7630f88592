import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { bundler, shapes } from './scripts.ts';
import { clean, folder } from './swarm.ts';

const MODULES = resolve(process.env['SLUICE_WEBTORRENT_DIR'] ?? resolve(import.meta.dirname, '../..'), 'node_modules');
const FILES = Object.keys({ ...shapes.SOCKET_USES, ...shapes.MARKERS });

const sources = (): Map<string, string> =>
  new Map(FILES.map((file) => [file, readFileSync(join(MODULES, file), 'utf8')]));

/** What is found wrong when `from` becomes `to` in `file`. */
function doctored(file: string, from: string, to: string): string[] {
  const text = readFileSync(join(MODULES, file), 'utf8');
  expect(text).toContain(from);
  const faults = shapes.shapeFaults(new Map([[file, text.replace(from, to)]]));
  return faults.filter((fault) => !fault.endsWith('is not in the bundle'));
}

describe('the expected shapes', () => {
  it('are those of the installed packages', () => {
    expect(shapes.shapeFaults(sources())).toEqual([]);
  });

  it.each([
    ['webtorrent/lib/conn-pool.js', 'net.createServer()', 'new net.Server()'],
    ['webtorrent/lib/torrent.js', 'net.connect(opts)', 'net.createConnection(opts)'],
    [
      'webtorrent/lib/torrent.js',
      "import net from 'net'",
      "import * as everything from 'net'; const net = { ...everything }",
    ],
    [
      'webtorrent/lib/torrent.js',
      "import net from 'net'",
      "import tls from 'dgram'; import net from 'net'; tls.createSocket()",
    ],
    ['k-rpc-socket/index.js', 'dns.lookup(', 'dns.resolve4('],
    ['k-rpc-socket/index.js', "dgram.createSocket('udp4')", "dgram['createSocket']('udp4')"],
    [
      'bittorrent-tracker/lib/client/udp-tracker.js',
      "import dgram from 'dgram'",
      "import dgram from 'node:dgram'; globalThis.dgram = dgram",
    ],
  ])('are missed when %s has, for `%s`, `%s`', (file, from, to) => {
    expect(doctored(file, from, to).join('\n')).toContain(`${file} uses [`);
  });

  it.each([
    ['webtorrent/lib/webconn.js', 'fetch from', '{ fetch as get } from'],
    ['parse-torrent/index.js', "import fetch from 'cross-fetch-ponyfill'", 'const { fetch } = globalThis'],
  ])('are missed when %s fetches in another way', (file, from, to) => {
    expect(doctored(file, from, to).join('\n')).toContain(`${file} uses [`);
  });

  it.each([
    [
      'torrent-discovery/index.js',
      'const debug = Debug(',
      'const socket = new WebSocket("wss://x"); const debug = Debug(',
      'WebSocket',
    ],
    ['webtorrent/index.js', 'const debug = debugFactory(', 'fetch("http://x"); const debug = debugFactory(', 'fetch'],
    [
      'webtorrent/index.js',
      'const debug = debugFactory(',
      'process.binding("tcp_wrap"); const debug = debugFactory(',
      'process.binding',
    ],
    [
      'webtorrent/index.js',
      'const debug = debugFactory(',
      'globalThis.fetch("x"); const debug = debugFactory(',
      'globalThis.fetch',
    ],
    [
      'webtorrent/index.js',
      'const debug = debugFactory(',
      'new Function("")(); const debug = debugFactory(',
      'Function.*',
    ],
  ])('are missed when %s reaches a global: %#', (file, from, to, name) => {
    expect(doctored(file, from, to)).toEqual([`${file} uses the global ${name}, which is not known to be harmless`]);
  });

  it.each(Object.entries(shapes.MARKERS).flatMap(([file, markers]) => markers.map((marker) => [file, marker])))(
    'need, in %s, %s',
    (file, marker) => {
      const text = readFileSync(join(MODULES, file!), 'utf8').replace(/\s+/g, ' ');
      expect(shapes.markerFaults(file!, text)).toEqual([]);
      const other = text.replaceAll(marker!, () => marker!.replace(/\w+/, '$&Other'));
      expect(shapes.markerFaults(file!, other)).toEqual([`${file} no longer contains: ${marker}`]);
    },
  );

  it('need every file that opens a socket', () => {
    const texts = sources();
    texts.delete('k-rpc-socket/index.js');
    expect(shapes.shapeFaults(texts)).toEqual(['k-rpc-socket/index.js is not in the bundle']);
  });

  it('allow no other file to open a socket', () => {
    const texts = sources().set('left-pad/index.js', "require('net').connect(80, 'example.com')");
    expect(shapes.shapeFaults(texts)).toEqual(['left-pad/index.js uses [connect] of net: expected []']);
  });

  it('are known for these versions only', () => {
    const versions = { webtorrent: '2.8.6', 'uint8-util': '2.3.2' };
    expect(shapes.versionFaults(versions)).toEqual(
      expect.arrayContaining([
        'webtorrent 2.8.6 is not covered: expected 2.8.5 or 3.0.21',
        'uint8-util 2.3.2 is not covered: expected 2.2.6',
      ]),
    );
  });
});

describe('the build', () => {
  afterEach(clean);

  it.each([
    [
      'webtorrent/lib/conn-pool.js',
      "import net from 'net'",
      "import https from 'https'\nimport net from 'net'",
      'imports Node’s "https"',
    ],
    [
      'webtorrent/lib/conn-pool.js',
      "import net from 'net'",
      "import 'left-pad'\nimport net from 'net'",
      'imports "left-pad", which is not installed',
    ],
    [
      'webtorrent/lib/torrent.js',
      'net.connect(opts)',
      'net.createConnection(opts)',
      'uses [connect,createConnection] of net',
    ],
  ])('stops, and writes nothing, when %s has another shape: %#', async (file, from, to, fault) => {
    const packagesDir = packages();
    const path = join(packagesDir, 'node_modules', file);
    writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
    const outDir = folder();
    await expect(bundler.bundleWebTorrent({ packagesDir, outDir })).rejects.toThrow(fault);
    expect(readdirSync(outDir)).toEqual([]);
  });

  it('stops when a package has no licence that was agreed to', async () => {
    const packagesDir = packages();
    const path = join(packagesDir, 'node_modules/webtorrent/package.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), license: 'UNLICENSED' }));
    await expect(bundler.bundleWebTorrent({ packagesDir, outDir: folder() })).rejects.toThrow(
      'Licence not accepted: webtorrent',
    );
  });
});

/** A folder with the installed packages, of which `webtorrent` is a copy to write in. */
function packages(): string {
  const root = folder();
  const modules = join(root, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(MODULES).filter((entry) => !entry.startsWith('.') && entry !== 'webtorrent'))
    symlinkSync(join(MODULES, name), join(modules, name));
  cpSync(join(MODULES, 'webtorrent'), join(modules, 'webtorrent'), { recursive: true });
  return root;
}
