/**
 * Guard, lease, reconnect and client policy, composed as they are in the tunnel, against a model of what a person outside may expect:
 * random histories of everything that can happen to a tunnel, with a real server, gateway and WireGuard on a virtual clock.
 */
import { describe, expect, it } from 'vitest';
import { DEEP, deep } from '../../support/deep.ts';
import { History } from './history.ts';

const replayed = process.env['SLUICE_SEED'];
const seeds = replayed ? [Number(replayed)] : Array.from({ length: deep(80, 10_000) }, (_, i) => i + 1);

describe('the tunnel and the reference model', () => {
  it(
    'agree in every history: no resume with a reason set, no unmarked transfer touched, no stale port announced, a way out of every state',
    () => {
      for (const seed of seeds) new History(seed).run();
    },
    DEEP ? 3_600_000 : 120_000,
  );

  it('repeat a history exactly from its seed', () => {
    for (const seed of seeds.slice(0, 3)) expect(new History(seed).run().digest).toBe(new History(seed).run().digest);
  });
});
