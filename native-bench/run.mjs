/**
 * The benchmarks, in one go: `node native-bench/run.mjs [--rounds N] [--section NAME]… [--smoke] [--json FILE] [--dist DIR]`.
 *
 * The cases of a section are run in turn, round after round; what counts is the median over the rounds and the ratios within them,
 * not the absolute figure. `--smoke` takes one short round, to see that everything runs. `--dist` measures another build. The
 * tables are Markdown, on standard output; progress goes to standard error.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fromDist } from './dist.mjs';
import { loopback } from './sections/loopback.mjs';
import { peers } from './sections/peers.mjs';
import { tcp } from './sections/tcp.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    section: { type: 'string', multiple: true },
    smoke: { type: 'boolean', default: false },
    json: { type: 'string' },
    dist: { type: 'string', default: join(import.meta.dirname, '../dist') },
  },
});
const { smoke } = values;
const dist = resolve(values.dist);
const { aead } = await fromDist(dist, 'bench/aead.js');
const { core } = await fromDist(dist, 'bench/core.js');
const SECTIONS = [aead, core, tcp, loopback, peers];
const rounds = Number(values.rounds ?? (smoke ? 1 : 5));
const unknown = values.section?.find((name) => !SECTIONS.some((section) => section.name === name));
if (!Number.isInteger(rounds) || rounds < 1 || unknown) {
  console.error(`--rounds takes a number, --section one of ${SECTIONS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const { measure } = await fromDist(dist, 'bench/measure.js');
const { markdown } = await fromDist(dist, 'bench/report.js');
const { describeMachine } = await fromDist(dist, 'bench/machine.js');

const machine = { ...describeMachine(), commit: commit() };
const results = [];
for (const section of SECTIONS) {
  if (values.section && !values.section.includes(section.name)) continue;
  const opened = { ...section, open: (context) => section.open({ ...context, dist }) };
  results.push(await measure(opened, { rounds, smoke, note, onStep }));
}
const report = { schema: 1, machine, rounds, smoke, results };
console.log(markdown(report));
if (values.json) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);

function note(text) {
  console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);
}

function onStep({ section, done, total, what }) {
  note(`${section} ${done}/${total}: ${what}`);
}

function commit() {
  const git = (...args) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with local changes' : ''}`;
  } catch {
    return 'unknown';
  }
}
