import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createTracker } from '../../src/torrent/webtorrent.ts';
import { loopbackHost } from '../support/loopback-host.ts';
import { add, clean, client, content, downloaded, finished, hash, later, next, seed } from './swarm.ts';

afterEach(clean);

const NAMES = { 'tracker.test': '127.0.0.1', 'router.test': '127.0.0.1', 'seed.test': '127.0.0.1' };
const CONTENT = content(300_000);

describe('a transfer over a host', () => {
  it('finds its peer through an HTTP tracker, by name (BEP 3)', async () => {
    const tracker = await createTracker(loopbackHost(), { udp: false });
    later(() => tracker.close());
    const announce = [`http://tracker.test:${tracker.httpPort}/announce`];
    const seeder = await client(loopbackHost(NAMES), { dht: false });
    const torrent = await seed(seeder, CONTENT, { announce });
    const host = loopbackHost(NAMES);
    const leecher = await client(host, { dht: false });
    expect(hash(await downloaded(leecher, torrent.torrentFile))).toBe(hash(CONTENT));
    expect(host.noted('fetch')[0]).toContain(announce[0]!);
    expect(host.noted('net.connect')).toContain(`net.connect 127.0.0.1:${seeder.torrentPort}`);
  });

  it('finds its peer through a UDP tracker, whose name the host resolves (BEP 15)', async () => {
    const tracker = await createTracker(loopbackHost(), { http: false });
    later(() => tracker.close());
    const announce = [`udp://tracker.test:${tracker.udpPort}/announce`];
    const seeder = await client(loopbackHost(NAMES), { dht: false });
    const torrent = await seed(seeder, CONTENT, { announce });
    const host = loopbackHost(NAMES);
    const leecher = await client(host, { dht: false });
    expect(hash(await downloaded(leecher, torrent.torrentFile))).toBe(hash(CONTENT));
    expect(host.noted('dgram.send')).toContain(`dgram.send tracker.test:${tracker.udpPort}`);
    expect(host.noted('dns.lookup', 'fetch')).toEqual([]);
  });

  it('finds its peer through the DHT, bootstrapped by name, and the metadata from the peer (BEP 5, BEP 9)', async () => {
    const router = await client(loopbackHost(), { dht: { bootstrap: false }, tracker: false });
    const dht = { bootstrap: [`router.test:${router.dhtPort}`] };
    const seeder = await client(loopbackHost(NAMES), { dht, tracker: false });
    const torrent = await seed(seeder, CONTENT);
    const host = loopbackHost(NAMES);
    const leecher = await client(host, { dht, tracker: false });
    const file = await downloaded(leecher, `magnet:?xt=urn:btih:${torrent.infoHash}`);
    expect(hash(file)).toBe(hash(CONTENT));
    expect(host.noted('dns.lookup')).toContain('dns.lookup router.test');
    expect(host.noted('dgram.send')).toContain(`dgram.send 127.0.0.1:${router.dhtPort}`);
    expect(host.noted('fetch')).toEqual([]);
  });

  it('dials the peers that another peer tells it of (BEP 11)', async () => {
    const off = { dht: false, tracker: false } as const;
    const seeder = await client(loopbackHost(), off);
    const torrent = await seed(seeder, CONTENT);
    const middle = await client(loopbackHost(), off);
    const idle = add(middle, torrent.torrentFile, { deselect: true });
    // WebTorrent hears of peers this way and tells of none, so the telling is done here.
    idle.on('wire', (wire) => tellOf(wire as PexWire, `127.0.0.1:${seeder.torrentPort}`));
    await next(idle, 'ready');
    const host = loopbackHost();
    const leecher = await client(host, off);
    const leeching = add(leecher, torrent.torrentFile);
    await next(leeching, 'ready');
    leeching.addPeer(`127.0.0.1:${middle.torrentPort}`);
    expect(hash(await finished(leeching))).toBe(hash(CONTENT));
    expect(host.noted('net.connect')).toEqual([
      `net.connect 127.0.0.1:${middle.torrentPort}`,
      `net.connect 127.0.0.1:${seeder.torrentPort}`,
    ]);
  });

  it('reads a web seed through the host’s fetch (BEP 19)', async () => {
    const { torrentFile, port, requests } = await webSeeded();
    const host = loopbackHost(NAMES);
    const leecher = await client(host, { dht: false, tracker: false });
    const file = await downloaded(leecher, torrentFile, { urlList: [`http://seed.test:${port}/content.bin`] });
    expect(hash(file)).toBe(hash(CONTENT));
    expect(requests.every(({ range }) => /^bytes=\d+-\d+$/.test(range ?? ''))).toBe(true);
    expect(new Set(host.noted('fetch'))).toEqual(new Set([`fetch http://seed.test:${port}/content.bin`]));
    expect(new Set(host.noted('net.connect'))).toEqual(new Set([`net.connect seed.test:${port}`]));
  });

  it('fetches a torrent behind an URL, and the xs= of a magnet link, through the host', async () => {
    const { port, infoHash } = await webSeeded();
    const url = `http://seed.test:${port}/a.torrent`;
    const seedUrl = `http://seed.test:${port}/content.bin`;
    for (const id of [url, `magnet:?xt=urn:btih:${infoHash}&xs=${encodeURIComponent(url)}`]) {
      const host = loopbackHost(NAMES);
      const leecher = await client(host, { dht: false, tracker: false });
      const torrent = add(leecher, id, { urlList: [seedUrl] });
      expect(hash(await finished(torrent))).toBe(hash(CONTENT));
      expect(host.noted('fetch')[0]).toBe(`fetch ${url}`);
      expect(torrent.infoHash).toBe(infoHash);
    }
  });

  it('loads a blocklist through the host, and talks to nobody on it', async () => {
    const lists = await served((_path, response) => response.end('nobody:127.0.0.1-127.0.0.2\n'));
    const host = loopbackHost(NAMES);
    const url = `http://seed.test:${lists.port}/list.txt`;
    const leecher = await client(host, { dht: false, tracker: false, blocklist: url });
    if (!leecher.ready) await next(leecher, 'ready');
    const torrent = add(leecher, '0123456789012345678901234567890123456789');
    await next(torrent, 'infoHash');
    expect(torrent.addPeer('127.0.0.1:6881')).toBe(false);
    expect(host.noted('fetch')).toEqual([`fetch ${url}`]);
  });
});

