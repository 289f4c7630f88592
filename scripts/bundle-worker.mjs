/**
 * Makes one file of the engine's worker and the 190 modules of ours that it imports, in the build at the folder that is named: a
 * thread starts in two thirds of the time. Packages stay outside. docs/decisions/0011-engine.md
 */
import { writeFile } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { argv } from 'node:process';
import { rolldown } from 'rolldown';

const file = join(resolve(argv[2]), 'node/worker/main.js');
const build = await rolldown({
  input: file,
  platform: 'node',
  external: (name, importer) => importer !== undefined && !name.startsWith('.') && !isAbsolute(name),
  onLog(level, log) {
    if (level === 'warn') throw new Error(`While bundling the worker: ${log.message}`);
  },
});
const { output } = await build.generate({ format: 'esm', codeSplitting: false, comments: false });
await build.close();
if (output.length !== 1) throw new Error(`Expected one file, got ${output.map(({ fileName }) => fileName).join(', ')}`);
await writeFile(file, output[0].code);
