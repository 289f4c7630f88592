import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Queue } from '../../../src/core/base/queue.ts';

describe('a queue', () => {
  it('is first in, first out, with a bound, in whatever order it is filled and emptied', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -200, max: 200 }), { maxLength: 50 }), (steps) => {
        const queue = new Queue<number>(300);
        const model: number[] = [];
        let next = 0;
        for (const step of steps) {
          for (let i = 0; i < step; i++, next++) {
            expect(queue.push(next)).toBe(model.length < 300);
            if (model.length < 300) model.push(next);
          }
          for (let i = step; i < 0; i++) expect(queue.shift()).toBe(model.shift());
          expect(queue.length).toBe(model.length);
          for (const index of [0, 1, model.length - 1, model.length, 299].filter((i) => i >= 0))
            expect(queue.at(index)).toBe(model[index]);
        }
      }),
    );
  });

  it('keeps nothing after it was cleared, and goes on', () => {
    const queue = new Queue<number>();
    for (let i = 0; i < 5; i++) queue.push(i);
    queue.clear();
    expect([queue.length, queue.shift()]).toEqual([0, undefined]);
    queue.push(7);
    expect([queue.shift(), queue.shift()]).toEqual([7, undefined]);
  });
});
