import { afterEach, describe, expect, it, vi } from 'vitest';

/** A clock each reading of which takes `readingMs`, and on which `pass` lets time pass. */
function clockWith(readingMs: number): { pass(ms: number): void } {
  let now = 1_000;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += readingMs));
  return { pass: (ms) => void (now += ms) };
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.resetModules();
});

describe('the stopwatch of the benchmark', () => {
  it('takes off what reading the clock takes', async () => {
    const clock = clockWith(0.25);
    const { startTime, elapsedNs } = await import('../../src/bench/stopwatch.ts');
    const start = startTime();
    clock.pass(3);
    expect(elapsedNs(start)).toBe(3e6);
  });

  it('never says that less than nothing has passed', async () => {
    const clock = clockWith(0.25);
    const { startTime, elapsedNs } = await import('../../src/bench/stopwatch.ts');
    const start = startTime();
    clock.pass(-0.125);
    expect(elapsedNs(start)).toBe(0);
  });
});
