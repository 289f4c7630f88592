/** The same client over the tunnel's own sockets, joined in memory: what it asks of them is what they offer. */
import { afterEach, describe, expect, it } from 'vitest';
import { WebLayer } from '../../src/node/web-layer.ts';
import { createHttpServer } from '../../src/torrent/http-server.ts';
import { createTracker } from '../../src/torrent/webtorrent.ts';
import { LoopbackNetwork } from '../support/loopback-engine.ts';
import { clean, client, content, downloaded, hash, later, seed } from './swarm.ts';

afterEach(clean);

const CONTENT = content(400_000);

/** A network with hosts 10.9.0.1, 10.9.0.2 … in the order of `names`. */
function hosts(...names: string[]): WebLayer[] {
  const network = new LoopbackNetwork();
  return names.map((name, i) => {
    network.names.set(name, [`10.9.0.${i + 1}`]);
    const host = new WebLayer(network.host(`10.9.0.${i + 1}`));
    later(() => host.close());
    return host;
  });
}

describe('a transfer over the tunnel’s sockets', () => {
  it.each(['http', 'udp'] as const)('through a tracker over %s', async (protocol) => {
    const [center, left, right] = hosts('tracker.test', 'left.test', 'right.test') as [WebLayer, WebLayer, WebLayer];
    const tracker = await createTracker(center);
    later(() => tracker.close());
    const port = protocol === 'http' ? tracker.httpPort : tracker.udpPort;
    const seeder = await client(left, { dht: false });
    const torrent = await seed(seeder, CONTENT, { announce: [`${protocol}://tracker.test:${port}/announce`] });
    const leecher = await client(right, { dht: false });
    expect(hash(await downloaded(leecher, torrent.torrentFile))).toBe(hash(CONTENT));
  });

  it('through the DHT, from a magnet link', async () => {
    const [center, left, right] = hosts('router.test', 'left.test', 'right.test') as [WebLayer, WebLayer, WebLayer];
    const router = await client(center, { dht: { bootstrap: false }, tracker: false });
    const dht = { bootstrap: [`router.test:${router.dhtPort}`] };
    const torrent = await seed(await client(left, { dht, tracker: false }), CONTENT);
    const leecher = await client(right, { dht, tracker: false });
    const file = await downloaded(leecher, `magnet:?xt=urn:btih:${torrent.infoHash}`);
    expect(hash(file)).toBe(hash(CONTENT));
  });

  it('from a web seed', async () => {
    const [server, left, right] = hosts('seed.test', 'left.test', 'right.test') as [WebLayer, WebLayer, WebLayer];
    const http = createHttpServer(server.net);
    http.on('request', (request, response) => {
      const [from = 0, to = 0] = request.headers.range?.match(/\d+/g)?.map(Number) ?? [];
      response.writeHead(206).end(CONTENT.subarray(from, to + 1));
    });
    await new Promise<void>((resolve) => http.once('listening', resolve).listen(80));
    later(() => new Promise((resolve) => http.close(resolve)));
    const { torrentFile } = await seed(await client(left, { dht: false, tracker: false }), CONTENT);
    const leecher = await client(right, { dht: false, tracker: false });
    const file = await downloaded(leecher, torrentFile, { urlList: ['http://seed.test/content.bin'] });
    expect(hash(file)).toBe(hash(CONTENT));
  });

  it('listens for what the provider forwards, and announces that port', async () => {
    const [host] = hosts('a.test') as [WebLayer];
    const made = await client(host, { dht: false, tracker: false, forwarded: true });
    const [server] = host.forwardedServers;
    expect(made.torrentPort).toBe(server!.internalPort);
    server!.setForwarding(51_413, []);
    expect(made.address()?.port).toBe(51_413);
  });
});
