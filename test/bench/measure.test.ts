import { describe, expect, it } from 'vitest';
import { type MeasureOptions, measure, type Step } from '../../src/bench/measure.ts';
import type { Case, Section } from '../../src/bench/section.ts';

const section = (cases: readonly Case[], more: Partial<Section> = {}): Section => ({
  name: 'demo',
  title: 'A demonstration',
  note: 'Nothing is measured.',
  open: () => Promise.resolve({ cases }),
  ...more,
});

const options = (more: Partial<MeasureOptions> = {}): MeasureOptions => ({
  rounds: 3,
  effort: 'full',
  onStep: () => {},
  note: () => {},
  ...more,
});

describe('measure', () => {
  it('runs the cases in turn, round after round', async () => {
    const order: string[] = [];
    const run = (name: string) => (): { s: number } => {
      order.push(name);
      return { s: 1 };
    };
    await measure(
      section([
        { group: 'g', name: 'a', run: run('a') },
        { group: 'g', name: 'b', run: run('b') },
      ]),
      options({ rounds: 2 }),
    );
    expect(order).toEqual(['a', 'b', 'a', 'b']);
  });

  it('compares each figure with the same figure of the baseline of its group, round by round', async () => {
    let round = 0;
    const result = await measure(
      section([
        { group: 'g', name: 'base', baseline: true, run: () => ({ s: 10 ** ++round }) },
        { group: 'g', name: 'double', run: () => ({ s: 2 * 10 ** round }) },
        { group: 'other', name: 'alone', run: () => ({ s: 7 }) },
      ]),
      options(),
    );
    const rows = Object.fromEntries(result.rows.map((row) => [row.name, row]));
    expect(rows['base']).toMatchObject({ baseline: true, samples: [10, 100, 1000], median: 100, noisy: true });
    expect(rows['double']!.ratio).toMatchObject({ median: 2, noisy: false });
    expect(rows['alone']!.ratio).toBeUndefined();
  });

  it('keeps a round that fails as null, and goes on', async () => {
    let runs = 0;
    const notes: string[] = [];
    const fails = (): { s: number } => {
      if (++runs === 2) throw new Error('no such peer');
      return { s: runs };
    };
    const result = await measure(
      section([{ group: 'g', name: 'a', run: fails }]),
      options({ note: (text) => notes.push(text) }),
    );
    expect(result.rows).toMatchObject([{ samples: [1, null, 3], median: 2 }]);
    expect(result.notShown).toEqual([]);
    expect(notes).toEqual(['demo: g, a failed: no such peer']);
  });

  it('shows no row for a case that never gave a figure, nor for a figure that is no number, and says why', async () => {
    const fails = (): never => {
      throw new Error('no such peer');
    };
    const result = await measure(
      section([
        { group: 'g', name: 'a', run: fails },
        { group: 'g', name: 'b', run: () => ({ s: Number.NaN }) },
      ]),
      options(),
    );
    expect(result.rows).toEqual([]);
    expect(result.notShown).toEqual([
      { name: 'g, a', why: 'no such peer' },
      { name: 'g, b', why: 's is NaN' },
    ]);
  });

  it('does not try a case again that has failed in the first two rounds', async () => {
    let tries = 0;
    const fails = (): never => {
      tries++;
      throw new Error('no such peer');
    };
    const result = await measure(section([{ group: 'g', name: 'a', run: fails }]), options({ rounds: 5 }));
    expect(tries).toBe(2);
    expect(result.notShown).toEqual([{ name: 'g, a', why: 'no such peer' }]);
  });

  it('tells why a section cannot run, and opens nothing', async () => {
    const open = (): never => {
      throw new Error('opened');
    };
    const result = await measure(section([], { missing: () => 'it needs root', open }), options());
    expect(result).toMatchObject({ skipped: 'it needs root', rows: [] });
  });

  it('runs no more rounds than a section takes, and adds what it says of its rows', async () => {
    let runs = 0;
    const cases = [{ group: 'g', name: 'a', run: () => ({ s: ++runs }) }];
    const summary = (rows: readonly { readonly median: number }[]): string => `the median is ${rows[0]!.median}`;
    const result = await measure(
      section([], { mostRounds: 1, open: () => Promise.resolve({ cases, summary }) }),
      options({ rounds: 5 }),
    );
    expect(result).toMatchObject({ rows: [{ samples: [1] }], summary: 'the median is 1' });
  });

  it('tells after each run how many there are', async () => {
    const steps: Step[] = [];
    const cases = [{ group: 'g', name: 'a', run: () => ({ s: 0.5, 'Mbit/s': 1234.5 }) }];
    await measure(section(cases), options({ rounds: 2, onStep: (step) => steps.push(step) }));
    expect(steps).toEqual([
      { section: 'demo', done: 1, total: 2, what: 'g, a: 0.500 s, 1235 Mbit/s' },
      { section: 'demo', done: 2, total: 2, what: 'g, a: 0.500 s, 1235 Mbit/s' },
    ]);
  });

  it('closes the section when it is stopped between two runs', async () => {
    const stop = new AbortController();
    let closed = false;
    const cases = [{ group: 'g', name: 'a', run: () => ({ s: 1 }) }];
    const close = (): Promise<void> => {
      closed = true;
      return Promise.resolve();
    };
    const measuring = measure(
      section([], { open: () => Promise.resolve({ cases, close }) }),
      options({ signal: stop.signal, onStep: () => stop.abort() }),
    );
    await expect(measuring).rejects.toThrow('aborted');
    expect(closed).toBe(true);
  });
});
