/**
 * A day of a tunnel under continuous traffic, on a virtual clock: it rekeys, renews its port and probes as often as it must, and
 * nothing in it grows.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { Egress } from '../../../src/core/guard/egress.ts';
import { NatPmpSwitches } from '../../../src/sandbox/natpmp-gateway.ts';
import { type Census, takeCensus } from '../../support/census.ts';
import { deep } from '../../support/deep.ts';
import { ProbeRequests } from '../../support/probe-requests.ts';
import { ProviderWorld } from '../../support/provider-world.ts';
import { Traffic } from '../../support/traffic.ts';
import { configurationFor, emptyDisk, TunnelProcess, watching } from '../../support/tunnel-process.ts';

const HOUR_MS = 3_600_000;
const HOURS = deep(2, 24);
/** Apart so far that each comes at another moment of the rounds of 45, 120 and 300 s. */
const SAMPLE_MS = 47_000;
const SAMPLES = 6;

class Soak {
  readonly world = new ProviderWorld(1);
  readonly switches = new NatPmpSwitches();
  readonly provider = this.world.addProvider(ip('198.51.100.2'), ip('203.0.113.10'), this.switches);
  readonly process: TunnelProcess;
  readonly traffic: Traffic;
  readonly probes: ProbeRequests;
  handshakes = 0;
  renewals = 0;
  readonly orders: string[] = [];

  constructor() {
    const { world, provider } = this;
    this.process = new TunnelProcess(
      {
        world,
        disk: emptyDisk(),
        names: { addresses: [[provider.address]], resolver: 'answers' },
        watcher: watching({
          ordered: (order) => this.orders.push(order),
          socketEvent: (event) => {
            this.traffic.handleEvent(event);
            this.probes.handleSocket(event);
          },
          probe: (event) => this.probes.handleProber(event),
        }),
        probe: { egress: new Egress({}), servers: { 4: 1, 6: 1 }, wallMs: () => world.now },
      },
      [configurationFor(provider, world)],
    );
    this.probes = new ProbeRequests(this.process.machine, () => world.now);
    this.traffic = new Traffic(world, this.process, provider, {
      dialEveryMs: 20_000,
      sendEveryMs: 1_000,
      connections: 8,
    });
    this.world.tap = {
      left: (bytes) => {
        if (bytes[0] === 1) this.handshakes++;
      },
      arrived: () => {},
    };
    const { natpmp } = provider.sandbox;
    const handleRequest = natpmp.handleRequest.bind(natpmp);
    natpmp.handleRequest = (bytes, client, now) => {
      // The external address is asked for once in each round.
      if (bytes[1] === 0) this.renewals++;
      return handleRequest(bytes, client, now);
    };
    world.near = this.process;
    this.process.start();
  }

  /** The greatest counts of several moments, from now on. */
  census(): Census {
    const greatest = new Map<string, number>();
    for (let i = 0; i < SAMPLES; i++) {
      this.world.run(SAMPLE_MS);
      for (const [path, count] of takeCensus(this.process, [this.world]))
        greatest.set(path, Math.max(greatest.get(path) ?? 0, count));
    }
    return greatest;
  }

  runTo(hours: number): void {
    this.world.run(1_000_000 + hours * HOUR_MS - this.world.now);
  }
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}

describe('a tunnel under continuous traffic', () => {
  it(
    `runs for ${HOURS} h: a rekey every two minutes, a renewal every 45 s, a probe every five minutes, and nothing in it grows`,
    () => {
      const soak = new Soak();
      soak.runTo(1);
      const early = soak.census();
      const heapEarly = heapBytes();
      soak.runTo(HOURS);
      const late = soak.census();
      const heapLate = heapBytes();
      const seconds = (soak.world.now - 1_000_000) / 1_000;
      expect(soak.handshakes).toBeGreaterThanOrEqual(Math.floor(seconds / 125));
      expect(soak.handshakes).toBeLessThanOrEqual(Math.ceil(seconds / 120));
      expect(soak.renewals).toBeGreaterThanOrEqual(Math.floor(seconds / 45.5));
      // A rekey in the middle of a round of questions begins it anew.
      expect(soak.renewals).toBeLessThanOrEqual(Math.ceil(seconds / 44.5) + 1);
      expect(soak.probes.done).toBeGreaterThanOrEqual(Math.floor(seconds / 301));
      expect(soak.probes.done).toBeLessThanOrEqual(Math.ceil(seconds / 300) + 1);
      expect(soak.process.machine.prober?.facts(soak.world.now).verdict).toBe('ok');
      expect(soak.orders).toEqual(['run']);
      expect(soak.process.machine.guard.policy.state).toBe('connected');
      expect(soak.traffic.received).toBeGreaterThan(seconds * 1_000);
      expect(early.size).toBeGreaterThan(50);
      const grown = [...late].filter(([path, count]) => count > (early.get(path) ?? 0) * 1.5 + 4);
      expect(grown).toEqual([]);
      expect(heapLate - heapEarly).toBeLessThan(2_000_000);
    },
    deep(180_000, 3_600_000),
  );
});
