/** The benchmarks run, all of them, and what they give can be read. Nothing is said about speed. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import type { Report } from '../../src/bench/report.ts';

const RUN = new URL('../../native-bench/run.mjs', import.meta.url).pathname;
const SECTIONS = ['aead', 'core', 'tcp', 'udp', 'sockets', 'peers', 'path', 'memory', 'cold-start'];
/** Figures that may be 0, or less than it by the error of a difference. */
const MAY_BE_ZERO = /^lost|^other ns$|^(open|seal) ns$|CPU|KiB$|utilisation/;

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('runs every section with --smoke, and gives sane figures as JSON and as Markdown', async () => {
  const file = join(folder, 'report.json');
  const { stdout } = await promisify(execFile)(process.execPath, [RUN, '--smoke', '--json', file]);
  const report: Report = JSON.parse(readFileSync(file, 'utf8'));
  expect(report).toMatchObject({ schema: 1, rounds: 1, effort: 'smoke' });
  expect(Object.keys(report.machine)).toEqual(expect.arrayContaining(['node', 'processor', 'system', 'commit']));
  expect(report.results.map(({ name }) => name)).toEqual(SECTIONS);
  for (const { name, title, skipped, rows } of report.results) {
    expect([name, skipped]).toEqual([name, undefined]);
    expect(stdout).toContain(`## ${title}\n`);
    expect([name, rows.length > 0]).toEqual([name, true]);
    for (const { group, name: of, metric, median, samples, ratio } of rows) {
      const what = `${name}: ${group}, ${of}: ${metric}`;
      expect([what, samples]).toEqual([what, [median]]);
      if (!MAY_BE_ZERO.test(metric)) expect([what, median > 0]).toEqual([what, true]);
      if (ratio) expect([what, Number.isFinite(ratio.median)]).toEqual([what, true]);
    }
  }
  const named = (section: string): string[] => [
    ...new Set(report.results.find(({ name }) => name === section)!.rows.map(({ name }) => name)),
  ];
  expect(named('aead')).toEqual(expect.arrayContaining(['node', 'noble']));
  expect(named('peers')).toEqual(expect.arrayContaining(['Sluice, inline', 'Sluice, worker', 'wireguard-go, TUN']));
  expect(named('path')).toEqual(['Linux', 'Sluice']);
}, 240_000);

it('stopped by Ctrl-C, shows the sections that were done, and ends with 130', async () => {
  const file = join(folder, 'stopped.json');
  const child = spawn(process.execPath, [RUN, '--smoke', '--section', 'aead', '--section', 'sockets', '--json', file]);
  const [shown, said] = [text(child.stdout), text(child.stderr)];
  child.stderr.on('data', (lines) => String(lines).includes('sockets 1/') && child.kill('SIGINT'));
  expect(await once(child, 'exit')).toEqual([130, null]);
  const report: Report = JSON.parse(readFileSync(file, 'utf8'));
  expect(report.results.map(({ name }) => name)).toEqual(['aead']);
  expect(await shown).toContain(`## ${report.results[0]!.title}\n`);
  expect((await said).trimEnd().split('\n').at(-1)).toMatch(/^Stopped by SIGINT: /);
}, 60_000);
