import { describe, expect, it } from 'vitest';
import { createStepReporter } from '../../src/cli/progress/steps.ts';
import { fakeIo, type Surroundings } from './support.ts';

function reporterOn(surroundings: Surroundings, quiet = false) {
  const { io, printed } = fakeIo(surroundings);
  return { reporter: createStepReporter(io, { quiet }), err: () => printed().err, out: () => printed().out };
}
const step = (done: number) => ({ section: 'core', done, total: 4, what: `download: ${done} ns` });

describe('createStepReporter', () => {
  it('writes a line for each step where nobody looks', () => {
    const { reporter, err } = reporterOn({});
    reporter.onStep(step(1));
    reporter.note('a backend is absent');
    reporter.onStep(step(2));
    reporter.settle();
    expect(err()).toBe('core 1/4: download: 1 ns\na backend is absent\ncore 2/4: download: 2 ns\n');
  });

  it('redraws one bar on a terminal, no wider than it, and takes it away in the end', () => {
    const { reporter, err } = reporterOn({ tty: true, columns: 40 });
    reporter.onStep(step(1));
    reporter.onStep(step(4));
    reporter.settle();
    const lines = err().split('\r\u001b[K');
    expect(lines).toEqual([
      '',
      '[████░░░░░░░░░░░░] core 1/4  download: ',
      '[████████████████] core 4/4  download: ',
      '',
    ]);
    expect(Math.max(...lines.map((line) => line.length))).toBe(39);
  });

  it('keeps the bar below what is noted meanwhile', () => {
    const { reporter, err } = reporterOn({ tty: true, columns: 30, env: { LANG: 'C' } });
    reporter.onStep(step(2));
    reporter.note('hello');
    expect(err().endsWith('\r\u001b[Khello\n[########--------] core 2/4  ')).toBe(true);
  });

  it('draws no bar on a dumb terminal, and nothing at all when it is to be quiet', () => {
    const dumb = reporterOn({ tty: true, env: { TERM: 'dumb' } });
    dumb.reporter.onStep(step(1));
    expect(dumb.err()).toBe('core 1/4: download: 1 ns\n');
    const quiet = reporterOn({}, true);
    quiet.reporter.onStep(step(1));
    quiet.reporter.note('hello');
    expect(quiet.err() + quiet.out()).toBe('');
  });
});
