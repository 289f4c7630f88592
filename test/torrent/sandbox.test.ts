/** The whole way: a client behind a tunnel, a swarm that exists only in the sandbox's virtual internet. */
import { afterEach, describe, expect, it } from 'vitest';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { Tunnel } from '../../src/node/tunnel.ts';
import { Sandbox, type SandboxHost } from '../../src/sandbox/index.ts';
import { createHttpServer } from '../../src/torrent/http-server.ts';
import { createTracker, type WebTorrentClient, type WebTorrentOptions } from '../../src/torrent/webtorrent.ts';
import { clean, client, content, downloaded, hash, later, seed } from './swarm.ts';

afterEach(clean);

const CONTENT = content(2_000_000);

async function world(): Promise<{ sandbox: Sandbox; tunnel: Tunnel }> {
  const sandbox = await Sandbox.start();
  later(() => sandbox.close());
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(sandbox.addClient().conf) });
  later(() => tunnel.close());
  await tunnel.ready({ signal: AbortSignal.timeout(10_000) });
  return { sandbox, tunnel };
}

function seederOn(host: SandboxHost, options: WebTorrentOptions): Promise<WebTorrentClient> {
  return client(host, options);
}

describe('a torrent through the tunnel', () => {
  it.each(['http', 'udp'] as const)('found through a tracker over %s, by name', async (protocol) => {
    const { sandbox, tunnel } = await world();
    const tracker = await createTracker(sandbox.addHost({ name: 'tracker.test' }), { http: 80, udp: 6969 });
    later(() => tracker.close());
    const announce = [protocol === 'http' ? 'http://tracker.test/announce' : 'udp://tracker.test:6969/announce'];
    const seeder = await seederOn(sandbox.addHost(), { dht: false });
    const torrent = await seed(seeder, CONTENT, { announce });
    const leecher = await client(tunnel, { dht: false });
    expect(hash(await downloaded(leecher, torrent.torrentFile))).toBe(hash(CONTENT));
    expect(tunnel.status().tunnel.rxBytes).toBeGreaterThan(CONTENT.length);
  });

  it('found in the DHT, from a magnet link', async () => {
    const { sandbox, tunnel } = await world();
    const router = await client(sandbox.addHost({ name: 'router.test' }), {
      dht: { bootstrap: false },
      dhtPort: 6881,
      tracker: false,
    });
    expect(router.dhtPort).toBe(6881);
    const dht = { bootstrap: ['router.test:6881'] };
    const torrent = await seed(await seederOn(sandbox.addHost(), { dht, tracker: false }), CONTENT);
    const leecher = await client(tunnel, { dht, tracker: false });
    const file = await downloaded(leecher, `magnet:?xt=urn:btih:${torrent.infoHash}`);
    expect(hash(file)).toBe(hash(CONTENT));
  });

  it('read from a web seed', async () => {
    const { sandbox, tunnel } = await world();
    const http = createHttpServer(sandbox.addHost({ name: 'seed.test' }).net);
    http.on('request', (request, response) => {
      const [from = 0, to = 0] = request.headers.range?.match(/\d+/g)?.map(Number) ?? [];
      response.writeHead(206).end(CONTENT.subarray(from, to + 1));
    });
    await new Promise<void>((resolve) => http.once('listening', resolve).listen(80));
    later(() => new Promise((resolve) => http.close(resolve)));
    const maker = await seederOn(sandbox.addHost(), { dht: false, tracker: false });
    const { torrentFile } = await seed(maker, CONTENT);
    const leecher = await client(tunnel, { dht: false, tracker: false });
    const file = await downloaded(leecher, torrentFile, { urlList: ['http://seed.test/content.bin'] });
    expect(hash(file)).toBe(hash(CONTENT));
  });
});
