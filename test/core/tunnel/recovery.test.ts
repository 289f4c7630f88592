/** From "the server answers again" to the first byte of payload, after outages of every kind and length. */
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { NatPmpSwitches } from '../../../src/sandbox/natpmp-gateway.ts';
import { deep } from '../../support/deep.ts';
import { type Provider, ProviderWorld } from '../../support/provider-world.ts';
import { Traffic } from '../../support/traffic.ts';
import { configurationFor, emptyDisk, type Names, TunnelProcess, watching } from '../../support/tunnel-process.ts';

/** Of each kind: a hundred together in `npm test`. */
const RUNS = deep(25, 100);
const LIMIT_MS = 20_000;
const NOBODY = ip('198.51.100.250');
/** Outages last from 2 s to 3 h; each order of magnitude is as likely. */
const [SHORTEST_MS, LONGEST_MS] = [2_000, 3 * 3_600_000];

/** What happens to the server when it falls silent, and just before it answers again. */
interface Story {
  readonly begin?: (outage: Outage) => void;
  readonly end?: (outage: Outage) => void;
  /** Shorter outages would be over before the addresses could have been tried in turn. */
  readonly shortestMs?: number;
}

const STORIES: Readonly<Record<string, Story>> = {
  'the line is cut and mended': {},
  'the server is killed and started again with the same keys': {
    end: (outage) => outage.restart(),
  },
  'the server is started again at a new address behind the same name': {
    end: (outage) => {
      outage.restart();
      outage.move();
    },
  },
  'the server is started again at the second address of its name, with nobody at the first': {
    begin: (outage) => {
      outage.move();
      outage.names.addresses = [[NOBODY, outage.provider.address]];
    },
    end: (outage) => outage.restart(),
    shortestMs: 30_000,
  },
};

class Outage {
  readonly world: ProviderWorld;
  readonly provider: Provider;
  readonly names: Names;
  readonly process: TunnelProcess;
  readonly traffic: Traffic;

  constructor(seed: number) {
    this.world = new ProviderWorld(seed);
    this.provider = this.world.addProvider(ip('198.51.100.2'), ip('203.0.113.10'), new NatPmpSwitches());
    this.names = { addresses: [[this.provider.address]], resolver: 'answers' };
    const disk = emptyDisk();
    const watcher = watching({ socketEvent: (event) => this.traffic.handleEvent(event) });
    const { world, names } = this;
    this.process = new TunnelProcess({ world, disk, names, watcher }, [configurationFor(this.provider, world)]);
    this.traffic = new Traffic(world, this.process, this.provider, {
      dialEveryMs: 5_000,
      sendEveryMs: 1_000,
      connections: 5,
    });
    world.near = this.process;
    this.process.start();
  }

  restart(): void {
    this.provider.sandbox.restart(this.world.now);
  }

  move(): void {
    this.provider.address = ip(`198.51.100.${10 + this.world.random.below(200)}`);
    this.names.addresses = [[this.provider.address]];
  }

  /** Milliseconds from the server's first word to the first byte of payload. */
  measure({ begin, end, shortestMs = SHORTEST_MS }: Story): number {
    const { world, provider, traffic } = this;
    world.run(5_000 + world.random.below(130_000));
    if (traffic.received === 0) throw new Error('no traffic to begin with');
    provider.silence();
    begin?.(this);
    const share = world.random.below(1_000) / 1_000;
    world.run(shortestMs * (LONGEST_MS / shortestMs) ** share);
    end?.(this);
    provider.heal();
    const [before, from] = [traffic.received, world.now];
    world.runUntil(() => traffic.received > before, 10 * LIMIT_MS);
    return world.now - from;
  }
}

describe('from the server’s first word to the first byte of payload', () => {
  it.each(Object.entries(STORIES))(
    `it takes 20 s at most, ${RUNS} times of ${RUNS}: %s`,
    (_, story) => {
      const slow: string[] = [];
      for (let seed = 1; seed <= RUNS; seed++) {
        const ms = new Outage(seed).measure(story);
        if (ms > LIMIT_MS) slow.push(`seed ${seed}: ${ms} ms`);
      }
      expect(slow).toEqual([]);
    },
    120_000,
  );
});
