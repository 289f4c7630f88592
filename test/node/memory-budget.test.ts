import { totalmem } from 'node:os';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { availableMemory, tcpBudgets } from '../../src/node/memory-budget.ts';

const MIB = 1024 * 1024;

afterEach(() => vi.restoreAllMocks());

describe('the memory of all connections together', () => {
  it.each([
    ['a router with 64 MiB', 64, 16, 64],
    ['a container with 512 MiB', 512, 32, 128],
    ['a machine with 2 GiB', 2048, 128, 256],
    ['a machine with 64 GiB', 65_536, 256, 256],
  ])('on %s is a sixteenth for each direction, from 16 to 256 MiB', (_, available, budget, firstCreditKib) => {
    expect(tcpBudgets(available * MIB)).toEqual({
      receiveBudget: budget * MIB,
      sendBudget: budget * MIB,
      sendBufferStart: firstCreditKib * 1024,
    });
  });

  it.each([
    ['the limit of a container', 100 * MIB, 100 * MIB],
    ['the machine where there is no limit', 0, totalmem()],
    ['the machine where no limit is known', undefined, totalmem()],
    ['the machine where the limit is greater than it', 2 ** 63, totalmem()],
  ])('follows %s', (_, constrained, expected) => {
    vi.spyOn(process, 'constrainedMemory').mockReturnValue(constrained as number);
    expect(availableMemory()).toBe(expected);
  });
});
