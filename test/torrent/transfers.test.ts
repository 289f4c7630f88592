import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type Announce,
  announceAgain,
  announcePort,
  createTracker,
  pauseTransfers,
  type Torrent,
  type Tracker,
} from '../../src/torrent/webtorrent.ts';
import { type LoopbackHost, loopbackHost } from '../support/loopback-host.ts';
import { add, clean, client, content, finished, folder, hash, later, next, seed } from './swarm.ts';

afterEach(clean);

const OFF = { dht: false, tracker: false } as const;
const CONTENT = content(3_000_000);

/** A seeder, and a leecher that has some of the content but not all. */
async function halfWay() {
  const seeding = loopbackHost();
  const seeder = await client(seeding, { ...OFF, uploadLimit: 2_000_000 });
  const seeded = await seed(seeder, CONTENT, { pieceLength: 65_536 });
  const host = loopbackHost();
  const leecher = await client(host, OFF);
  const torrent = add(leecher, seeded.torrentFile);
  await next(torrent, 'ready');
  torrent.addPeer(`127.0.0.1:${seeder.torrentPort}`);
  await verified(torrent, 3);
  return { seeder, seeding, seeded, host, leecher, torrent };
}

/** Resolves once `count` more pieces are verified. */
async function verified(torrent: Torrent, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await next(torrent, 'verified');
}

describe('pausing and resuming transfers', () => {
  it('pauses those that run, and starts only those again', async () => {
    const made = await client(loopbackHost(), OFF);
    const seeder = await client(loopbackHost(), OFF);
    const running = await seed(seeder, content(1000, 1));
    const mine = add(made, running.torrentFile);
    await next(mine, 'ready');
    const stopped = add(made, (await seed(seeder, content(1000, 2))).torrentFile, { paused: true });
    await next(stopped, 'ready');
    const pause = pauseTransfers(made);
    expect(pause.torrents).toEqual([mine]);
    expect([mine.paused, stopped.paused]).toEqual([true, true]);
    pause.resume();
    expect([mine.paused, stopped.paused]).toEqual([false, true]);
    mine.pause();
    pause.resume();
    expect(mine.paused).toBe(true);
  });

  it('goes on after every connection was lost while paused: peers are remembered and dialled again', async () => {
    const { host, torrent, leecher } = await halfWay();
    const pause = pauseTransfers(leecher);
    host.setUp(false);
    const closed = await idle(host);
    expect(torrent.numPeers).toBe(0);
    expect(torrent.done).toBe(false);
    await idle(host);
    expect(host.received).toBe(closed);
    host.setUp(true);
    pause.resume();
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
  });

  it('dials nobody while paused', async () => {
    const made = await client(loopbackHost(), OFF);
    const torrent = add(made, '0123456789012345678901234567890123456789');
    await next(torrent, 'infoHash');
    pauseTransfers(made);
    expect(torrent.addPeer('127.0.0.1:6881')).toBe(false);
  });
});

describe('resuming from what is on disk', () => {
  it('asks for what is missing only, and checks what is there', async () => {
    const { torrent, leecher, seeder, seeded } = await halfWay();
    const { path } = torrent;
    await new Promise((resolve) => leecher.destroy(resolve));
    const file = join(path, 'content.bin');
    const partial = readFileSync(file);
    partial.fill(0, 0, 10); // the first piece is damaged
    writeFileSync(file, partial);
    const host = loopbackHost();
    const again = await client(host, OFF);
    const resumed = add(again, seeded.torrentFile, { path });
    await next(resumed, 'ready');
    const had = resumed.downloaded;
    expect(had).toBeGreaterThanOrEqual(2 * 65_536);
    expect(resumed.pieces[0]).not.toBeNull();
    expect(resumed.done).toBe(false);
    resumed.addPeer(`127.0.0.1:${seeder.torrentPort}`);
    expect(hash(await finished(resumed))).toBe(hash(CONTENT));
    expect(hash(readFileSync(file))).toBe(hash(CONTENT));
    expect(host.received).toBeLessThan(CONTENT.length - had + 100_000);
  });

  it('is complete at once, without a peer, if everything is there', async () => {
    const maker = await client(loopbackHost(), OFF);
    const path = folder();
    const { torrentFile } = await seed(maker, CONTENT, { path });
    const host = loopbackHost();
    const torrent = add(await client(host, OFF), torrentFile, { path });
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
    expect(host.noted('net.connect')).toEqual([]);
  });
});

