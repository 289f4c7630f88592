import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import PlainWebTorrent from 'webtorrent';
import { createTracker, type WebTorrentClient } from '../../src/torrent/webtorrent.ts';
import { loopbackHost } from '../support/loopback-host.ts';
import { add, clean, client, content, downloaded, finished, hash, later, next, seed } from './swarm.ts';

afterEach(clean);

describe('several clients in one process', () => {
  it('each use their own host and nothing else', async () => {
    const tracker = await createTracker(loopbackHost());
    later(() => tracker.close());
    const announce = [`http://127.0.0.1:${tracker.httpPort}/announce`, `udp://127.0.0.1:${tracker.udpPort}/announce`];
    const transfers = await Promise.all(
      [1, 2, 3].map(async (number) => {
        const [from, to, bystander] = [loopbackHost(), loopbackHost(), loopbackHost()];
        const seeder = await client(from, { dht: false });
        const leecher = await client(to, { dht: false });
        await client(bystander, { dht: false });
        const bytes = content(100_000, number);
        const torrent = await seed(seeder, bytes, { announce });
        expect(hash(await downloaded(leecher, torrent.torrentFile))).toBe(hash(bytes));
        return { from, to, bystander, seeder, leecher };
      }),
    );
    for (const { from, to, bystander, seeder, leecher } of transfers) {
      const inside = [seeder.torrentPort, leecher.torrentPort, tracker.httpPort].map(
        (port) => `net.connect 127.0.0.1:${port}`,
      );
      for (const note of [...from.noted('net.connect'), ...to.noted('net.connect')]) expect(inside).toContain(note);
      expect(to.received).toBeGreaterThan(0);
      expect(bystander.notes).toEqual(['net.createServer', 'listen 0']);
    }
  });

  it('share no class, and so no module state', async () => {
    const first = await client(loopbackHost(), { dht: false });
    const second = await client(loopbackHost(), { dht: false });
    expect(Object.getPrototypeOf(first)).not.toBe(Object.getPrototypeOf(second));
    expect(first.constructor).not.toBe(second.constructor);
  });

  it('do not touch a WebTorrent of the embedder’s own, nor it them', async () => {
    const host = loopbackHost();
    const bytes = content(100_000, 9);
    const seeder = await client(host, { dht: false, tracker: false });
    const torrent = await seed(seeder, bytes);
    const before = [...host.notes];
    const connect = net.connect;
    const plain = plainClient();
    const other = plainClient();
    const plainTorrent = await seed(other, content(50_000, 10));
    const direct = add(plain, plainTorrent.torrentFile);
    await next(direct, 'ready');
    direct.addPeer(`127.0.0.1:${other.torrentPort}`);
    expect(hash(await finished(direct))).toBe(hash(content(50_000, 10)));
    expect(host.notes).toEqual(before);
    expect(net.connect).toBe(connect);

    const through = add(plain, torrent.torrentFile);
    await next(through, 'ready');
    through.addPeer(`127.0.0.1:${seeder.torrentPort}`);
    expect(hash(await finished(through))).toBe(hash(bytes));
    expect(host.notes).toEqual(before);
  });
});

/** As an embedder has it, but listening on loopback only. */
function plainClient(): WebTorrentClient {
  const torrentPort = { port: 0, host: '127.0.0.1' };
  const options = { torrentPort, dht: false, tracker: false, utp: false, lsd: false, natUpnp: false, natPmp: false };
  const made = new PlainWebTorrent(options) as unknown as WebTorrentClient;
  later(() => new Promise((resolve) => made.destroy(resolve)));
  return made;
}
