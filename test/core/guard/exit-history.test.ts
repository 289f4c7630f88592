/** Whether connections can have survived: to the other side, another exit is another host (issue: sockets survive only to the same one). */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { ExitHistory } from '../../../src/core/guard/exit-history.ts';

let exits: ExitHistory;
beforeEach(() => {
  exits = new ExitHistory();
});
const observe = (last: number): boolean => exits.observe(ip(`203.0.113.${last}`));

describe('ExitHistory', () => {
  it('sees no change in the first exit, nor in the same one again', () => {
    expect([observe(10), observe(10), observe(10)]).toEqual([false, false, false]);
  });

  it('sees a change in another one', () => {
    expect([observe(10), observe(11), observe(11)]).toEqual([false, true, false]);
  });

  it('sees none in an outage that ends where it was', () => {
    observe(10);
    exits.handleOutage();
    expect(observe(10)).toBe(false);
  });

  it('sees one in each outage that ends elsewhere, also back where it was before', () => {
    observe(10);
    const seen = [11, 10, 11].map((last) => {
      exits.handleOutage();
      return observe(last);
    });
    expect(seen).toEqual([true, true, true]);
  });

  it('takes exits that come and go for a pool, in which connections keep theirs', () => {
    expect([10, 11, 12, 10, 11, 12, 10].map(observe)).toEqual([false, true, true, false, false, false, false]);
    exits.handleOutage();
    expect([11, 10].map(observe)).toEqual([false, false]);
  });

  it('remembers sixteen', () => {
    for (let last = 1; last <= 17; last++) observe(last);
    expect([observe(2), observe(1)]).toEqual([false, true]);
  });
});
