import { describe, expect, it } from 'vitest';
import { Simulation } from '../../../support/tcp-simulation.ts';
import { openFlows, type Pair } from '../../../support/tcp-transfer.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** 1.25 MB fill it. */
const LINK = { rate: 1e8, delayMs: 50 };
const ENDLESS = Number.MAX_SAFE_INTEGER;

/** Mbit/s of each upload over the next two seconds. */
function rates(simulation: Simulation, pairs: readonly Pair[]): number[] {
  const received = (): number[] => pairs.map((pair) => pair.server!.received);
  const before = received();
  simulation.run(simulation.now + 2000);
  return received().map((bytes, i) => ((bytes - before[i]!) * 8) / 2e6);
}

describe('credit to write under a budget', () => {
  const open = () => new Simulation({ settingsA: { sendBudget: MIB }, aToB: LINK, bToA: LINK });

  it('goes from one that has all of it to those that come later, until each has the same', () => {
    const simulation = open();
    const first = openFlows(simulation, 1, ENDLESS, 0);
    simulation.run(3000);
    expect(simulation.a.tcp.memoryUse().sendBufferBytes).toBe(MIB);
    const all = [...first, ...openFlows(simulation, 3, ENDLESS, 0, undefined, 81)];
    simulation.run(8000);
    const each = rates(simulation, all);
    // 256 KiB in 100 ms are 21 Mbit/s.
    for (const mbits of each) expect(mbits).toBeGreaterThan(15);
    expect(Math.max(...each) / Math.min(...each)).toBeLessThan(1.2);
    expect(simulation.a.tcp.memoryUse().sendBufferBytes).toBeLessThanOrEqual(MIB);
  });

  it('goes to one that needs it when the others have ended', () => {
    const simulation = open();
    const [first] = openFlows(simulation, 1, ENDLESS, 0);
    simulation.run(3000);
    const others = openFlows(simulation, 3, 6 * MIB, 0, undefined, 81);
    simulation.run(5000);
    const shared = rates(simulation, [first!])[0];
    simulation.run(30_000, () => others.every((pair) => pair.server?.ended));
    simulation.run(simulation.now + 3000);
    const alone = rates(simulation, [first!])[0];
    expect(shared).toBeLessThan(30);
    // All of 1 MiB in 100 ms.
    expect(alone).toBeGreaterThan(75);
  });

  it('stays with connections that write nothing, and those that do keep an equal part', () => {
    const simulation = open();
    for (const { client } of openFlows(simulation, 3, 0, ENDLESS)) client.reading = false;
    const [busy] = openFlows(simulation, 1, ENDLESS, 0, undefined, 81);
    simulation.run(1000);
    const [late] = openFlows(simulation, 1, ENDLESS, 0, undefined, 82);
    simulation.run(5000);
    const [one, other] = rates(simulation, [busy!, late!]);
    // A fifth of 1 MiB in 100 ms are 16.8 Mbit/s.
    expect(one).toBeGreaterThan(14);
    expect(other).toBeGreaterThan(2);
  });
});
