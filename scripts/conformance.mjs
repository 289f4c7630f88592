/**
 * `node scripts/conformance.mjs`: proves that every line of docs/protocol/wireguard.md has a test whose title begins with it.
 * `node scripts/conformance.mjs --mutate [LINE …]`: for each entry of conformance-mutations.mjs, breaks that rule in a copy of the
 * sources and proves that a test of its line fails. Exit code 1 if a line is unproven or a mutation survives.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MUTATIONS } from './conformance-mutations.mjs';

const ROOT = resolve(import.meta.dirname, '..');
const TABLE = 'docs/protocol/wireguard.md';
const TESTS = ['test/core/wireguard', 'test/core/noise', 'test/core/wire/wireguard.test.ts', 'test/vectors'];
/** How many lines the specification has under each letter. */
const LINES = { A: 6, B: 5, C: 7, D: 6, E: 5, F: 12, G: 6, H: 11, I: 4 };

const lines = Object.entries(LINES).flatMap(([letter, count]) =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
);

/** Test file → the lines that its titles name, with the rest of the title. */
function readTitles() {
  const files = TESTS.flatMap((path) => {
    if (path.endsWith('.ts')) return [path];
    if (!existsSync(join(ROOT, path))) return [];
    return readdirSync(join(ROOT, path))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `${path}/${name}`);
  });
  return files.flatMap((file) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(/(['`])([A-I]\d+): (.*?)\1,/g)].map((match) => ({
      file,
      line: match[2],
      title: match[3],
    })),
  );
}

function readTable() {
  return readFileSync(join(ROOT, TABLE), 'utf8')
    .split('\n')
    .map((row) => row.split('|').map((cell) => cell.trim()))
    .filter((cells) => /^[A-I]\d+$/.test(cells[1] ?? ''))
    .map(([, line, , , files, title]) => ({ line, files: files.split(', '), title }));
}

function checkTable(titles) {
  const table = readTable();
  const faults = [];
  for (const line of lines) {
    const rows = table.filter((row) => row.line === line);
    if (rows.length !== 1) faults.push(`${line}: ${rows.length} rows in ${TABLE}`);
    if (!titles.some((test) => test.line === line)) faults.push(`${line}: no test names it`);
  }
  for (const { line, files, title } of table) {
    if (!titles.some((test) => test.line === line && test.title === title)) faults.push(`${line}: no test “${title}”`);
    for (const file of files) if (!existsSync(join(ROOT, 'src/core', file))) faults.push(`${line}: no file ${file}`);
  }
  for (const { line, file } of titles)
    if (!lines.includes(line)) faults.push(`${line}: named in ${file}, not in the table`);
  return faults;
}

/** Runs the tests of these lines in `folder`. Returns how many ran and how many failed. */
function runTests(folder, files, line) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const vitest = join(folder, 'node_modules/vitest/vitest.mjs');
  const filter = line ? ['-t', `\\b${line}: `] : [];
  const arguments_ = [
    vitest,
    'run',
    '--config',
    'vitest.config.ts',
    '--reporter=json',
    `--outputFile=${report}`,
    ...filter,
    ...files,
  ];
  const vectors = process.env.SLUICE_VECTORS ?? resolve(ROOT, '../shared/vectors');
  const env = { ...process.env, SLUICE_VECTORS: vectors, SLUICE_DEEP: '' };
  const { stderr } = spawnSync(process.execPath, arguments_, { cwd: folder, env, encoding: 'utf8', timeout: 300_000 });
  if (!existsSync(report))
    return { passed: 0, failed: 0, problem: stderr.split('\n').find((text) => text.trim()) ?? 'no report' };
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
  return { passed: numPassedTests, failed: numFailedTests };
}

function copyTree() {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-conformance-'));
  for (const name of ['src', 'test', 'package.json', 'vitest.config.ts', 'tsconfig.base.json', 'tsconfig.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** One line of text for a mutation: that it was noticed, or why not. */
function tryMutation(folder, { line, file, search, replace, breaks }, titles) {
  const path = join(folder, 'src/core', file);
  const source = readFileSync(path, 'utf8');
  const places = source.split(search).length - 1;
  if (places !== 1) return { noticed: false, text: `${line} INVALID: ${places} places for “${search}” in ${file}` };
  const files = [...new Set(titles.filter((test) => test.line === line).map((test) => test.file))];
  writeFileSync(
    path,
    source.replace(search, () => replace),
  );
  const { passed, failed, problem } = runTests(folder, files, line);
  writeFileSync(path, source);
  if (problem) return { noticed: false, text: `${line} INVALID: ${problem}` };
  const noticed = failed > 0;
  return {
    noticed,
    text: `${line} ${noticed ? 'noticed' : 'SURVIVED'}: ${breaks} (${failed} of ${passed + failed} tests fail)`,
  };
}

function mutate(titles, wanted) {
  const mutations = MUTATIONS.filter(({ line }) => wanted.length === 0 || wanted.includes(line));
  const folder = copyTree();
  try {
    const clean = runTests(folder, [...new Set(titles.map(({ file }) => file))]);
    if (clean.failed > 0 || clean.passed === 0)
      throw new Error(`the tests fail without any mutation: ${JSON.stringify(clean)}`);
    let survivors = 0;
    for (const mutation of mutations) {
      const { noticed, text } = tryMutation(folder, mutation, titles);
      if (!noticed) survivors++;
      console.log(text);
    }
    const covered = new Set(mutations.map(({ line }) => line)).size;
    console.log(`${mutations.length} mutations of ${covered} lines, ${survivors} survived`);
    return survivors;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const titles = readTitles();
const faults = checkTable(titles);
for (const fault of faults) console.log(fault);
console.log(`${lines.length} lines, ${titles.length} tests name them, ${faults.length} faults`);
const [flag, ...wanted] = process.argv.slice(2);
const survivors = flag === '--mutate' ? mutate(titles, wanted) : 0;
process.exit(faults.length + survivors > 0 ? 1 : 0);
