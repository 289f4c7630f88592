/** The search for a server that answers, as part of the tunnel: what the shell is asked to do, and what becomes of sockets and sessions. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { RESUME_WAIT_MS } from '../../../src/core/tunnel/clients-order.ts';
import type { TunnelEvent } from '../../../src/core/tunnel/messages.ts';
import { ScriptedLease } from '../../support/scripted-lease.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { DNS, REMOTE, TunnelWorld } from '../../support/tunnel-world.ts';
import { B_OUTER, End, net } from '../../support/wireguard-ends.ts';

const SERVER = B_OUTER.address;

let world: TunnelWorld;
beforeEach(() => {
  world = new TunnelWorld();
});

/** What the shell was asked for since the last call, oldest first. */
function asked(): string[] {
  return world.events.splice(0).flatMap((event: TunnelEvent) => {
    if (event.kind !== 'reconnect') return [];
    const { output } = event;
    return [
      output.kind === 'try'
        ? `try ${output.configuration} ${output.address.bytes.join('.')}`
        : `${output.kind} ${output.configuration}`,
    ];
  });
}

const start = (): void => {
  world.client.start(world.now);
  world.turn();
};
const resolved = (...addresses: (typeof SERVER)[]): void => {
  world.client.mutateReconnect((reconnect) => reconnect.handleAddresses(addresses, world.now), world.now);
  world.turn();
};
const connect = (): void => world.client.setEndpoint(world.client.peers[0]!, B_OUTER, world.now);

describe('a tunnel that is opened', () => {
  it('asks for the name, then for a port to the address, and rests when a handshake came', () => {
    start();
    expect(asked()).toEqual(['resolve 0']);
    resolved(SERVER);
    expect(asked()).toEqual([`try 0 ${SERVER.bytes.join('.')}`]);
    connect();
    world.turn();
    expect(world.policy.state).toBe('connected');
    world.pass(3_600);
    expect(asked()).toEqual([]);
  });

  it('tries again from 5 s on, without end, while nothing answers', () => {
    world.silent = true;
    start();
    let rounds = 0;
    for (let seconds = 0; seconds < 3_600; seconds += 0.5) {
      for (const what of asked())
        if (what.startsWith('resolve')) {
          rounds++;
          resolved(SERVER);
        } else connect();
      world.pass(0.5);
    }
    expect(rounds).toBeGreaterThan(3_600 / 16);
    expect(rounds).toBeLessThan(3_600 / 12);
    expect(world.policy.reason).toMatchObject({ code: 'unanswered' });
  });

  it('says that the host has no route, until there is one', () => {
    start();
    resolved(SERVER);
    world.client.mutateReconnect((reconnect) => reconnect.handleNoRoute(4, world.now), world.now);
    expect(world.policy.reason).toMatchObject({ code: 'no-route' });
    asked();
    world.client.handleNetworkChange(world.now);
    world.turn();
    expect(asked()).toEqual(['resolve 0']);
    expect(world.policy.reason).toMatchObject({ code: 'starting' });
  });
});

describe('a tunnel whose server falls silent', () => {
  beforeEach(() => {
    start();
    resolved(SERVER);
    connect();
    world.turn();
    asked();
  });

  it('is looked for again after two initiations in vain, long before it is stale', () => {
    world.silent = true;
    world.connect(1);
    world.pass(27);
    expect(asked()[0]).toBe('resolve 0');
    expect(world.policy.flow).toBe('open');
  });

  it('is looked for as soon if the session is due for another anyway, and every packet asks for a handshake', () => {
    world.pass(119);
    world.client.handleCommand({ kind: 'udp-bind', socket: 9, family: 4, port: 0 }, world.now);
    world.silent = true;
    for (let second = 0; second < 12; second++) {
      const bytes = new Uint8Array(10);
      world.client.handleCommand({ kind: 'udp-send', socket: 9, to: REMOTE, bytes }, world.now);
      world.turn();
      world.pass(1);
    }
    expect(asked()).toEqual(['resolve 0']);
  });

  it('is not looked for when a single initiation got lost', () => {
    world.pass(119);
    world.silent = true;
    while (world.client.peers[0]!.initiationUnansweredSince === undefined) world.pass(0.1);
    world.silent = false;
    world.pass(10);
    expect(asked()).toEqual([]);
    expect(world.policy.state).toBe('connected');
  });

  it('is looked for no more once a person has switched the VPN off, and again when it is on', () => {
    world.client.setEnabled(false, world.now);
    world.silent = true;
    world.turn();
    asked();
    world.pass(600);
    expect(asked()).toEqual([]);
    world.client.setEnabled(true, world.now);
    world.turn();
    expect(asked()).toEqual(['resolve 0']);
  });
});

