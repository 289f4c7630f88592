import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/bench/report.ts';
import { sluice } from './support.ts';

// noble, the readable backend, takes its time on a busy machine.
describe('sluice bench', { timeout: 120_000 }, () => {
  it('measures every backend and prints a table; progress goes to standard error', async () => {
    const { code, out, err } = await sluice(['bench', 'aead', '--rounds', '1']);
    expect(code).toBe(0);
    expect(out).toMatch(/\| open 1424 B \| node +\| +[\d,.]+ \(.*\) \|/);
    expect(out).toMatch(/\| seal 64 B +\| noble +\| +[\d,.]+ \(.*\) \|/);
    expect(err).toMatch(/^aead 1\/\d+: open 1424 B, \w+: [\d.]+ ns\/packet$/m);
  });

  it('prints one JSON object and nothing else with --json', async () => {
    const { code, out, err } = await sluice(['bench', 'aead', '--rounds', '2', '--json']);
    expect(code).toBe(0);
    expect(err).toBe('');
    const report: Report = JSON.parse(out);
    expect(report).toMatchObject({ schema: 1, rounds: 2, effort: 'quick', results: [{ name: 'aead', notShown: [] }] });
    expect(report.machine['node']).toContain(process.version);
    for (const { median, samples, ratio } of report.results[0]!.rows) {
      expect(median).toBeGreaterThan(0);
      expect(samples).toHaveLength(2);
      expect(ratio!.median).toBeGreaterThan(0);
    }
  });

  it.each([
    [['cpu'], '“cpu” is none of aead, core, loopback.'],
    [['--rounds', '0'], '“0” is not a number of rounds.'],
    [['--rounds', '101'], '“101” is not a number of rounds.'],
    [['--rounds', 'many'], '“many” is not a number of rounds.'],
  ])('refuses %j', async (args, complaint) => {
    const { code, err } = await sluice(['bench', ...args]);
    expect(code).toBe(2);
    expect(err).toContain(complaint);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends with the code of %s when it is stopped', async (signal, expected) => {
    const stop = new AbortController();
    const onOutput = (): void => stop.abort(signal);
    const { code, out } = await sluice(['bench', 'aead', '--rounds', '100'], { stop: stop.signal, onOutput });
    expect(code).toBe(expected);
    expect(out).toBe('');
  });
});