describe('the announced port', () => {
  it('is the one that the host’s server tells: the external one', async () => {
    const { tracker, heard, announce } = await listeningTracker();
    const made = await client(forwarding(loopbackHost(), 45_454), { dht: false, forwarded: true });
    expect(made.torrentPort).toBe(45_454);
    await seed(made, content(1000), { announce });
    expect((await heard('start')).peer).toBe('127.0.0.1:45454');
    await tracker.close();
  });

  it('is the one inside until the lease is there, then `stop` for the old and `start` for the new is announced', async () => {
    const { heard, announce } = await listeningTracker();
    const made = await client(forwarding(loopbackHost(), 0, 40_000), { dht: false, forwarded: true });
    expect(made.torrentPort).toBe(40_000);
    await seed(made, content(1000), { announce });
    expect((await heard('start')).peer).toBe('127.0.0.1:40000');
    announcePort(made, 51_413);
    expect((await heard('stop')).peer).toBe('127.0.0.1:40000');
    expect((await heard('start')).peer).toBe('127.0.0.1:51413');
    expect(made.torrentPort).toBe(51_413);
  });

  it('may change while the client ends, though a tracker keeps the last word waiting', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    later(async () => {
      silent.closeAllConnections();
      silent.close();
    });
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const made = await client(loopbackHost(), { dht: false });
    await seed(made, content(1000), { announce: [`http://127.0.0.1:${port}/announce`] });
    announcePort(made, 51_413);
    await new Promise<void>((resolve) => made.destroy(() => resolve()));
    // By now the old tracker client has given up, and nothing comes of it.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  });

  it('is announced again on demand, for an exit address that changed', async () => {
    const { heard, announce } = await listeningTracker();
    const made = await client(loopbackHost(), { dht: false });
    await seed(made, content(1000), { announce });
    await heard('start');
    announceAgain(made);
    expect((await heard('start')).peer).toBe(`127.0.0.1:${made.torrentPort}`);
  });

  it('must be a port', async () => {
    const made = await client(loopbackHost(), OFF);
    for (const port of [0, -1, 65_536, 1.5, Number.NaN]) expect(() => announcePort(made, port)).toThrow(RangeError);
  });
});

interface Heard {
  readonly tracker: Tracker;
  readonly announce: string[];
  /** The next announce of this kind that was not asked for before. */
  heard(event: Announce['event']): Promise<Announce>;
}

async function listeningTracker(): Promise<Heard> {
  const tracker = await createTracker(loopbackHost(), { udp: false });
  later(() => tracker.close());
  const announces: Announce[] = [];
  let wake = (): void => {};
  tracker.on('announce', (announce) => {
    announces.push(announce);
    wake();
  });
  return {
    tracker,
    announce: [`http://127.0.0.1:${tracker.httpPort}/announce`],
    async heard(event) {
      for (;;) {
        const at = announces.findIndex((announce) => announce.event === event);
        if (at >= 0) return announces.splice(at, 1)[0]!;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** A host whose forwarded listeners tell `external`, as a tunnel with a lease does. */
function forwarding(host: LoopbackHost, external: number, internal?: number): LoopbackHost {
  const createServer = (): ReturnType<typeof host.net.createServer> => {
    const server = host.net.createServer();
    const { listen } = server;
    return Object.assign(server, {
      listen(options: { port: number; forwarded?: boolean }, done?: () => void) {
        expect(options).toEqual({ port: 0, forwarded: true });
        return listen(options, done);
      },
      address: () => ({ port: external }),
      ...(internal === undefined ? {} : { internalPort: internal }),
    });
  };
  return { ...host, net: { ...host.net, createServer } };
}

/** Waits until a while has passed in which nothing was received; returns how much there is. */
async function idle(host: LoopbackHost): Promise<number> {
  for (let before = -1; ; ) {
    if (host.received === before) return before;
    before = host.received;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