describe('a fallback configuration', () => {
  const other = new End({ seed: 5, endpoint: B_OUTER });
  const fallback = {
    privateKey: new SeededRandom(77).bytes(32),
    peers: [{ publicKey: other.publicKey, allowedIps: [net('0.0.0.0/0')], persistentKeepaliveSeconds: 25 }],
    addresses: [ip('10.77.0.1')],
    dnsServers: [DNS],
    mtu: 1380,
  };

  beforeEach(() => {
    world = new TunnelWorld({}, 25, { fallbacks: [fallback] });
    start();
    resolved(SERVER);
    connect();
    world.turn();
  });

  const fallBack = (): void => {
    world.silent = true;
    for (let i = 0; i < 2_000 && world.client.configuration === 0; i++) {
      for (const what of asked()) if (what.startsWith('resolve')) resolved(SERVER);
      world.pass(0.1);
    }
  };

  it('is taken after three rounds in vain, with its own key, addresses and MTU; every connection ends', () => {
    world.connect(1);
    world.client.handleCommand({ kind: 'tcp-listen', socket: 2, port: 6881, backlog: 4 }, world.now);
    fallBack();
    expect(world.client).toMatchObject({ configuration: 1, mtu: 1380 });
    expect(world.client.device.publicKey).not.toEqual(world.server.publicKey);
    expect(world.client.peers[0]!.publicKey).toEqual(other.publicKey);
    expect(world.policy).toMatchObject({ flow: 'closed' });
    expect(world.policy.killswitch.reasons).toContain('starting');
    expect(world.closed()).toMatchObject([{ kind: 'closed', socket: 1 }]);
    expect(world.client.host.counts()).toMatchObject({ tcp: 0, listening: 1 });
  });

  it('asks for a look at the first server every five minutes, and goes back when that one is well', () => {
    fallBack();
    const first = world.server.publicKey;
    world.server = other;
    other.now = world.now;
    other.addPeer(world.client.device, { allowedIps: [net('10.77.0.0/24')] });
    world.silent = false;
    connect();
    world.turn();
    expect(world.policy.state).toBe('connected');
    asked();
    world.pass(300);
    expect(asked()).toEqual(['check 0']);
    world.client.mutateReconnect((reconnect) => reconnect.handleCheck(true, world.now), world.now);
    world.turn();
    expect(asked()).toContain('resolve 0');
    resolved(SERVER);
    expect(world.client).toMatchObject({ configuration: 0, mtu: 1420 });
    expect(world.client.peers[0]!.publicKey).toEqual(first);
  });
});

describe('torrent clients', () => {
  let lease: ScriptedLease;
  const orders = (): string[] =>
    world.events.splice(0).flatMap((event) => (event.kind === 'clients' ? [event.order] : []));

  beforeEach(() => {
    lease = new ScriptedLease();
    world = new TunnelWorld({}, 25, { lease });
    world.open();
  });

  it('may run once the port is there', () => {
    world.pass(3);
    expect(orders()).toEqual([]);
    lease.state = 'mapped';
    world.client.mutateLease(() => {}, world.now);
    world.turn();
    expect(orders()).toEqual(['run']);
  });

  it('wait for the port eight seconds at most, to the millisecond', () => {
    world.pass(RESUME_WAIT_MS / 1_000 - 0.001);
    expect(orders()).toEqual([]);
    world.pass(0.001);
    expect(orders()).toEqual(['run']);
  });

  it('do not wait for a gateway that refuses, nor for a renewal', () => {
    lease.state = 'failed';
    world.client.mutateLease(() => {}, world.now);
    world.turn();
    expect(orders()).toEqual(['run']);
  });

  it('are not told to run by what held before a sleep: on waking, the session is too old', () => {
    world.pass(3);
    world.silent = true;
    world.now = instant(world.now + 3_600_000);
    // What the shell notices first.
    world.client.handleNetworkChange(world.now);
    world.turn();
    world.client.handleTimeout(world.now);
    world.turn();
    expect(orders()).toEqual(['pause']);
  });

  it('pause at once, and wait anew after each outage', () => {
    lease.state = 'mapped';
    world.client.mutateLease(() => {}, world.now);
    world.turn();
    world.silent = true;
    world.connect(1);
    world.pass(31);
    expect(orders()).toEqual(['run', 'pause']);
    lease.state = 'failed';
    lease.asking = true;
    world.silent = false;
    world.pass(6);
    expect(world.policy.state).toBe('connected');
    expect(orders()).toEqual([]);
    world.pass(8);
    expect(orders()).toEqual(['run']);
  });
});
