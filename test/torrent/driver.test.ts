/** A WebTorrent client under the killswitch: what it reports, what it obeys, and that its peers come back (F16, F17, G3, G13). */
import { afterEach, describe, expect, it } from 'vitest';
import type { ClientDriver, ClientReports } from '../../src/node/client-driver.ts';
import { createWebTorrent, type TunnelHost, type WebTorrentOptions } from '../../src/torrent/webtorrent.ts';
import { type LoopbackHost, loopbackHost } from '../support/loopback-host.ts';
import { add, clean, client, content, finished, folder, hash, later, next, seed } from './swarm.ts';

afterEach(clean);

const OFF = { dht: false, tracker: false } as const;
const CONTENT = content(3_000_000);
const HASHES = ['1', '2', '3'].map((digit) => digit.repeat(40)) as [string, string, string];

/** A host that takes a client's driver, and notes what it says. */
async function attached(options: WebTorrentOptions = OFF, host: LoopbackHost = loopbackHost()) {
  const said: string[] = [];
  const drivers: ClientDriver[] = [];
  const reports: ClientReports = {
    added: (id, running) => said.push(`added ${id.slice(0, 4)} ${running}`),
    transfer: (id, running) => said.push(`transfer ${id.slice(0, 4)} ${running}`),
    person: (id, wish) => said.push(`person ${id.slice(0, 4)} ${wish}`),
    removed: (id) => said.push(`removed ${id.slice(0, 4)}`),
    problem: () => said.push('problem'),
  };
  const following: TunnelHost = {
    ...host,
    attachClient(driver) {
      drivers.push(driver);
      driver.open(reports);
    },
    detachClient(driver) {
      said.push('detached');
      driver.close();
    },
  };
  const made = await client(following, options);
  expect(drivers).toHaveLength(1);
  return { client: made, driver: drivers[0]!, said, host };
}

describe('what it reports', () => {
  it('each torrent by its hash, running unless it was added paused', async () => {
    const { client: made, said } = await attached();
    await next(add(made, HASHES[0]), 'infoHash');
    await next(add(made, HASHES[1], { paused: true }), 'infoHash');
    expect(said).toEqual(['added 1111 true', 'added 2222 false']);
  });

  it('a person’s pause and resume, and not its own', async () => {
    const { client: made, driver, said } = await attached();
    const torrent = add(made, HASHES[0]);
    await next(torrent, 'infoHash');
    said.length = 0;
    await driver.pause(HASHES[0]);
    expect(torrent.paused).toBe(true);
    await driver.resume(HASHES[0]);
    expect(torrent.paused).toBe(false);
    expect(said).toEqual([]);
    torrent.pause();
    torrent.resume();
    expect(said).toEqual(['person 1111 pause', 'person 1111 resume']);
    expect(torrent.paused).toBe(false);
  });

  it('a torrent that is removed, but not those that end with their client', async () => {
    const { client: made, said } = await attached();
    for (const id of HASHES) await next(add(made, id), 'infoHash');
    said.length = 0;
    await made.remove(HASHES[0]);
    await new Promise((resolve) => made.destroy(resolve));
    expect(said).toEqual(['removed 1111', 'detached']);
  });

  it('nothing of a torrent that was there already', async () => {
    const { client: made, said } = await attached();
    await next(add(made, HASHES[0]), 'infoHash');
    await next(add(made, HASHES[0]), 'error');
    expect(said).toEqual(['added 1111 true']);
  });

  it('nothing after it was detached, and torrents are as they were', async () => {
    const { client: made, driver, said } = await attached();
    const torrent = add(made, HASHES[0]);
    await next(torrent, 'infoHash');
    said.length = 0;
    driver.close();
    torrent.pause();
    expect(torrent.paused).toBe(true);
    await next(add(made, HASHES[1]), 'infoHash');
    expect(said).toEqual([]);
  });

  it('is not asked for by a host that tells its clients nothing', async () => {
    const made = await createWebTorrent(loopbackHost(), OFF);
    await new Promise((resolve) => made.destroy(resolve));
  });
});

