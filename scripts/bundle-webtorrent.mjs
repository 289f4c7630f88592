/**
 * Bundles WebTorrent and what it needs into one file, dist/torrent/webtorrent-bundle.js, in which every socket is taken from what
 * `instantiate()` was given. Whatever does not have the expected shape stops the build. docs/decisions/0007-webtorrent-bundle.md
 *
 * `SLUICE_WEBTORRENT_DIR` names a folder whose node_modules holds another version to try.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join, resolve } from 'node:path';
import { argv, env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { notices } from './webtorrent/notices.mjs';
import { CARRIED_BUILTINS, HARMLESS_BUILTINS, REPLACED_FILES, REPLACED_PACKAGES } from './webtorrent/replacements.mjs';
import {
  ABSENT_GLOBALS,
  COVERED_VERSIONS,
  shapeFaults,
  versionFaults,
  WITHHELD_GLOBALS,
} from './webtorrent/shapes.mjs';
import { specifiers } from './webtorrent/syntax.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const ENTRY = join(ROOT, 'scripts/webtorrent/entry.js');
const OURS = join(ROOT, 'scripts/webtorrent/');

/** Writes the bundle and its notices below `outDir`. Throws an Error that lists every fault; then nothing is written. */
export async function bundleWebTorrent({
  packagesDir = env.SLUICE_WEBTORRENT_DIR || ROOT,
  outDir = join(ROOT, 'dist/torrent'),
} = {}) {
  const modules = join(resolve(packagesDir), 'node_modules');
  const versions = await readVersions(modules);
  refuse(versionFaults(versions));
  const { code, files } = await bundle(modules);
  refuse(shapeFaults(await readSources(files)));
  refuse(outputFaults(code));
  await mkdir(outDir, { recursive: true });
  await writeFile(join(outDir, 'THIRD-PARTY-NOTICES.txt'), await notices(files));
  await writeFile(join(outDir, 'webtorrent-bundle.js'), wrap(code, versions));
  return { versions, bytes: code.length, files: files.length };
}

/** `webtorrent/lib/torrent.js` for `/…/node_modules/webtorrent/lib/torrent.js`. */
export const packagePath = (file) => file.replaceAll('\\', '/').split('/node_modules/').at(-1);

/** What must not be left in the bundled text. */
export function outputFaults(code) {
  return specifiers(code)
    .filter((name) => !HARMLESS_BUILTINS.includes(name))
    .map((name) => `The bundle still imports ${name === '*' ? 'something that is computed' : `"${name}"`}`);
}

async function bundle(modules) {
  const build = await rolldown({
    input: ENTRY,
    platform: 'node',
    cwd: ROOT,
    transform: {
      define: {
        'globalThis.WRTC': 'undefined',
        'globalThis.WEBTORRENT_ANNOUNCE': 'undefined',
        'global.WEBTORRENT_ANNOUNCE': 'undefined',
      },
    },
    onLog(level, log) {
      if (level === 'warn') throw new Error(`While bundling WebTorrent: ${log.message}`);
    },
    plugins: [{ name: 'sluice-webtorrent', resolveId: resolverFor(modules) }],
  });
  try {
    const { output } = await build.generate({ format: 'cjs', codeSplitting: false, comments: { legal: true } });
    if (output.length !== 1)
      throw new Error(`Expected one file, got ${output.map(({ fileName }) => fileName).join(', ')}`);
    const files = output[0].moduleIds.filter((id) => !id.startsWith(OURS) && !id.startsWith('\0'));
    return { code: output[0].code, files };
  } finally {
    await build.close();
  }
}

/** Rolldown's `resolveId`: everything goes where the tables say, or where Node would look, or nowhere. */
function resolverFor(modules) {
  return async function resolveId(source, importer) {
    if (importer === undefined) return undefined;
    const builtin = source.replace(/^node:/, '');
    if (builtinModules.includes(builtin)) return builtinId(builtin, importer);
    if (Object.hasOwn(REPLACED_PACKAGES, source)) return REPLACED_PACKAGES[source];
    const found = source.startsWith('webtorrent:')
      ? { id: join(modules, source.slice('webtorrent:'.length)) }
      : await this.resolve(source, importer === ENTRY ? join(modules, 'entry.js') : importer, { skipSelf: true });
    if (!found || found.external)
      throw new Error(
        `${packagePath(importer)} imports "${source}", which is not installed and not known to be optional`,
      );
    return REPLACED_FILES[packagePath(found.id)] ?? found;
  };
}

function builtinId(builtin, importer) {
  if (Object.hasOwn(CARRIED_BUILTINS, builtin)) return CARRIED_BUILTINS[builtin];
  if (HARMLESS_BUILTINS.includes(builtin)) return { id: builtin, external: true };
  throw new Error(
    `${packagePath(importer)} imports Node’s "${builtin}", which is neither carried by the tunnel nor known to open no socket`,
  );
}

async function readVersions(modules) {
  const names = Object.keys(COVERED_VERSIONS);
  const versions = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(modules, name, 'package.json'), 'utf8')).version),
  );
  return Object.fromEntries(names.map((name, i) => [name, versions[i]]));
}

/** Refuses two copies of one file: the shapes, and the self-check at start, would see only one of them. */
async function readSources(files) {
  const sources = new Map();
  for (const file of files.filter((name) => !name.endsWith('.json'))) {
    const source = await readFile(file, 'utf8');
    const name = packagePath(file);
    if (sources.has(name) && sources.get(name) !== source) sources.set(`${name} (another copy)`, source);
    else sources.set(name, source);
  }
  return sources;
}

/** The bundle as a function body: each call makes another instance, which sees the names below instead of the real globals. */
function wrap(code, versions) {
  return `/*! WebTorrent ${versions.webtorrent} and its dependencies, generated when this package was built. Licences: THIRD-PARTY-NOTICES.txt */
export const versions = ${JSON.stringify(versions)};
export function instantiate(sluiceHost, require, process, globalThis) {
  const global = globalThis;
  let ${[...WITHHELD_GLOBALS, ...ABSENT_GLOBALS].join(', ')};
  const module = { exports: {} };
  (function (exports) {
${code}
  })(module.exports);
  return module.exports;
}
`;
}

function refuse(faults) {
  if (faults.length > 0) throw new Error(`WebTorrent cannot be bundled:\n  ${faults.join('\n  ')}`);
}

if (resolve(argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const { versions, bytes, files } = await bundleWebTorrent();
  console.log(`WebTorrent ${versions.webtorrent}: ${files} files, ${Math.round(bytes / 1024)} KiB`);
}
