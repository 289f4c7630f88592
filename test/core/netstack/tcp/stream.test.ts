/** The one promise of a stream: the bytes that go in come out, in order, once, whatever the network does to the packets. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TcpSettings } from '../../../../src/core/netstack/tcp/settings.ts';
import { DEEP, deep } from '../../../support/deep.ts';
import { type LinkOptions, Simulation, seeded } from '../../../support/tcp-simulation.ts';
import { openFlows } from '../../../support/tcp-transfer.ts';

const link: fc.Arbitrary<LinkOptions> = fc.record({
  rate: fc.constantFrom(Number.POSITIVE_INFINITY, 3e5, 1e6, 1e7, 1e8),
  delayMs: fc.double({ min: 0, max: 100, noNaN: true }),
  queueBytes: fc.integer({ min: 5000, max: 300_000 }),
  loss: fc.constantFrom(0, 0.001, 0.01, 0.05, 0.15),
  reorder: fc.constantFrom(0, 0.01, 0.3),
  reorderMs: fc.double({ min: 0, max: 60, noNaN: true }),
  duplicate: fc.constantFrom(0, 0.01, 0.2),
  burstMs: fc.constantFrom(0, 0.5, 10),
});

/** Nobody gives up: with a seventh of the packets lost each way even eight in a row are, now and then. */
const PATIENT: Partial<TcpSettings> = { synRetries: 30, synAckRetries: 30, userTimeoutMs: 1e9, timeWaitMs: 200_000 };

const settings: fc.Arbitrary<Partial<TcpSettings>> = fc.record({
  congestion: fc.constantFrom('cubic', 'reno'),
  receiveWindowStart: fc.integer({ min: 4096, max: 65_536 }),
  receiveWindowMax: fc.constantFrom(65_536, 1 << 18, 1 << 24),
  sendBufferStart: fc.integer({ min: 8192, max: 300_000 }),
  sendBufferMax: fc.constant(1 << 20),
  outOfOrderRanges: fc.constantFrom(2, 16, 1024),
});

const scenario = fc.record({
  seed: fc.nat(),
  aToB: link,
  bToA: link,
  settingsA: settings,
  settingsB: settings,
  family: fc.constantFrom(4 as const, 6 as const),
  start: fc.constantFrom(0, 1e9, 2 ** 32 - 5000, 1.7e12),
  flows: fc.integer({ min: 1, max: 4 }),
  clientBytes: fc.integer({ min: 0, max: 200_000 }),
  serverBytes: fc.integer({ min: 0, max: 200_000 }),
  writeSize: fc.constantFrom(1000, 16_384, 65_536),
  /** Readers stop now and then. */
  pauses: fc.boolean(),
});

const HOURS = 3600 * 1000;

describe('streams over any network', () => {
  it('are delivered whole in both directions, half-closed and closed (RFC 9293 §3.6)', () => {
    fc.assert(
      fc.property(scenario, ({ flows, clientBytes, serverBytes, writeSize, pauses, ...options }) => {
        const [settingsA, settingsB] = [options.settingsA, options.settingsB].map((given) => ({
          ...given,
          ...PATIENT,
        }));
        const simulation = new Simulation({ ...options, settingsA: settingsA!, settingsB: settingsB! });
        const pairs = openFlows(simulation, flows, clientBytes, serverBytes, writeSize);
        const random = seeded(options.seed);
        const limit = simulation.now + 8 * HOURS;
        const done = (): boolean => pairs.every((pair) => pair.client.closed && pair.server?.closed);
        for (let step = 0; pauses && step < 200 && !done(); step++) {
          simulation.run(simulation.now + random() * 300);
          for (const stream of pairs.flatMap((pair) => [pair.client, pair.server ?? pair.client])) {
            stream.reading = random() < 0.5;
            if (stream.reading) simulation.act(stream.host, () => stream.resume());
          }
        }
        for (const stream of pairs.flatMap((pair) => [pair.client, pair.server ?? pair.client]))
          simulation.act(stream.host, () => stream.resume());
        simulation.run(limit);
        for (const { client, server } of pairs) {
          expect(client).toMatchObject({ received: serverBytes, ended: true, closed: true, error: undefined });
          expect(server).toMatchObject({ received: clientBytes, ended: true, closed: true, error: undefined });
        }
        for (const { tcp } of [simulation.a, simulation.b]) {
          expect(tcp.counts()).toMatchObject({ connections: 0, timeWait: 0 });
          expect(tcp.nextTimeout()).toBeUndefined();
        }
      }),
      { numRuns: deep(150, 5000), ...(DEEP ? {} : { seed: 1 }) },
    );
  }, 900_000);

  it('are the same again for the same seed', () => {
    const run = (): unknown[] => {
      const impaired = { delayMs: 20, loss: 0.02, reorder: 0.1, reorderMs: 20, duplicate: 0.05, rate: 1e7 };
      const simulation = new Simulation({ seed: 5, aToB: impaired, bToA: impaired });
      openFlows(simulation, 3, 100_000, 200_000);
      simulation.run(HOURS);
      return [simulation.packets, simulation.lost, simulation.now];
    };
    expect(run()).toEqual(run());
  });

  it('survive a silence of the network of two minutes', () => {
    const simulation = new Simulation({ aToB: { delayMs: 20, rate: 1e7 }, bToA: { delayMs: 20, rate: 1e7 } });
    const [pair] = openFlows(simulation, 1, 1_000_000, 1_000_000);
    simulation.run(300);
    simulation.filter = () => false;
    simulation.run(120_000);
    simulation.filter = () => true;
    simulation.run(HOURS);
    expect(pair!.client).toMatchObject({ received: 1_000_000, closed: true, error: undefined });
  });

  it('are not harmed by a host that slept for an hour: no timeout by the clock alone', () => {
    const simulation = new Simulation({ aToB: { delayMs: 20 }, bToA: { delayMs: 20 } });
    const [pair] = openFlows(simulation, 1, 5_000_000, 0);
    simulation.run(150);
    simulation.now += HOURS;
    simulation.run(simulation.now + HOURS);
    expect(pair!.server).toMatchObject({ received: 5_000_000, closed: true, error: undefined });
  });
});
