/** The leak probe in the tunnel: what the shell is asked for, and what its answers do to sockets, guard and lease. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { Egress } from '../../../src/core/guard/egress.ts';
import type { ProberEvent } from '../../../src/core/guard/prober-messages.ts';
import { ScriptedLease } from '../../support/scripted-lease.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { TunnelWorld } from '../../support/tunnel-world.ts';
import { B_OUTER, End, net } from '../../support/wireguard-ends.ts';

const EXIT = '203.0.113.10';
const ELSEWHERE = '192.0.2.7';

let world: TunnelWorld;
let egress: Egress;
let lease: ScriptedLease;

beforeEach(() => {
  egress = new Egress({});
  lease = new ScriptedLease();
  lease.state = 'off';
  const probe = { egress, servers: { 4: 2, 6: 2 }, wallMs: () => 0 };
  world = new TunnelWorld({}, 25, { probe, lease });
});

/** What the prober has to say since the last call. */
function events(): ProberEvent[] {
  return world.events.splice(0).flatMap((event) => (event.kind === 'probe' ? [event.event] : []));
}

/** Answers every question with `exit`, until there is none. */
function answer(exit: string): string[] {
  const seen: string[] = [];
  for (let batch = events(); batch.length > 0; batch = events())
    for (const event of batch) {
      seen.push(event.kind);
      if (event.kind !== 'ask') continue;
      const body = new TextEncoder().encode(exit);
      world.client.mutateProber((prober) => prober.handleAnswer(event.number, body, world.now), world.now);
      world.turn();
    }
  return seen;
}

const vouch = (address: string): void => {
  lease.outputs.push({ kind: 'mapped', port: 1, externalAddress: ip(address) });
  world.client.mutateLease(() => {}, world.now);
  world.turn();
};

describe('the probe in the tunnel', () => {
  it('asks after the first handshake, over the families of the configuration', () => {
    world.turn();
    expect(events()).toEqual([]);
    world.open();
    expect(events()).toEqual([{ kind: 'ask', number: 1, family: 4, server: 0 }]);
  });

  it('asks every five minutes by the tunnel’s own timer', () => {
    world.open();
    expect(answer(EXIT)).toEqual(['ask', 'ask', 'remember', 'done']);
    world.pass(299);
    expect(events()).toEqual([]);
    world.pass(1);
    expect(answer(EXIT)).toEqual(['ask', 'done']);
  });

  it('engages the guard in the same call in which a leak is confirmed, and ends what is open', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    world.connect(1);
    answer(ELSEWHERE);
    expect(world.policy).toMatchObject({ state: 'blocked', flow: 'probe' });
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1, error: 'ENETUNREACH' }]);
    expect(lease.restarts).toBe(1);
  });

  it('is asked a minute later through the leak, and a clean answer ends it', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    answer(ELSEWHERE);
    world.pass(60);
    answer(EXIT);
    expect(world.policy).toMatchObject({ state: 'connected', flow: 'open' });
  });

  it('tells the guard’s events before its own: what must be written first, is', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    const say = (): void => {
      const [ask] = events();
      const body = new TextEncoder().encode(ELSEWHERE);
      const number = ask?.kind === 'ask' ? ask.number : 0;
      world.client.mutateProber((prober) => prober.handleAnswer(number, body, world.now), world.now);
      world.turn();
    };
    say();
    say();
    const kinds = world.events.map((event) =>
      event.kind === 'guard' ? event.output.kind : event.kind === 'probe' ? event.event.kind : event.kind,
    );
    expect(kinds.slice(0, 2)).toEqual(['remember', 'engaged']);
    expect(kinds.at(-1)).toBe('done');
  });

  it('resets connections, and has the port forwarded anew, when the exit moves within its network', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    world.connect(1);
    answer('203.0.113.11');
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1, error: 'ECONNRESET' }]);
    expect(lease.restarts).toBe(1);
    expect(world.policy.state).toBe('connected');
  });

  it('is over when the tunnel goes stale, and asks nothing until it is back', () => {
    world.open();
    world.silent = true;
    world.connect(1);
    expect(events().map(({ kind }) => kind)).toEqual(['ask']);
    const flow = (): string => world.policy.flow;
    while (flow() === 'open') world.pass(1);
    const told = events().map(({ kind }) => kind);
    // Two servers have not answered in ten seconds each, and two more, half a minute later.
    expect(told.filter((kind) => kind === 'ask').length).toBeLessThanOrEqual(4);
    world.pass(120);
    expect(events()).toEqual([]);
    world.silent = false;
    while (flow() !== 'open') world.pass(1);
    expect(events().map(({ kind }) => kind)).toEqual(['ask']);
  });
});

describe('the gateway’s word', () => {
  it('is waited for while the port is asked for, and learnt before anything is compared', () => {
    lease.state = 'acquiring';
    world.open();
    world.pass(3);
    expect(events()).toEqual([]);
    lease.state = 'mapped';
    vouch(EXIT);
    expect(answer(EXIT)).toEqual(['remember', 'ask', 'done']);
  });

  it('is not waited for where there is none', () => {
    lease.state = 'acquiring';
    world.open();
    lease.outputs.push({ kind: 'failed', reason: { code: 'ERR_PORT_FORWARD_SILENT', message: '', hint: '' } });
    world.client.mutateLease(() => {}, world.now);
    world.turn();
    expect(events().map(({ kind }) => kind)).toEqual(['ask']);
  });

  it('is not believed through a leak', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    answer(ELSEWHERE);
    vouch(ELSEWHERE);
    expect(egress.judge(world.client.peers[0]!.publicKey, ip(ELSEWHERE))).toBe('mismatch');
  });
});

describe('another configuration', () => {
  it('has exits of its own: what was learnt for the first server is not expected of it', () => {
    const other = new End({ seed: 9, endpoint: B_OUTER });
    const fallback = {
      privateKey: new SeededRandom(21).bytes(32),
      peers: [{ publicKey: other.publicKey, allowedIps: [net('::/0')] }],
      addresses: [ip('fd00::2')],
      dnsServers: [],
      mtu: 1380,
    };
    const probe = { egress, servers: { 4: 2, 6: 2 }, wallMs: () => 0 };
    world = new TunnelWorld({}, 25, { probe, lease, fallbacks: [fallback] });
    const { prober } = world.client;
    const families = (): number[] => prober!.facts(world.now).families.map(({ family }) => family);
    world.client.start(world.now);
    world.open();
    answer(EXIT);
    expect(families()).toEqual([4]);
    world.silent = true;
    for (let i = 0; i < 2_000 && world.client.configuration === 0; i++) {
      world.client.mutateReconnect((reconnect) => reconnect.handleAddresses([B_OUTER.address], world.now), world.now);
      world.pass(0.1);
    }
    expect(families()).toEqual([6]);
    expect(prober!.facts(world.now)).toMatchObject({ verdict: 'pending', families: [{ expected: [] }] });
  });
});

describe('a person’s word', () => {
  it('ends the leak, and the exit is expected from then on', () => {
    world.open();
    answer(EXIT);
    world.pass(300);
    answer(ELSEWHERE);
    world.client.acceptExit(world.now);
    expect(world.policy.flow).toBe('open');
    world.client.mutateProber((prober) => prober.demand(world.now), world.now);
    world.turn();
    expect(answer(ELSEWHERE)).toContain('ask');
    expect(world.policy.state).toBe('connected');
  });
});
