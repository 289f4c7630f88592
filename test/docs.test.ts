/** What the documents point at has to exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const documents = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

describe.each(documents)('%s', (document) => {
  const text = readFileSync(join(ROOT, document), 'utf8');

  it('links only to files that exist', () => {
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1]!);
    expect(targets.filter((target) => !existsSync(resolve(ROOT, dirname(document), target)))).toEqual([]);
  });

  it('names only source files and folders that exist', () => {
    const names = [...text.matchAll(/`((?:src|test|scripts|docs|vendor)\/[\w./-]*\w)\/?`/g)].map((match) => match[1]!);
    expect(names.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
  });
});
