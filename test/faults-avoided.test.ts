/** docs/protocol/faults-avoided.md: every fault has its row, and every test that a row names exists. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const FAULTS = 19;

const rows = readFileSync(join(ROOT, 'docs/protocol/faults-avoided.md'), 'utf8')
  .split('\n')
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()))
  .filter(([number]) => /^G\d+$/.test(number ?? ''));

it('has one row for each of the nineteen, in order, each with a rule, files and tests', () => {
  expect(rows.map(([number]) => number)).toEqual(Array.from({ length: FAULTS }, (_, i) => `G${i + 1}`));
  for (const row of rows)
    expect(
      row.filter((cell) => cell.length > 3),
      row[0],
    ).toHaveLength(4);
});

it.each(rows)('%s: names files and tests that exist', (_number, _fault, _rule, files, tests) => {
  expect(files!.split(', ').filter((file) => !existsSync(join(ROOT, 'src', file)))).toEqual([]);
  const missing = tests!.split('<br>').filter((entry) => {
    const [file, title] = entry.split(' › ') as [string, string];
    const path = join(ROOT, 'test', `${file}.test.ts`);
    return (
      !existsSync(path) || ![`'${title}'`, `\`${title}\``].some((quoted) => readFileSync(path, 'utf8').includes(quoted))
    );
  });
  expect(missing).toEqual([]);
});
