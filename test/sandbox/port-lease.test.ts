/** The lease of `core/portmap` in a real tunnel against the sandbox's real gateway, through every switch of it, in virtual time. */

import { describe, expect, it } from 'vitest';
import { formatIp } from '../../src/core/base/address.ts';
import { elapsedMs } from '../../src/core/base/instant.ts';
import { NatPmpLease, type NatPmpLeaseOptions } from '../../src/core/portmap/lease.ts';
import type { LeaseFacts } from '../../src/core/portmap/messages.ts';
import { GATEWAY_ADDRESSES } from '../../src/sandbox/addressing.ts';
import { NatPmpSwitches } from '../../src/sandbox/natpmp-gateway.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';
import { type Client, World } from './world.ts';

const INTERNAL = 40_000;

class Fixture {
  readonly switches = new NatPmpSwitches();
  readonly world = new World({ natpmp: this.switches });
  readonly lease: NatPmpLease;
  readonly client: Client;

  constructor(options: Partial<NatPmpLeaseOptions> = {}) {
    const gateway = GATEWAY_ADDRESSES[0]!;
    const given = { provider: 'natpmp' as const, gateway, internalPort: INTERNAL, random: new SeededRandom(5) };
    this.lease = new NatPmpLease({ ...given, ...options });
    this.client = this.world.addClient({ lease: this.lease });
  }

  get facts(): LeaseFacts {
    return this.lease.facts(this.world.now);
  }

  /** Runs until the lease is in this state; the seconds it took. */
  untilState(state: LeaseFacts['state'], limitMs = 120_000): number {
    const begun = this.world.now;
    if (!this.world.runUntil(() => this.facts.state === state, limitMs)) throw new Error(`still ${this.facts.state}`);
    return elapsedMs(begun, this.world.now) / 1000;
  }

  /** What is forwarded to the client, as `tcp 50000>40000`. */
  forwarded(): string[] {
    const leases = this.world.sandbox.natpmp.leases(this.world.now);
    return leases.map(({ protocol, externalPort, insidePort }) => `${protocol} ${externalPort}>${insidePort}`);
  }

  /** A host of the virtual internet connects to the public address, and is heard on this port inside. */
  async reaches(insidePort: number): Promise<boolean> {
    const host = this.world.addHost();
    const listener = await this.client.listen(insidePort);
    const address = this.world.sandbox.nat.publicAddress(4)!;
    const connected = await host.connect({ address, port: this.facts.port! }, 5_000).then(
      () => true,
      () => false,
    );
    this.client.post({ kind: 'close', socket: listener });
    return connected;
  }

  told(): string[] {
    return this.client.portForward.map((event) => event.kind);
  }
}

