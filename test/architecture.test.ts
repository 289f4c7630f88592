/** The layer table of the design as data, and the purity rules that the compiler cannot see. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');

/** Folder → folders it may import; a folder may always import itself. The longest matching folder is the one that counts. */
const LAYERS: Record<string, readonly string[]> = {
  'core/base': [],
  'core/wire': ['core/base'],
  'core/noise': ['core/base'],
  'core/wireguard': ['core/base', 'core/wire', 'core/noise'],
  'core/netstack': ['core/base', 'core/wire'],
  'core/dns': ['core/base', 'core/wire'],
  'core/nat': ['core/base', 'core/wire'],
  'core/portmap': ['core/base', 'core/wire'],
  'core/guard': ['core/base', 'core/wire'],
  'core/tunnel': ['core'],
  core: ['core'],
  node: ['core'],
  sandbox: ['core', 'node'],
  torrent: ['core', 'node'],
  api: ['core', 'node'],
  daemon: ['core', 'node', 'torrent', 'sandbox', 'api'],
  bench: ['core', 'node'],
  cli: ['core', 'node', 'sandbox', 'torrent', 'api', 'daemon', 'bench'],
  '.': ['core', 'node', 'sandbox', 'torrent'],
};

const PORT_OPENERS = ['node/inline-engine.ts', 'node/worker/main.ts', 'sandbox/sandbox.ts', 'bench/far-end-program.ts'];

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.[cm]?ts$/.test(name))
  .map((name) => name.split(sep).join('/'));

const layerOf = (file: string): string =>
  Object.keys(LAYERS)
    .filter((folder) => folder === '.' || file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0] ?? '.';

const importsOf = (file: string): string[] =>
  [...readFileSync(join(SRC, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);

/** As `importsOf`, without those of types alone and those that happen later. */
const loadedBy = (file: string): string[] =>
  [...code(file).matchAll(/^(?:import|export) (?!type\b)[^;]*?from '([^']+)'/gm)].map((match) => match[1]!);

describe('layers (DESIGN: one folder, one rule)', () => {
  it('lets each folder import only what the table allows', () => {
    const offences = files.flatMap((file) =>
      importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) =>
          relative(SRC, resolve(SRC, dirname(file), name))
            .split(sep)
            .join('/'),
        )
        .filter((target) => {
          const allowed = [layerOf(file), ...(LAYERS[layerOf(file)] ?? [])];
          return !allowed.some((folder) => folder === '.' || target.startsWith(`${folder}/`));
        })
        .map((target) => `${file} imports ${target}`),
    );
    expect(offences).toEqual([]);
  });

  it('keeps Node and packages out of the core', () => {
    const offences = files
      .filter((file) => file.startsWith('core/'))
      .flatMap((file) =>
        importsOf(file)
          .filter((name) => !name.startsWith('.'))
          .map((name) => `${file} imports ${name}`),
      );
    expect(offences).toEqual([]);
  });

  it('keeps the wall clock and Math.random out of the core', () => {
    const offences = files
      .filter((file) => file.startsWith('core/'))
      .filter((file) => /\b(Date\b|Math\.random|performance\.|globalThis\b)/.test(code(file)));
    expect(offences).toEqual([]);
  });
});

describe('the library', () => {
  it('is imported without undici, which is loaded while an engine starts', () => {
    const loaded = new Set(['index.ts']);
    const packages = new Set<string>();
    for (const file of loaded)
      for (const name of loadedBy(file))
        if (name.startsWith('.')) loaded.add(join(dirname(file), name).split(sep).join('/'));
        else if (!name.startsWith('node:')) packages.add(name);
    expect(loaded).toContain('node/tunnel.ts');
    expect([...packages].sort()).toEqual(['@noble/ciphers/chacha.js', '@noble/hashes/blake2.js', 'tweetnacl']);
  });
});

describe('the host (DESIGN: fail closed, by construction)', () => {
  it('has one module that opens the socket towards the server, and none that could change a route (G8)', () => {
    const importers = (names: RegExp): string[] =>
      files.filter((file) => importsOf(file).some((name) => names.test(name)));
    const users = (names: RegExp): string[] => files.filter((file) => names.test(code(file)));
    expect(importers(/^node:dgram$/)).toEqual(['node/udp/open-socket.ts']);
    expect(importers(/^node:(child_process|cluster|ffi)$|^(koffi|ffi|ref)\b|\.node$/)).toEqual([]);
    expect(users(/koffi-/)).toEqual(['node/udp/ffi.ts']);
    expect(users(/\blibc\w*\.(socket|bind|connect)\b|\blibc\[/)).toEqual(['node/udp/open-socket.ts']);
    const outside = (names: readonly string[]): string[] => names.filter((file) => !file.startsWith('node/udp'));
    expect(outside(importers(/\/open-socket\.ts$/))).toEqual([]);
    // Who can open a port at all: the engine on either thread, the provider in a box, and the far end of the benchmarks.
    const openers = users(/\b(openDgramPort|watchedPorts|selectUdpPorts|new Poller)\b/);
    expect(outside(openers).filter((file) => !PORT_OPENERS.includes(file))).toEqual([]);
  });
});

const code = (file: string): string => readFileSync(join(SRC, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
