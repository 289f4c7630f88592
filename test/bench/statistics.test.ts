import { describe, expect, it } from 'vitest';
import { pairedRatio, spreadOf } from '../../src/bench/statistics.ts';

describe('spreadOf', () => {
  it('takes median and quartiles linearly between the nearest values, in whatever order they come', () => {
    expect(spreadOf([5, 1, 4, 2, 3])).toMatchObject({ min: 1, q1: 2, median: 3, q3: 4, max: 5 });
    expect(spreadOf([4, 1, 3, 2])).toMatchObject({ q1: 1.75, median: 2.5, q3: 3.25 });
  });

  it('is not moved by one wild value', () => {
    expect(spreadOf([10, 10, 11, 10, 900])).toMatchObject({ median: 10, noisy: false });
  });

  it('is noisy when the quartiles are further apart than a fifth of the median', () => {
    expect(spreadOf([90, 90, 100, 110, 110]).noisy).toBe(false);
    expect(spreadOf([89, 89, 100, 110, 110]).noisy).toBe(true);
  });
});

describe('pairedRatio', () => {
  it('divides within each round, so that a slow round does not count', () => {
    expect(pairedRatio([2, 20, 4], [1, 10, 2])).toMatchObject({ median: 2, q1: 2, q3: 2 });
  });

  it('leaves out rounds in which either failed, and gives nothing if none is left', () => {
    expect(pairedRatio([2, undefined, 9], [1, 1, undefined])).toMatchObject({ median: 2, min: 2, max: 2 });
    expect(pairedRatio([undefined, 1], [1, undefined])).toBeUndefined();
  });

  it('gives nothing for a divisor of 0', () => {
    expect(pairedRatio([1, 2], [1, 0])).toBeUndefined();
  });
});