describe('a lease at the sandbox’s gateway', () => {
  it('is there with the first handshake, and the port is reached from outside (F9)', async () => {
    const fixture = new Fixture();
    fixture.untilState('mapped', 10);
    const { port, externalAddress, leaseSeconds } = fixture.facts;
    expect(fixture.forwarded()).toEqual([`udp ${port}>${INTERNAL}`, `tcp ${port}>${INTERNAL}`]);
    expect([formatIp(externalAddress!), leaseSeconds]).toEqual(['203.0.113.10', 60]);
    expect(await fixture.reaches(INTERNAL)).toBe(true);
    expect(fixture.client.machine.host.counts().udp).toBe(0);
  });

  it('lives for an hour on renewals alone', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    const { port } = fixture.facts;
    fixture.world.run(3_600_000);
    expect(fixture.facts).toMatchObject({ state: 'mapped', port });
    expect(fixture.forwarded()).toHaveLength(2);
    expect(fixture.told()).toEqual(['mapped', 'served']);
  });

  it('is symmetric at Proton VPN: the port arrives inside where it is outside', async () => {
    const fixture = new Fixture({ provider: 'protonvpn' });
    fixture.untilState('mapped');
    const { port } = fixture.facts;
    expect(fixture.forwarded()).toEqual([`udp ${port}>${port}`, `tcp ${port}>${port}`]);
    expect(await fixture.reaches(port!)).toBe(true);
  });

  it('switch symmetric = false: the plain form takes its place', async () => {
    const fixture = new Fixture({ provider: 'protonvpn' });
    fixture.switches.symmetric = false;
    fixture.untilState('mapped', 1_000);
    expect(await fixture.reaches(INTERNAL)).toBe(true);
  });

  it('switch enabled = false: nobody listens, which is silence to us, until it is on again', () => {
    const fixture = new Fixture();
    fixture.switches.enabled = false;
    expect(fixture.untilState('failed')).toBeCloseTo(8, 1);
    expect(fixture.facts.reason?.code).toBe('ERR_PORT_FORWARD_SILENT');
    fixture.switches.enabled = true;
    expect(fixture.untilState('mapped')).toBeLessThan(6.5);
  });

  it('switch silent: the port is announced to the last second of its lease, and not longer', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    fixture.switches.silent = true;
    expect(fixture.untilState('failed')).toBeCloseTo(60, 1);
    expect(fixture.forwarded()).toEqual([]);
    fixture.switches.silent = false;
    fixture.untilState('mapped');
    expect(fixture.told()).toEqual(['mapped', 'served', 'lost', 'failed', 'served', 'mapped', 'served']);
  });

  it.each([
    ['not-authorized', 'ERR_PORT_FORWARD_REFUSED'],
    ['network-failure', 'ERR_PORT_FORWARD_GATEWAY'],
    ['out-of-resources', 'ERR_PORT_FORWARD_FULL'],
  ] as const)('switch refuse = %s: a reason, and another try', (refuse, code) => {
    const fixture = new Fixture();
    fixture.switches.refuse = refuse;
    expect(fixture.untilState('failed')).toBeLessThan(0.1);
    expect(fixture.facts.reason?.code).toBe(code);
    fixture.switches.refuse = false;
    fixture.untilState('mapped', 6_500);
  });

  it('changePort: another port is announced with the next renewal, once', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    const { port } = fixture.facts;
    fixture.world.sandbox.natpmp.changePort(fixture.world.now);
    fixture.world.run(50_000);
    expect(fixture.facts.state).toBe('mapped');
    expect(fixture.facts.port).not.toBe(port);
    expect(fixture.told().filter((kind) => kind === 'mapped')).toHaveLength(2);
    expect(fixture.told()).not.toContain('lost');
  });

  it('switch dead: the lease looks well though nothing is forwarded, so the lease alone proves nothing', async () => {
    const fixture = new Fixture();
    fixture.switches.dead = true;
    fixture.untilState('mapped');
    expect(await fixture.reaches(INTERNAL)).toBe(false);
  });

  it.each(['internal-port', 'source'] as const)('switch lie = %s: such answers are not taken', (lie) => {
    const fixture = new Fixture();
    fixture.switches.lie = lie;
    expect(fixture.untilState('failed')).toBeCloseTo(8, 1);
    expect(fixture.facts.reason?.code).toBe('ERR_PORT_FORWARD_SILENT');
    expect(Object.keys(fixture.lease.drops.toJSON())).toEqual([
      lie === 'source' ? 'natpmp-source' : 'natpmp-unmatched',
    ]);
  });

  it('switch delayMs = 700: answers that come after two retransmissions are good enough', () => {
    const fixture = new Fixture();
    fixture.switches.delayMs = 700;
    expect(fixture.untilState('mapped')).toBeCloseTo(2.1, 1);
    expect(fixture.lease.drops.of('natpmp-unmatched')).toBeGreaterThan(0);
    fixture.world.run(600_000);
    expect(fixture.told()).toEqual(['mapped', 'served']);
  });

  it('switch maxLeaseSeconds = 10: renewed after 7.5 s', () => {
    const fixture = new Fixture();
    fixture.switches.maxLeaseSeconds = 10;
    fixture.untilState('mapped');
    expect(fixture.facts).toMatchObject({ leaseSeconds: 10, renewInSeconds: 8 });
    fixture.world.run(60_000);
    expect(fixture.told()).toEqual(['mapped', 'served']);
  });

  it('switch maxPortsPerClient = 0: no port left', () => {
    const fixture = new Fixture();
    fixture.switches.maxPortsPerClient = 0;
    fixture.untilState('failed', 1_000);
    expect(fixture.facts.reason?.code).toBe('ERR_PORT_FORWARD_FULL');
  });

  it('a server that loses its memory: a new handshake and the same port again, without an announcement', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    fixture.world.run(100_000);
    const { port } = fixture.facts;
    fixture.world.sandbox.restart(fixture.world.now);
    expect(fixture.forwarded()).toEqual([]);
    fixture.world.run(60_000);
    expect(fixture.forwarded()).toEqual([`udp ${port}>${INTERNAL}`, `tcp ${port}>${INTERNAL}`]);
    expect(fixture.told()).toEqual(['mapped', 'served']);
  });

  it('an outage longer than the lease: lost, and mapped again as soon as the server answers', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    fixture.world.sandbox.faults.silent = true;
    fixture.world.run(300_000);
    expect(fixture.facts.state).toBe('failed');
    fixture.world.sandbox.faults.silent = false;
    expect(fixture.untilState('mapped')).toBeLessThan(10);
  });

  it('a leak: lost with the connections, and mapped again as soon as it is over', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped', 10);
    const { port } = fixture.facts;
    const { machine } = fixture.client;
    const finding = { family: 4, observed: '192.0.2.7', expected: [], foundAtMs: 0 } as const;
    machine.mutateGuard(
      (guard) => guard.handleProbe({ verdict: 'leak', finding }, fixture.world.now),
      fixture.world.now,
    );
    expect(fixture.untilState('acquiring', 10)).toBe(0);
    // Long enough for the lease to fail meanwhile.
    fixture.world.run(12_000);
    const { findings } = machine.guard;
    machine.mutateGuard(
      (guard) => guard.handleProbe({ verdict: 'ok', family: 4, findings }, fixture.world.now),
      fixture.world.now,
    );
    expect(fixture.untilState('mapped', 10)).toBe(0);
    expect(fixture.facts.port).toBe(port);
    expect(fixture.told()).toEqual(['mapped', 'served', 'lost', 'served', 'failed', 'mapped', 'served']);
  });

  it('another internal port: the mapping moves there', async () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    fixture.client.machine.mutateLease((lease) => lease.setInternalPort(41_000, fixture.world.now), fixture.world.now);
    fixture.world.run(1_000);
    const { port } = fixture.facts;
    expect(fixture.forwarded()).toEqual([`udp ${port}>41000`, `tcp ${port}>41000`]);
    expect(await fixture.reaches(41_000)).toBe(true);
    expect(fixture.told()).not.toContain('lost');
  });

  it.each(['natpmp', 'protonvpn'] as const)('release: nothing is left at the gateway (%s)', (provider) => {
    const fixture = new Fixture({ provider });
    fixture.untilState('mapped');
    fixture.client.machine.mutateLease((lease) => lease.release(fixture.world.now), fixture.world.now);
    fixture.world.run(100);
    expect(fixture.forwarded()).toEqual([]);
    expect(fixture.told().at(-1)).toBe('released');
  });

  it('a bad line: the lease survives an hour of 10 % loss', () => {
    const fixture = new Fixture();
    fixture.untilState('mapped');
    fixture.world.sandbox.faults.loss = 0.1;
    fixture.world.run(3_600_000);
    expect(fixture.told()).not.toContain('lost');
  });
});
