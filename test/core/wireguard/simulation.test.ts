import { describe, expect, it } from 'vitest';
import { DEEP, deep } from '../../support/deep.ts';
import { Simulation } from '../../support/wireguard-simulation.ts';

const replayed = process.env['SLUICE_SEED'];
const seeds = replayed ? [Number(replayed)] : Array.from({ length: deep(30, 2_000) }, (_, i) => i + 1);

describe('two devices on a bad network', () => {
  it(
    `keep every promise over 1,000 s of loss, replay, restarts, sleeps, moves and clock steps, for ${seeds.length} seeds (W§6)`,
    () => {
      let delivered = 0;
      for (const seed of seeds) delivered += new Simulation(seed).run().delivered;
      expect(delivered).toBeGreaterThan(seeds.length * 100);
    },
    DEEP ? 3_600_000 : 120_000,
  );

  it('do the same again for the same seed', () => {
    for (const seed of seeds.slice(0, 3))
      expect(new Simulation(seed).run().digest).toBe(new Simulation(seed).run().digest);
  }, 60_000);
});
