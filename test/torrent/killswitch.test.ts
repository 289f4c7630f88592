/** WebTorrent over a tunnel that goes down and comes back: transfers pause, resume exactly, and are found again (F11, F16, F17, F23). */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { Tunnel } from '../../src/node/tunnel.ts';
import type { TunnelOptions } from '../../src/node/tunnel-options.ts';
import { Sandbox } from '../../src/sandbox/index.ts';
import { type Announce, createTracker, type Torrent } from '../../src/torrent/webtorrent.ts';
import { add, clean, client, content, finished, hash, later, next, seed } from './swarm.ts';

afterEach(clean);

const CONTENT = content(1_500_000);
const HASHES = ['1', '2', '3'].map((digit) => digit.repeat(40)) as [string, string, string];
const OFF = { dht: false, tracker: false } as const;

async function startSandbox(): Promise<Sandbox> {
  const sandbox = await Sandbox.start();
  later(() => sandbox.close());
  return sandbox;
}

async function openTunnel(sandbox: Sandbox, conf: string, options: Partial<TunnelOptions> = {}): Promise<Tunnel> {
  const probe = { urls: sandbox.probeUrls, urlsV6: [], expected: [sandbox.exitAddresses[0]!] };
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf), probe, ...options });
  later(() => tunnel.close());
  return tunnel;
}