interface PexWire {
  readonly ut_pex: { addPeer(peer: string): void; _sendMessage(): void };
  once(event: 'extended', listener: () => void): void;
}

function tellOf(wire: PexWire, peer: string): void {
  wire.once('extended', () => {
    wire.ut_pex.addPeer(peer);
    wire.ut_pex._sendMessage();
  });
}

interface Request {
  readonly path: string;
  readonly range: string | undefined;
}

/** An HTTP server for the test, on loopback. */
async function served(handle: (path: string, response: { end(body: unknown): void }, range?: string) => void) {
  const requests: Request[] = [];
  const server: Server = createServer((request, response) => {
    const path = request.url ?? '';
    const { range } = request.headers;
    requests.push({ path, range });
    if (range) response.statusCode = 206;
    handle(path, response, range);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  later(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, requests };
}

/** A torrent whose only source is an HTTP server, which also has its .torrent file. */
async function webSeeded() {
  const maker = await client(loopbackHost(), { dht: false, tracker: false });
  const { torrentFile, infoHash } = await seed(maker, CONTENT);
  const { port, requests } = await served((path, response, range) => {
    const [from = 0, to = CONTENT.length - 1] = range?.match(/\d+/g)?.map(Number) ?? [];
    response.end(path.endsWith('.torrent') ? torrentFile : CONTENT.subarray(from, to + 1));
  });
  return { torrentFile, infoHash, port, requests };
}
