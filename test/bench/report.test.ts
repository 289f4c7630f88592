import { describe, expect, it } from 'vitest';
import type { Row } from '../../src/bench/measure.ts';
import { figure, markdown } from '../../src/bench/report.ts';
import { spreadOf } from '../../src/bench/statistics.ts';

const row = (name: string, metric: string, values: readonly number[], more: Partial<Row> = {}): Row => ({
  group: 'open 64 B',
  name,
  metric,
  baseline: false,
  samples: values,
  ...spreadOf(values),
  ...more,
});
const steady = spreadOf([2, 2, 2]);

function report(rows: readonly Row[], rounds = 5): string {
  const result = {
    name: 'aead',
    title: 'AEAD',
    note: 'In place.',
    rows,
    notShown: [{ name: 'wasm', why: 'it is absent' }],
  };
  return markdown({ schema: 1, machine: { node: 'v20' }, rounds, effort: 'full', results: [result] });
}

describe('markdown', () => {
  it('gives each case a line, each figure a column with median, quartiles and ratio', () => {
    const text = report([
      row('wasm', 'ns', [100, 110, 120], { baseline: true, ratio: spreadOf([1, 1, 1]) }),
      row('wasm', 'Gbit/s', [5, 5, 5], { baseline: true }),
      row('sodium', 'ns', [200, 220, 240], { ratio: steady }),
      row('sodium', 'Gbit/s', [2.5, 2.5, 2.5]),
    ]);
    expect(text).toContain(
      [
        '|           |        |                   ns |           Gbit/s |',
        '|-----------|--------|---------------------:|-----------------:|',
        '| open 64 B | wasm   |        110 (105–115) | 5.00 (5.00–5.00) |',
        '| open 64 B | sodium | 220 (210–230) × 2.00 | 2.50 (2.50–2.50) |',
      ].join('\n'),
    );
  });

  it('claims no ratio from a noisy figure, from a noisy ratio, or from fewer than five rounds', () => {
    expect(report([row('node', 'ns', [1, 100, 200], { ratio: steady })])).toContain('100 (50.5–150) noisy |');
    expect(report([row('node', 'ns', [99, 100, 101], { ratio: spreadOf([1, 2, 3]) })])).toContain('100 (99.5–101) |');
    expect(report([row('node', 'ns', [99, 100, 101], { ratio: steady })], 4)).toContain('100 (99.5–101) |');
  });

  it('names what is not shown, with the reason', () => {
    expect(report([])).toContain('- Not shown: wasm (it is absent).');
    const skipped = { name: 'peers', title: 'Peers', note: '', skipped: 'it needs root', rows: [], notShown: [] };
    expect(markdown({ schema: 1, machine: {}, rounds: 5, effort: 'full', results: [skipped] })).toContain(
      '## Peers\n\nNot shown: it needs root.\n',
    );
  });
});

describe('figure', () => {
  it('has three digits that count, and thousands in groups', () => {
    expect([0, 0.01234, 1.5, 99.96, 123.4, 54_321.9].map(figure)).toEqual([
      '0',
      '0.0123',
      '1.50',
      '100',
      '123',
      '54,322',
    ]);
  });
});