async function world(options: Partial<TunnelOptions> = {}): Promise<{ sandbox: Sandbox; tunnel: Tunnel }> {
  const sandbox = await startSandbox();
  const tunnel = await openTunnel(sandbox, sandbox.addClient().conf, options);
  await tunnel.ready({ signal: AbortSignal.timeout(10_000) });
  return { sandbox, tunnel };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`it did not happen: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The probe sees a leak; resolves when as many transfers as given are paused. */
async function engage(sandbox: Sandbox, tunnel: Tunnel, paused: number): Promise<void> {
  sandbox.exitEcho.lie = '192.0.2.7';
  await tunnel.probe();
  await until(() => tunnel.status().killswitch.engaged && pausedBy(tunnel) === paused);
}

/** The next probe is clean; resolves when the transfers that the killswitch had paused run. */
async function release(sandbox: Sandbox, tunnel: Tunnel): Promise<void> {
  sandbox.exitEcho.lie = undefined;
  await tunnel.probe();
  await until(() => !tunnel.status().killswitch.engaged && pausedBy(tunnel) === 0);
}

function announced(torrent: Torrent): Promise<void> {
  return new Promise((resolve) => torrent.once('dhtAnnounce', resolve));
}

const pausedBy = (tunnel: Tunnel): number => tunnel.status().clients[0]!.pausedByKillswitch;

describe('a tunnel that is cut', () => {
  it('pauses what runs, downloading, seeding or queued, and resumes it from where it was, with its peers', async () => {
    const { sandbox, tunnel } = await world({ killswitch: { silentAfterSeconds: 1 } });
    const host = sandbox.addHost();
    const seeder = await client(host, { ...OFF, uploadLimit: 600_000 });
    const { torrentFile } = await seed(seeder, CONTENT, { pieceLength: 65_536 });
    const leecher = await client(tunnel, OFF);
    const seeding = await seed(leecher, content(1_000, 9));
    const queued = add(leecher, HASHES[0]);
    const byHand = add(leecher, HASHES[1], { paused: true });
    const torrent = add(leecher, torrentFile);
    await next(torrent, 'ready');
    torrent.addPeer(`${host.address}:${seeder.torrentPort}`);
    for (let i = 0; i < 3; i++) await next(torrent, 'verified');
    sandbox.faults.silent = true;
    await until(() => pausedBy(tunnel) === 3 && torrent.paused);
    expect([torrent, seeding, queued, byHand].map(({ paused }) => paused)).toEqual([true, true, true, true]);
    expect(tunnel.status().killswitch.reasons).toEqual(['stale']);
    const had = torrent.downloaded;
    sandbox.faults.silent = false;
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
    expect(torrent.received - CONTENT.length).toBeLessThan(300_000);
    expect(had).toBeGreaterThan(0);
    expect([seeding, queued, byHand].map(({ paused }) => paused)).toEqual([false, false, true]);
    expect(pausedBy(tunnel)).toBe(0);
  });
});

describe('while the killswitch is engaged', () => {
  it('a person’s pause and resume win, and a transfer that is added waits with the others (G3, G13)', async () => {
    const { sandbox, tunnel } = await world();
    const made = await client(tunnel, OFF);
    const torrents: Torrent[] = [];
    for (const id of HASHES) {
      torrents.push(add(made, id));
      await next(torrents.at(-1)!, 'infoHash');
    }
    const [marked, pausedByHand, resumedByHand] = torrents as [Torrent, Torrent, Torrent];
    await engage(sandbox, tunnel, 3);
    pausedByHand.pause();
    resumedByHand.resume();
    const added = add(made, '4'.repeat(40));
    await next(added, 'infoHash');
    expect(added.paused).toBe(true);
    expect(pausedBy(tunnel)).toBe(2);
    await release(sandbox, tunnel);
    expect([marked, pausedByHand, resumedByHand, added].map(({ paused }) => paused)).toEqual([
      false,
      true,
      false,
      false,
    ]);
    // What a person did then leaves nothing behind for the next time.
    resumedByHand.pause();
    await engage(sandbox, tunnel, 2);
    await release(sandbox, tunnel);
    expect(resumedByHand.paused).toBe(true);
  });
});

describe('after a restart', () => {
  it('exactly the transfers that were marked resume', async () => {
    const sandbox = await startSandbox();
    const { conf } = sandbox.addClient();
    const stateDir = mkdtempSync(join(tmpdir(), 'sluice-state-'));
    const before = await openTunnel(sandbox, conf, { stateDir });
    const first = await client(before, OFF);
    for (const id of [HASHES[0], HASHES[1]]) await next(add(first, id), 'infoHash');
    await engage(sandbox, before, 2);
    await new Promise((resolve) => first.destroy(resolve));
    await before.close();

    const tunnel = await openTunnel(sandbox, conf, { stateDir });
    const second = await client(tunnel, OFF);
    // As whoever keeps a list of torrents finds them: paused.
    const torrents = HASHES.map((id) => add(second, id, { paused: true }));
    await until(() => tunnel.status().state === 'blocked' && pausedBy(tunnel) === 2);
    expect(torrents.map(({ paused }) => paused)).toEqual([true, true, true]);
    await release(sandbox, tunnel);
    expect(torrents.map(({ paused }) => paused)).toEqual([false, false, true]);
  });
});

describe('the forwarded port', () => {
  it('is announced to trackers once for each change, and never one of before', async () => {
    const { sandbox, tunnel } = await world({ portForward: { provider: 'natpmp', refreshSeconds: 1 } });
    const { announces, announce } = await trackerOn(sandbox);
    const made = await client(tunnel, { dht: false, forwarded: true });
    const mappedPort = (): number | null => tunnel.status().portForward.port;
    await until(() => mappedPort() !== null && tunnel.status().clients[0]!.portApplied);
    const first = mappedPort()!;
    await seed(made, content(1_000), { announce });
    await until(() => announces.length === 1);

    sandbox.natpmp.changePort();
    await until(() => mappedPort() !== first && tunnel.status().clients[0]!.portApplied);
    const second = mappedPort()!;
    await until(() => announces.length === 3);

    await engage(sandbox, tunnel, 1);
    sandbox.natpmp.changePort();
    await release(sandbox, tunnel);
    await until(() => announces.length === 5);
    const third = mappedPort()!;
    expect(new Set([first, second, third]).size).toBe(3);
    expect(made.torrentPort).toBe(third);

    // An outage after which the port is the same.
    await engage(sandbox, tunnel, 1);
    await release(sandbox, tunnel);
    await until(() => announces.length === 6);
    expect(announces.map(({ event, peer }) => `${event} ${peer}`)).toEqual([
      `start 203.0.113.10:${first}`,
      `stop 203.0.113.10:${first}`,
      `start 203.0.113.10:${second}`,
      `stop 203.0.113.10:${second}`,
      `start 203.0.113.10:${third}`,
      `start 203.0.113.10:${third}`,
    ]);
  });

  it('is announced in the DHT, where others find the one that is mapped now', async () => {
    const { sandbox, tunnel } = await world({ portForward: { provider: 'natpmp', refreshSeconds: 1 } });
    await client(sandbox.addHost({ name: 'router.test' }), {
      dht: { bootstrap: false },
      dhtPort: 6881,
      tracker: false,
    });
    const dht = { bootstrap: ['router.test:6881'] };
    const made = await client(tunnel, { dht, tracker: false, forwarded: true });
    await until(() => tunnel.status().clients[0]!.portApplied);
    const first = made.torrentPort;
    await announced(add(made, HASHES[0]));
    sandbox.natpmp.changePort();
    const again = announced(made.torrents[0]!);
    await until(() => tunnel.status().clients[0]!.portApplied && made.torrentPort !== first);
    await again;
    const seeker = await client(sandbox.addHost(), { dht, tracker: false });
    const found: string[] = [];
    add(seeker, HASHES[0]).on('peer', (peer) => found.push(peer));
    await until(() => found.includes(`203.0.113.10:${made.torrentPort}`));
  });

  it('is where the DHT is reached from outside, too', async () => {
    const { sandbox, tunnel } = await world({ portForward: { provider: 'natpmp' } });
    const made = await client(tunnel, { dht: { bootstrap: false }, tracker: false, forwarded: true });
    await until(() => tunnel.status().portForward.port !== null);
    const asker = sandbox.addHost().dgram.createSocket('udp4');
    later(() => asker.close());
    const answer = new Promise<string>((resolve) => {
      asker.on('message', (bytes: Buffer) => resolve(bytes.toString('latin1')));
    });
    const ping = 'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'; // BEP 5
    asker.send(Buffer.from(ping), tunnel.status().portForward.port!, sandbox.exitAddresses[0]!);
    expect(await answer).toMatch(/^d1:rd2:id20:/);
    expect(made.torrentPort).toBe(tunnel.status().portForward.port);
  });
});

describe('a client that is destroyed', () => {
  it('is not followed any more', async () => {
    const { tunnel } = await world();
    const made = await client(tunnel, OFF);
    expect(tunnel.status().clients).toEqual([
      { name: 'webtorrent', state: 'ok', pausedByKillswitch: 0, portApplied: false },
    ]);
    await new Promise((resolve) => made.destroy(resolve));
    expect(tunnel.status().clients).toEqual([]);
  });
});

async function trackerOn(sandbox: Sandbox): Promise<{ announces: Announce[]; announce: string[] }> {
  const tracker = await createTracker(sandbox.addHost({ name: 'tracker.test' }), { http: 80, udp: false });
  later(() => tracker.close());
  const announces: Announce[] = [];
  tracker.on('announce', (heard) => heard.event !== 'complete' && announces.push(heard));
  return { announces, announce: ['http://tracker.test/announce'] };
}
