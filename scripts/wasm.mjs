/**
 * Builds src/node/crypto/wasm/module.ts, the AEAD as base64, from the AssemblyScript beside it. It is committed, so that neither an
 * installation nor a test needs the compiler. With --check it only says whether a build gives the same bytes (exit 1 if not).
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'src/node/crypto/wasm');
const MODULE = join(FOLDER, 'module.ts');
/** 16 MiB, which are address space until they are used: the slabs of thirty ports. */
const PAGES = '256';

const text = `/** The AEAD's WebAssembly module: made by scripts/wasm.mjs from assembly/, changes here are lost. */
// biome-ignore format: one line
export const MODULE: string = '${(await compile()).toString('base64')}';
`;
if (!process.argv.includes('--check')) await writeFile(MODULE, text);
else if ((await readFile(MODULE, 'utf8')) !== text) {
  console.error('src/node/crypto/wasm/module.ts is not what assembly/ gives: run node scripts/wasm.mjs');
  process.exitCode = 1;
}

async function compile() {
  let binary;
  const { error, stderr } = await asc.main(
    [
      'aead.ts',
      ...['--outFile', 'aead.wasm', '-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd'],
      ...['--initialMemory', PAGES, '--maximumMemory', PAGES],
    ],
    {
      readFile: (name) => readFile(join(FOLDER, 'assembly', name), 'utf8').catch(() => null),
      writeFile: (_, contents) => (binary = Buffer.from(contents)),
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return binary;
}
