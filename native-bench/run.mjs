/**
 * The benchmarks, in one go; `--help` has the options.
 *
 * The cases of a section are run in turn, round after round; what counts is the median over the rounds and the ratios within them,
 * not the absolute figure. The tables are Markdown, on standard output; progress goes to standard error.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fromDist } from './dist.mjs';
import { coldStart } from './sections/cold-start.mjs';
import { memory } from './sections/memory.mjs';
import { path } from './sections/path.mjs';
import { peers } from './sections/peers.mjs';
import { sockets } from './sections/sockets.mjs';
import { tcp } from './sections/tcp.mjs';
import { udp } from './sections/udp.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    section: { type: 'string', multiple: true },
    smoke: { type: 'boolean', default: false },
    json: { type: 'string' },
    dist: { type: 'string', default: join(import.meta.dirname, '../dist') },
    help: { type: 'boolean', default: false },
  },
});
const ROUNDS = 5;
/** A run takes half a second there, and a shared processor's fast and slow moments last longer. */
const CORE_ROUNDS = 15;

const effort = values.smoke ? 'smoke' : 'full';
const dist = resolve(values.dist);
const { aead } = await fromDist(dist, 'bench/aead.js');
const { core } = await fromDist(dist, 'bench/core.js');
const SECTIONS = [aead, core, tcp, udp, sockets, peers, path, memory, coldStart];
if (values.help) {
  console.log(`npm run bench -- [options]

  --section NAME  only this section; may be given several times (${SECTIONS.map(({ name }) => name).join(', ')})
  --rounds N      rounds of each section; by default ${ROUNDS}, and ${CORE_ROUNDS} of core; fewer than 5 claim nothing
  --smoke         one short round of everything, to see that it runs
  --json FILE     every sample, to a file
  --dist DIR      measures another build

Examples:
  npm run bench -- --section aead --section core
  npm run bench -- --section peers --rounds 9 --json out.json`);
  process.exit(0);
}
const rounds = Number(values.rounds ?? (values.smoke ? 1 : ROUNDS));
const unknown = values.section?.find((name) => !SECTIONS.some((section) => section.name === name));
if (!Number.isInteger(rounds) || rounds < 1 || unknown) {
  console.error(`--rounds takes a number, --section one of ${SECTIONS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const { measure } = await fromDist(dist, 'bench/measure.js');
const { markdown } = await fromDist(dist, 'bench/report.js');
const { createStepReporter } = await fromDist(dist, 'cli/progress/steps.js');
const { EXIT, stoppedBy } = await fromDist(dist, 'cli/exit-code.js');
const { describeMachine } = await fromDist(dist, 'bench/machine.js');

const reporter = createStepReporter({ err: screen(process.stderr), env: process.env });
const progress = { onStep: (step) => reporter.onStep(step), note: (text) => reporter.note(text) };
// Namespaces and daemons are taken down before it ends.
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopping.abort(signal));
const machine = { ...describeMachine(), commit: commit() };
const results = [];
for (const section of SECTIONS) {
  if (values.section && !values.section.includes(section.name)) continue;
  const opened = { ...section, open: (context) => section.open({ ...context, dist }) };
  const own = section === core && values.rounds === undefined && !values.smoke ? CORE_ROUNDS : rounds;
  try {
    results.push(await measure(opened, { rounds: own, effort, signal: stopping.signal, ...progress }));
  } catch (error) {
    if (stopping.signal.aborted) break;
    const { name, title, note } = section;
    progress.note(`${name} failed: ${error.stack}`);
    results.push({ name, title, note, skipped: error.message, rows: [], notShown: [] });
    process.exitCode = EXIT.failed;
  }
}
reporter.settle();
// What took minutes to measure is shown, whatever became of the rest.
if (results.length > 0) {
  const report = { schema: 1, machine, rounds, effort, results };
  console.log(markdown(report));
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
}
if (stopping.signal.aborted) {
  console.error(`Stopped by ${stopping.signal.reason}: the section that ran is lost, and nothing was left behind.`);
  process.exitCode = stoppedBy(stopping.signal);
}

function screen(stream) {
  return { write: (text) => stream.write(text), isTTY: stream.isTTY === true, columns: stream.columns ?? 80 };
}

function commit() {
  const git = (...args) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' with local changes' : ''}`;
  } catch {
    return 'unknown';
  }
}
