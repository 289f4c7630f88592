/** What a tunnel had before an outage it has after it, by itself: the forwarded port, listeners, sockets. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import type { SocketCommand, SocketEvent } from '../../../src/core/netstack/messages.ts';
import { hostAddresses } from '../../../src/sandbox/addressing.ts';
import { NatPmpSwitches } from '../../../src/sandbox/natpmp-gateway.ts';
import type { HostNode } from '../../../src/sandbox/nodes.ts';
import { type Provider, ProviderWorld } from '../../support/provider-world.ts';
import { configurationFor, emptyDisk, INTERNAL_PORT, TunnelProcess, watching } from '../../support/tunnel-process.ts';

const EXIT = ip('203.0.113.10');
const [LISTENER, DATAGRAMS] = [1, 2];
/** Longer than the lease, the session and every timer of either. */
const OUTAGE_MS = 900_000;

let world: ProviderWorld;
let provider: Provider;
let process: TunnelProcess;
let stranger: HostNode;
let events: SocketEvent[];
let ports: (number | undefined)[];
/** What clients are told, and `port` for each word on the port. */
let orders: string[];
let lastSocket = 0;

beforeEach(() => {
  world = new ProviderWorld(1);
  provider = world.addProvider(ip('198.51.100.2'), EXIT, new NatPmpSwitches());
  events = [];
  ports = [];
  orders = [];
  const watcher = watching({
    socketEvent: (event) => events.push(event),
    announced: (port) => {
      ports.push(port);
      orders.push('port');
    },
    ordered: (order) => orders.push(order),
  });
  const names = { addresses: [[provider.address]], resolver: 'answers' as const };
  process = new TunnelProcess({ world, disk: emptyDisk(), names, watcher }, [configurationFor(provider, world)]);
  world.near = process;
  process.start();
  stranger = provider.sandbox.addHost(hostAddresses(0), world.now);
  const { machine } = process;
  machine.handleCommand({ kind: 'tcp-listen', socket: LISTENER, port: INTERNAL_PORT, backlog: 5 }, world.now);
  machine.handleCommand({ kind: 'udp-bind', socket: DATAGRAMS, family: 4, port: INTERNAL_PORT }, world.now);
  world.run(5_000);
});

/** A stranger on the internet connects and sends a datagram to the announced port: what arrives in the tunnel. */
function knock(): string[] {
  const to = { address: EXIT, port: ports.at(-1)! };
  const post = (command: SocketCommand): void => provider.sandbox.handleCommand(stranger, command, world.now);
  const [stream, datagrams] = [++lastSocket, ++lastSocket];
  events.length = 0;
  post({ kind: 'tcp-connect', socket: stream, to });
  post({ kind: 'udp-bind', socket: datagrams, family: 4, port: 0 });
  post({ kind: 'udp-send', socket: datagrams, bytes: new Uint8Array(9), to });
  world.run(1_000);
  return events.map(({ kind }) => kind).sort();
}

const both = ['tcp-accepted', 'udp-datagram'];

describe.each([
  ['the server is silent', () => {}],
  ['the server is killed and started again', () => provider.sandbox.restart(world.now)],
])('after an outage in which %s', (_, happen) => {
  beforeEach(() => {
    expect(knock()).toEqual(both);
    provider.silence();
    world.run(OUTAGE_MS);
    expect(ports).toEqual([expect.any(Number), undefined]);
    happen();
    provider.heal();
    world.run(20_000);
  });

  it('a port is forwarded again, without anybody’s doing (G6)', () => {
    expect(process.machine.guard.policy.state).toBe('connected');
    expect(ports).toEqual([expect.any(Number), undefined, expect.any(Number)]);
    world.run(3_600_000);
    expect(ports).toHaveLength(3);
  });

  it('listeners and UDP sockets that were open before are reached (G11)', () => {
    expect(knock()).toEqual(both);
  });
});

it.each([900, 913, 929])(
  'after a leak of %i s the port is asked for at once, and clients resume with it (G6)',
  (seconds) => {
    const finding = { family: 4, observed: '192.0.2.7', expected: [], foundAtMs: 0 } as const;
    const { machine } = process;
    machine.mutateGuard((guard) => guard.handleProbe({ verdict: 'leak', finding }, world.now), world.now);
    world.run(1_000 * seconds);
    expect(ports).toEqual([expect.any(Number), undefined]);
    orders.length = 0;
    machine.mutateGuard((guard) => guard.accept(world.now), world.now);
    world.run(1_000);
    expect(ports).toEqual([expect.any(Number), undefined, expect.any(Number)]);
    expect(orders).toEqual(['port', 'run']);
  },
);

it('a socket needs no interface: those opened before the first handshake work after it, and over any number of them (G11)', () => {
  for (let hour = 0; hour < 3; hour++) {
    world.run(3_600_000);
    expect(knock()).toEqual(both);
  }
});
