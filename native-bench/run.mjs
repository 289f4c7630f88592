/**
 * The benchmarks, in one go: `node native-bench/run.mjs [--rounds N] [--section NAME]… [--json FILE] [--dist DIR]`.
 *
 * The cases of a section are run in turn, round after round, so that whatever else the machine does hits all of them alike; what
 * counts is the median over the rounds and its ratio to the section's baseline, not the absolute figure. `--dist` measures another
 * build. The tables are Markdown, on standard output; progress goes to standard error.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.mjs';
import { markdown, summarize } from './report.mjs';
import { aead } from './sections/aead.mjs';
import { core } from './sections/core.mjs';
import { loopback } from './sections/loopback.mjs';
import { tcp } from './sections/tcp.mjs';
import { wireguardGo } from './sections/wireguard-go.mjs';

const SECTIONS = [aead, core, tcp, loopback, wireguardGo];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    section: { type: 'string', multiple: true },
    json: { type: 'string' },
    dist: { type: 'string', default: join(import.meta.dirname, '../dist') },
  },
});
const rounds = Number(values.rounds);
const chosen = SECTIONS.filter(({ name }) => !values.section || values.section.includes(name));
const unknown = values.section?.find((name) => !SECTIONS.some((section) => section.name === name));
if (!Number.isInteger(rounds) || rounds < 1 || unknown) {
  console.error(`--rounds takes a number, --section one of ${SECTIONS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const progress = (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
const machine = describeMachine();
const results = [];
for (const section of chosen) results.push(await measure(section));
console.log(markdown({ machine, rounds, results }));
if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, rounds, results }, undefined, 2)}\n`);

async function measure(section) {
  const missing = await section.missing?.();
  if (missing) {
    progress(`${section.name}: skipped, ${missing}`);
    return { name: section.name, title: section.title, skipped: missing, rows: [] };
  }
  progress(`${section.name}: starting`);
  const { cases, close } = await section.open({ dist: resolve(values.dist), progress });
  const samples = new Map(cases.map(({ group, name }) => [`${group}, ${name}`, []]));
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const { group, name, run } of cases) {
        const metrics = await run();
        samples.get(`${group}, ${name}`).push(metrics);
        const figures = Object.entries(metrics).map(([unit, value]) => `${format(value)} ${unit}`);
        progress(`${section.name} ${round}/${rounds}: ${group}, ${name}: ${figures.join(', ')}`);
      }
    }
  } finally {
    await close?.();
  }
  return { name: section.name, title: section.title, note: section.note, rows: summarize(cases, samples) };
}

function format(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
