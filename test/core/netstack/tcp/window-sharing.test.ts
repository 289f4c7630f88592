import { describe, expect, it } from 'vitest';
import { fairShare } from '../../../../src/core/netstack/tcp/window-sharing.ts';
import { Simulation } from '../../../support/tcp-simulation.ts';
import { openFlows, type Pair } from '../../../support/tcp-transfer.ts';

const KIB = 1024;

describe('the share of each window in a budget that is spent', () => {
  it('has no bound as long as there is enough for everybody', () => {
    expect(fairShare([], 100)).toBe(Number.POSITIVE_INFINITY);
    expect(fairShare([40, 60], 100)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is the same for all who ask for more', () => {
    expect(fairShare([50, 60, 1000, 70], 100)).toBe(25);
  });

  it('leaves to those who ask for more what the others do not need', () => {
    // 100 less 10 and 20, between two; the order does not matter.
    expect(fairShare([500, 10, 400, 20], 100)).toBe(35);
    expect(fairShare([20, 30, 60], 100)).toBe(50);
  });
});

describe('windows under a budget', () => {
  const received = (pairs: readonly Pair[]): number[] => pairs.map((pair) => pair.client.received);

  it('share what idle connections leave, each the same', () => {
    // 16 connections whose readers take nothing keep their first 8 KiB: half of the budget. Two that are busy share the rest.
    const settings = { receiveBudget: 256 * KIB, receiveWindowStart: 8 * KIB, receiveWindowMax: 512 * KIB };
    const link = { rate: 2e7, delayMs: 50 };
    const simulation = new Simulation({ settingsA: settings, aToB: link, bToA: link });
    for (const { client } of openFlows(simulation, 16, 0, Number.MAX_SAFE_INTEGER, undefined, 81))
      client.reading = false;
    simulation.run(1000);
    const busy = openFlows(simulation, 2, 0, Number.MAX_SAFE_INTEGER);
    simulation.run(4000);
    const before = received(busy);
    simulation.run(6000);
    const rates = received(busy).map((bytes, i) => ((bytes - before[i]!) * 8) / 2e6);
    // 64 KiB in 100 ms are 5.2 Mbit/s.
    for (const mbits of rates) expect(mbits).toBeGreaterThan(4.5);
    expect(Math.max(...rates) / Math.min(...rates)).toBeLessThan(1.1);
    expect(simulation.a.tcp.memoryUse().windowBytes).toBeLessThanOrEqual(256 * KIB);
  });

  it('go to one that needs them when the other has ended', () => {
    const settings = { receiveBudget: 512 * KIB, receiveWindowMax: 2048 * KIB };
    const link = { rate: 1e8, delayMs: 50 };
    const simulation = new Simulation({ settingsA: settings, aToB: link, bToA: link });
    const [first] = openFlows(simulation, 1, 0, 4_000_000);
    const [second] = openFlows(simulation, 1, 0, Number.MAX_SAFE_INTEGER, undefined, 81);
    simulation.run(60_000, () => first!.client.ended);
    simulation.run(simulation.now + 2500);
    const before = second!.client.received;
    simulation.run(simulation.now + 1000);
    // All of 512 KiB in 100 ms.
    expect(((second!.client.received - before) * 8) / 1e6).toBeGreaterThan(38);
  });
});
