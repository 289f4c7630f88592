/** The guard in the tunnel: what flows, waits and dies in each of its states, against a WireGuard server in virtual time. */
import { beforeEach, describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../../src/core/base/address.ts';
import { Burst } from '../../../src/core/base/burst.ts';
import { u16be } from '../../../src/core/base/bytes.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import type { GuardSettings } from '../../../src/core/guard/guard.ts';
import type { SocketEvent } from '../../../src/core/netstack/messages.ts';
import { CONNECT_WAIT_MS, MAX_WAITING } from '../../../src/core/tunnel/gate.ts';
import { type TunnelEvent, TunnelMachine } from '../../../src/core/tunnel/tunnel-machine.ts';
import { writeIpv4Header } from '../../../src/core/wire/ipv4.ts';
import { tai64n } from '../../../src/core/wireguard/timestamps.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { deep } from '../../support/deep.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { A_OUTER, B_OUTER, End, net } from '../../support/wireguard-ends.ts';

const REMOTE = { address: ip('203.0.113.80'), port: 6881 };
const PROBE = { address: ip('203.0.113.90'), port: 443 };
const DNS = ip('10.66.0.53');

/** A client tunnel and a server that decrypts and keeps what comes; `silent` cuts the line. */
class World {
  now: Instant = instant(0);
  silent = false;
  readonly server: End;
  readonly client: TunnelMachine;
  readonly sockets: SocketEvent[] = [];
  readonly events: TunnelEvent[] = [];
  readonly #burst = new Burst(64, 2048);

  constructor(guard: GuardSettings = {}, keepalive = 25) {
    const privateKey = new SeededRandom(7).bytes(32);
    this.server = new End({ seed: 3, endpoint: B_OUTER });
    const options = { publicKey: this.server.publicKey, allowedIps: [net('0.0.0.0/0')] };
    this.client = new TunnelMachine(
      {
        privateKey,
        peers: [{ ...options, persistentKeepaliveSeconds: keepalive }],
        addresses: [ip('10.66.0.1')],
        dnsServers: [DNS],
        mtu: 1420,
        crypto: nodeCrypto,
        random: new SeededRandom(8),
        timestamp: () => tai64n(1_790_000_000 + Math.floor(this.now / 1000), Math.floor((this.now % 1000) * 1e6)),
        guard,
      },
      this.now,
    );
    this.server.addPeer(this.client.device, { allowedIps: [net('10.66.0.0/24')] });
  }

  open(): this {
    this.client.setEndpoint(this.client.peers[0]!, B_OUTER, this.now);
    this.turn();
    return this;
  }

  /** One turn of the driver, until neither side has anything to send. */
  turn(): void {
    for (let busy = true; busy; ) {
      busy = false;
      this.#burst.clear();
      this.client.transmit(this.#burst, this.now);
      const sent = Array.from({ length: this.#burst.count }, (_, i) => Uint8Array.from(this.#burst.datagram(i)));
      this.server.now = this.now;
      if (!this.silent) for (const bytes of sent) this.server.feed(bytes, A_OUTER);
      while (this.server.outbox.length > 0) {
        busy = true;
        this.#burst.clear();
        const bytes = this.server.take();
        this.#burst.append(bytes, B_OUTER);
        if (!this.silent) this.client.handleBurst(this.#burst, this.now);
      }
      busy ||= sent.length > 0;
    }
    for (let event = this.client.nextTunnelEvent(); event; event = this.client.nextTunnelEvent())
      this.events.push(event);
    for (let event = this.client.nextOutput(); event; event = this.client.nextOutput()) this.sockets.push(event);
  }

  pass(seconds: number): void {
    const end = this.now + seconds * 1_000;
    const due = (): number =>
      Math.min(this.client.nextTimeout() ?? Infinity, this.server.device.nextTimeout() ?? Infinity);
    for (let next = due(); next <= end; next = due()) {
      this.now = instant(Math.max(this.now, next));
      this.client.handleTimeout(this.now);
      this.server.advanceTo(this.now);
      this.turn();
    }
    this.now = instant(end);
  }

  connect(socket: number, to = REMOTE): void {
    this.client.handleCommand({ kind: 'tcp-connect', socket, to }, this.now);
    this.turn();
  }

  /** Where the inner packets that reached the server since the last call went, `address:port`. */
  arrived(): string[] {
    return this.server.inbox
      .splice(0)
      .map((packet) => `${formatIp({ family: 4, bytes: packet.slice(16, 20) })}:${u16be(packet, 22)}`);
  }

  closed(): SocketEvent[] {
    return this.sockets.splice(0).filter(({ kind }) => kind === 'closed');
  }

  leak(): void {
    const finding = { family: 4, observed: '192.0.2.7', expected: [], foundAtMs: 0 } as const;
    this.client.mutateGuard((guard) => guard.handleProbe({ verdict: 'leak', finding }, this.now), this.now);
    this.turn();
  }

  clean(): void {
    const { findings } = this.client.guard;
    this.client.mutateGuard((guard) => guard.handleProbe({ verdict: 'ok', family: 4, findings }, this.now), this.now);
    this.turn();
  }

  get policy() {
    return this.client.guard.policy;
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

/** A UDP socket with id 9 that sends to REMOTE. */
function sendDatagram(): void {
  world.client.handleCommand({ kind: 'udp-send', socket: 9, to: REMOTE, bytes: new Uint8Array(10) }, world.now);
  world.turn();
}

describe('before the first handshake', () => {
  it('connections wait, and connect at once when it comes', () => {
    world.connect(1);
    expect(world.policy).toMatchObject({ state: 'connecting', flow: 'closed' });
    world.open();
    expect(world.policy.state).toBe('connected');
    expect(world.arrived()).toEqual(['203.0.113.80:6881']);
  });

  it('connections that have waited 30 s fail with ETIMEDOUT, and others may wait after them', () => {
    world.connect(1);
    world.pass(CONNECT_WAIT_MS / 1000 - 1);
    world.connect(2);
    expect(world.closed()).toEqual([]);
    world.pass(1);
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1, error: 'ETIMEDOUT' }]);
  });

  it('a connection that waits can be given up, and keeps what was asked of it', () => {
    world.connect(1);
    world.connect(2);
    world.client.handleCommand({ kind: 'tcp-abort', socket: 1 }, world.now);
    world.client.handleCommand({ kind: 'tcp-options', socket: 2, noDelay: true }, world.now);
    world.turn();
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1 }]);
    world.open();
    expect(world.arrived()).toEqual(['203.0.113.80:6881']);
  });

  it('1024 connections wait; more fail at once', () => {
    for (let socket = 1; socket <= MAX_WAITING + 1; socket++)
      world.client.handleCommand({ kind: 'tcp-connect', socket, to: REMOTE }, world.now);
    world.turn();
    expect(world.closed()).toEqual([{ kind: 'closed', socket: MAX_WAITING + 1, error: 'ENETUNREACH' }]);
  });

  it('datagrams are dropped and counted', () => {
    world.client.handleCommand({ kind: 'udp-bind', socket: 9, family: 4, port: 0 }, world.now);
    sendDatagram();
    world.open();
    expect(world.arrived()).toEqual([]);
    expect(world.client.drops.toJSON()).toEqual({ 'guard-closed': 1 });
    sendDatagram();
    expect(world.arrived()).toEqual(['203.0.113.80:6881']);
  });
});

describe('an idle tunnel', () => {
  it('is never stale, nor degraded, in hours of keepalives alone (G9)', () => {
    world.open();
    world.events.length = 0;
    const hours = deep(2, 24);
    world.pass(hours * 3_600);
    expect(world.events.filter(({ kind }) => kind === 'guard')).toEqual([]);
    expect(world.policy.state).toBe('connected');
    expect(world.events.filter(({ kind }) => kind === 'handshake').length).toBeGreaterThan(hours * 20);
  });

  it('is never stale without keepalive either, and says nothing at all', () => {
    world = new World({ keepalive: false }, 0).open();
    world.pass(86_400);
    expect(world.policy.state).toBe('connected');
  });
});

describe('a silent server', () => {
  beforeEach(() => void world.open());

  it('is noticed at the latest 45 s after the last packet under traffic, exactly 30 s after the initiation (G12)', () => {
    world.connect(1);
    world.silent = true;
    const cut = world.now;
    while (world.policy.flow === 'open') world.pass(0.1);
    expect(world.policy).toMatchObject({ state: 'reconnecting', clients: 'pause' });
    expect(world.now - world.client.peers[0]!.initiationUnansweredSince!).toBeGreaterThanOrEqual(30_000);
    expect(world.now - world.client.peers[0]!.initiationUnansweredSince!).toBeLessThanOrEqual(30_100);
    expect(world.now - cut).toBeLessThan(46_000);
  });

  it('makes new connections wait and leaves old ones alone; both go on with the next handshake', () => {
    world.connect(1);
    world.silent = true;
    world.pass(50);
    world.connect(2);
    expect(world.closed()).toEqual([]);
    world.arrived();
    world.silent = false;
    world.pass(6);
    expect(world.policy.state).toBe('connected');
    expect(world.arrived().length).toBeGreaterThanOrEqual(2);
    expect(world.client.host.counts().tcp).toBe(2);
  });

  it('is not noticed with the killswitch off: nothing waits', () => {
    world = new World({ killswitch: false }).open();
    world.silent = true;
    world.pass(300);
    world.connect(1);
    expect(world.policy).toMatchObject({ state: 'reconnecting', flow: 'open', clients: 'leave' });
    expect(world.client.host.counts().tcp).toBe(1);
  });
});

describe('a leak', () => {
  beforeEach(() => void world.open());

  it('ends every connection, and lets nothing leave but the probe and its questions for names', () => {
    world.connect(1);
    world.client.handleCommand({ kind: 'udp-bind', socket: 9, family: 4, port: 0 }, world.now);
    world.client.handleCommand({ kind: 'tcp-listen', socket: 8, port: 7000, backlog: 5 }, world.now);
    world.arrived();
    world.leak();
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1, error: 'ENETUNREACH' }]);
    sendDatagram();
    world.connect(2);
    world.client.admitProbe(3);
    world.connect(3, PROBE);
    world.client.handleCommand({ kind: 'resolve', query: 1, name: 'ip.example', family: 4 }, world.now);
    world.turn();
    const arrived = new Set(world.arrived());
    expect(arrived).toEqual(new Set(['203.0.113.90:443', '10.66.0.53:53']));
  });

  it('lets no answer of the stack leave either: a stranger’s datagram is met with silence', () => {
    const knock = new Uint8Array(28);
    writeIpv4Header(knock, 0, 8, 17, REMOTE.address.bytes, ip('10.66.0.1').bytes);
    // From port 6881 to port 9999, without a checksum.
    knock.set([0x1a, 0xe1, 0x27, 0x0f, 0, 8, 0, 0], 20);
    world.server.send(knock);
    world.turn();
    expect(world.arrived()).toHaveLength(1);
    world.leak();
    world.server.send(knock);
    world.turn();
    expect(world.arrived()).toEqual([]);
    expect(world.client.drops.toJSON()).toEqual({ 'guard-closed': 1 });
  });

  it('is not ended by the handshakes that go on (G2)', () => {
    world.leak();
    world.pass(600);
    expect(world.policy).toMatchObject({ state: 'blocked', flow: 'probe', clients: 'pause' });
  });

  it('ends with a clean probe: what waited connects', () => {
    world.leak();
    world.connect(2);
    world.arrived();
    world.clean();
    expect(world.arrived()).toEqual(['203.0.113.80:6881']);
  });
});

describe('a person who switches the VPN off', () => {
  it('ends every connection; nothing leaves until it is on again and a handshake is made', () => {
    world.open();
    world.connect(1);
    world.pass(10);
    world.arrived();
    world.client.setEnabled(false, world.now);
    world.turn();
    expect(world.closed()).toEqual([{ kind: 'closed', socket: 1, error: 'ENETUNREACH' }]);
    world.connect(2);
    world.client.handleCommand({ kind: 'resolve', query: 1, name: 'ip.example', family: 4 }, world.now);
    world.pass(5);
    expect(world.arrived()).toEqual([]);
    expect(world.policy.state).toBe('disabled');
    world.arrived();
    world.client.setEnabled(true, world.now);
    world.turn();
    world.pass(6);
    expect(world.policy.state).toBe('connected');
    expect(world.arrived()).toContain('203.0.113.80:6881');
  });
});