describe('an engaged killswitch', () => {
  it('pauses a torrent at the moment its hash is known, before it asks anybody', async () => {
    const host = loopbackHost();
    const following: TunnelHost = {
      ...host,
      attachClient: (driver) =>
        driver.open({
          added: (id) => void driver.pause(id),
          transfer: () => {},
          person: () => {},
          removed: () => {},
          problem: () => {},
        }),
      detachClient: (driver) => driver.close(),
    };
    const made = await client(following, OFF);
    const torrent = add(made, `magnet:?xt=urn:btih:${HASHES[0]}&x.pe=127.0.0.1:6881`);
    await next(torrent, 'infoHash');
    expect(torrent.paused).toBe(true);
    expect(torrent.addPeer('127.0.0.1:6881')).toBe(false);
    expect(host.noted('net.connect')).toEqual([]);
  });
});

describe('peers', () => {
  it('are dialled again after a pause in which their connections were lost', async () => {
    const { leecher, torrent } = await halfWay();
    await leecher.driver.pause(torrent.infoHash);
    leecher.host.setUp(false);
    await gone(torrent);
    leecher.host.setUp(true);
    await leecher.driver.resume(torrent.infoHash);
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
  });

  it('that were lost to the silence before the pause are dialled too', async () => {
    const { leecher, torrent } = await halfWay();
    leecher.host.setUp(false);
    await gone(torrent);
    await leecher.driver.pause(torrent.infoHash);
    // WebTorrent's own attempt to reconnect, after a second, finds the torrent paused.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    leecher.host.setUp(true);
    await leecher.driver.resume(torrent.infoHash);
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
  });

  it('are dialled for a person who resumes, as well', async () => {
    const { leecher, torrent } = await halfWay();
    await leecher.driver.pause(torrent.infoHash);
    leecher.host.setUp(false);
    await gone(torrent);
    leecher.host.setUp(true);
    torrent.resume();
    expect(hash(await finished(torrent))).toBe(hash(CONTENT));
  });
});

describe('the port', () => {
  it('is not told to a client that does not listen for it', async () => {
    const { driver } = await attached();
    expect(driver.setPort).toBeUndefined();
  });

  it('that is announced is the one that the listener tells, which a refusal says if it is another', async () => {
    let external = 0;
    const { client: made, driver } = await attached(
      { ...OFF, forwarded: true },
      forwarding(() => external),
    );
    expect(made.torrentPort).toBe(40_000);
    external = 45_454;
    await driver.setPort!(45_454);
    expect(made.torrentPort).toBe(45_454);
    await expect(driver.setPort!(45_455)).rejects.toThrow('another listener');
    expect(made.torrentPort).toBe(45_454);
    external = 0;
    await driver.setPort!(undefined);
    expect(made.torrentPort).toBe(40_000);
  });
});

/** A seeder, and a leecher that has some of the content but not all. */
async function halfWay() {
  const seeder = await client(loopbackHost(), { ...OFF, uploadLimit: 2_000_000 });
  const seeded = await seed(seeder, CONTENT, { pieceLength: 65_536 });
  const leecher = await attached();
  const torrent = leecher.client.add(seeded.torrentFile, { path: folder() });
  await next(torrent, 'ready');
  torrent.addPeer(`127.0.0.1:${seeder.torrentPort}`);
  for (let i = 0; i < 3; i++) await next(torrent, 'verified');
  return { leecher, torrent };
}

async function gone(torrent: { readonly numPeers: number; readonly done: boolean }): Promise<void> {
  while (torrent.numPeers > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(torrent.done).toBe(false);
}

/** A host whose forwarded listeners tell `external`, and 40000 inside. */
function forwarding(external: () => number): LoopbackHost {
  const host = loopbackHost();
  later(() => host.close());
  return {
    ...host,
    net: {
      ...host.net,
      createServer: () =>
        Object.assign(host.net.createServer(), { address: () => ({ port: external() }), internalPort: 40_000 }),
    },
  };
}
