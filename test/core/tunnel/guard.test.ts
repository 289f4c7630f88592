/** The guard in the tunnel: what flows, waits and dies in each of its states, against a WireGuard server in virtual time. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { CONNECT_WAIT_MS, MAX_PROBES, MAX_WAITING } from '../../../src/core/tunnel/gate.ts';
import { writeIpv4Header } from '../../../src/core/wire/ipv4.ts';
import { deep } from '../../support/deep.ts';
import { PROBE, REMOTE, TunnelWorld } from '../../support/tunnel-world.ts';

let world: TunnelWorld;
beforeEach(() => {
  world = new TunnelWorld();
});

/** A UDP socket with id 9 that sends to REMOTE. */
function sendDatagram(): void {
  world.client.handleCommand({ kind: 'udp-send', socket: 9, to: REMOTE, bytes: new Uint8Array(10) }, world.now);
  world.turn();
}

function lookUp(query: number): void {
  world.client.handleCommand({ kind: 'resolve', query, name: 'ip.example', family: 4 }, world.now);
  world.turn();
}

describe('before the first handshake', () => {
  it('look-ups wait, and are asked at once when it comes', () => {
    lookUp(1);
    world.pass(20);
    expect(world.sockets).toEqual([]);
    world.open();
    expect(world.arrived()).toEqual(['10.66.0.53:53']);
  });

  it('look-ups that have waited 30 s fail, and one can be given up', () => {
    lookUp(1);
    lookUp(2);
    world.client.handleCommand({ kind: 'resolve-cancel', query: 2 }, world.now);
    world.pass(30);
    expect(world.sockets).toEqual([{ kind: 'resolved', query: 1, result: { kind: 'failed', code: 'ETIMEOUT' } }]);
    world.open();
    expect(world.arrived()).toEqual([]);
  });

  it('look-ups fail at once where there is no name server to wait for', () => {
    world = new TunnelWorld({}, 25, { dnsServers: [] });
    lookUp(1);
    expect(world.sockets).toEqual([{ kind: 'resolved', query: 1, result: { kind: 'failed', code: 'ENODNS' } }]);
  });

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
    world = new TunnelWorld({ keepalive: false }, 0).open();
    world.pass(86_400);
    expect(world.policy.state).toBe('connected');
  });
});

describe('a silent server', () => {
  beforeEach(() => void world.open());

  const secondsToNotice = (): number => {
    world.pass(60);
    world.connect(1);
    world.silent = true;
    const cut = world.now;
    world.connect(2);
    while (world.policy.flow === 'open') world.pass(0.01);
    expect(world.policy).toMatchObject({ state: 'reconnecting', clients: 'pause' });
    return (world.now - cut) / 1_000;
  };

  it('is noticed exactly 30 s after the first datagram that it left unanswered (G12)', () => {
    expect(secondsToNotice()).toBeCloseTo(30, 1);
  });

  it('is noticed as soon as silent_after_seconds says, if that is sooner than WireGuard’s own patience', () => {
    world = new TunnelWorld({ silentAfterSeconds: 6 }).open();
    expect(secondsToNotice()).toBeCloseTo(6, 1);
  });

  it('is noticed on an idle tunnel 30 s after the initiation', () => {
    world.pass(60);
    world.silent = true;
    const initiation = (): number | undefined => world.client.peers[0]!.initiationUnansweredSince;
    while (initiation() === undefined) world.pass(0.1);
    const since = initiation()!;
    while (world.policy.flow === 'open') world.pass(0.01);
    expect((world.now - since) / 1_000).toBeCloseTo(30, 1);
  });

  it('is not one that answers data late, or needs not answer it: only an initiation must be answered', () => {
    world = new TunnelWorld({ silentAfterSeconds: 6 }).open();
    world.client.handleCommand({ kind: 'udp-bind', socket: 9, family: 4, port: 0 }, world.now);
    for (let i = 0; i < 60; i++) {
      sendDatagram();
      world.pass(1);
      expect(world.policy.state).toBe('connected');
    }
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

  it('is sent nothing but initiations once it is noticed; what was held leaves with the next handshake (F16)', () => {
    world.connect(1);
    world.silent = true;
    world.connect(2);
    while (world.policy.flow === 'open') world.pass(0.1);
    world.lengths.clear();
    world.pass(60);
    expect(world.lengths).toEqual(new Set([148])); // §5.4.2
    world.silent = false;
    world.arrived();
    world.pass(16);
    expect(world.arrived()).toContain('203.0.113.80:6881');
  });

  it('is not noticed with the killswitch off: nothing waits', () => {
    world = new TunnelWorld({ killswitch: false }).open();
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
    lookUp(1);
    expect(new Set(world.arrived())).toEqual(new Set(['203.0.113.90:443']));
    world.client.admitProbeQuery(2);
    lookUp(2);
    expect(new Set(world.arrived())).toEqual(new Set(['10.66.0.53:53']));
  });

  it('forgets all but the latest of the probe, which may be on their way out', () => {
    world.leak();
    for (let socket = 1; socket <= MAX_PROBES + 1; socket++) world.client.admitProbe(socket);
    world.connect(1, PROBE);
    expect(world.arrived()).toEqual([]);
    world.connect(2, PROBE);
    expect(world.arrived()).toEqual(['203.0.113.90:443']);
    world.client.handleCommand({ kind: 'tcp-abort', socket: 2 }, world.now);
    world.turn();
    expect(world.client.drops.toJSON()).toEqual({});
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

  it('ends the session too: not even a keepalive leaves, for hours', () => {
    world.open();
    world.pass(60);
    world.client.setEnabled(false, world.now);
    world.turn();
    const before = world.datagrams;
    world.pass(7_200);
    expect(world.datagrams).toBe(before);
    world.client.setEnabled(true, world.now);
    world.turn();
    expect(world.policy.state).toBe('connected');
  });

  it('keeps five seconds between initiations however often it is switched', () => {
    world.silent = true;
    world.open();
    for (let i = 0; i < 100; i++) {
      world.client.setEnabled(i % 2 === 1, world.now);
      world.pass(0.1);
    }
    // One at the start, and one in each five seconds.
    expect(world.datagrams).toBeLessThanOrEqual(3);
  });
});
