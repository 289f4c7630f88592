/** The results as data, and as a table in Markdown. */

import type { Machine } from './machine.ts';
import type { Row, SectionResult } from './measure.ts';
import type { Effort } from './section.ts';

/** What `--json` writes. `schema` rises when a field changes its meaning. */
export interface Report {
  readonly schema: 1;
  readonly machine: Machine;
  readonly rounds: number;
  readonly effort: Effort;
  readonly results: readonly SectionResult[];
}

/** Below this, no ratio is a claim. */
const ENOUGH_ROUNDS = 5;

export function markdown({ machine, rounds, results }: Report): string {
  const few = rounds < ENOUGH_ROUNDS ? `; fewer than ${ENOUGH_ROUNDS}: these figures only show that it runs` : '';
  return [
    '| | |',
    '|---|---|',
    ...Object.entries(machine).map(([name, value]) => `| ${name} | ${value} |`),
    `| rounds | ${rounds}, interleaved${few} |`,
    '',
    'A cell is the median, the quartiles in brackets, and after × the median of the ratios to the first case of the group, each',
    'within one round. “Noisy” is what has quartiles further apart than a fifth of the median: nothing is claimed from it.',
    '',
    ...results.flatMap((result) => sectionText(result, rounds >= ENOUGH_ROUNDS)),
  ].join('\n');
}

function sectionText({ title, note, skipped, rows, notShown, summary }: SectionResult, claims: boolean): string[] {
  if (skipped !== undefined) return [`## ${title}`, '', `Not shown: ${skipped}.`, ''];
  const absent = notShown.map(({ name, why }) => `- Not shown: ${name} (${why}).`);
  return [
    `## ${title}`,
    '',
    note,
    '',
    ...tables(rows, claims),
    ...(summary ? [summary, ''] : []),
    ...(absent.length > 0 ? [...absent, ''] : []),
  ];
}

/** One table for all cases with the same figures, a line for each case. */
function tables(rows: readonly Row[], claims: boolean): string[] {
  const byCase = grouped(rows, ({ group, name }) => `${group}\n${name}`).values();
  const byShape = grouped(byCase, (ofCase) => ofCase.map(({ metric }) => metric).join(' | '));
  return [...byShape.values()].flatMap((cases) => {
    const head = ['', '', ...cases[0]!.map(({ metric }) => metric)];
    const lines = cases.map((ofCase) => [ofCase[0]!.group, ofCase[0]!.name, ...ofCase.map((row) => cell(row, claims))]);
    return [...aligned(head, lines), ''];
  });
}

/** Readable as it is, too: columns are as wide as what stands in them. */
function aligned(head: readonly string[], lines: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]!.length)));
  const text = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`));
  return [text(head), `|${rule.join('|')}|`, ...lines.map(text)];
}

function cell({ median, q1, q3, noisy, ratio, baseline }: Row, claims: boolean): string {
  const spread = `${figure(median)} (${figure(q1)}–${figure(q3)})`;
  if (noisy) return `${spread} noisy`;
  return claims && ratio && !ratio.noisy && !baseline ? `${spread} × ${ratio.median.toFixed(2)}` : spread;
}

/** In order of their first members. */
function grouped<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** Three digits that count. */
export function figure(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
