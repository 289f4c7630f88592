/** What is left of a client when its tunnel was closed first: nothing throws where nobody listens, and it can still be ended. */
import { afterEach, describe, expect, it } from 'vitest';
import { WebLayer } from '../../src/node/web-layer.ts';
import { announceAgain, announcePort } from '../../src/torrent/webtorrent.ts';
import { LoopbackNetwork } from '../support/loopback-engine.ts';
import { add, clean, client, content, next, seed } from './swarm.ts';

afterEach(clean);

interface Dht {
  lookup(infoHash: string, done: () => void): void;
  addNode(node: { host: string; port: number }): void;
}

describe('a client whose tunnel is closed', () => {
  it('stays quiet whatever it tries, and can be destroyed', async () => {
    const network = new LoopbackNetwork();
    const host = new WebLayer(network.host('10.9.0.1'));
    const made = await client(host, { dht: { bootstrap: ['10.9.0.2:6881'] } });
    const errors: unknown[] = [];
    made.on('error', (error) => errors.push(error));
    const announce = ['udp://10.9.0.2:1/announce', 'http://10.9.0.2/announce'];
    await seed(made, content(1000), { announce });
    const torrent = add(made, '0123456789012345678901234567890123456789', { announce, urlList: ['http://10.9.0.2/'] });
    await next(torrent, 'infoHash');
    await host.close();
    const uncaught: unknown[] = [];
    const note = (error: unknown): void => void uncaught.push(error);
    process.on('uncaughtException', note).on('unhandledRejection', note);
    try {
      const dht = (made as unknown as { dht: Dht }).dht;
      dht.addNode({ host: '10.9.0.3', port: 6881 });
      await new Promise<void>((resolve) => dht.lookup(torrent.infoHash, () => resolve()));
      torrent.addPeer('10.9.0.3:6881');
      announceAgain(made);
      announcePort(made, 40_000);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await new Promise((resolve) => made.destroy(resolve));
    } finally {
      process.removeListener('uncaughtException', note).removeListener('unhandledRejection', note);
    }
    expect(uncaught).toEqual([]);
    expect(errors).toEqual([]);
  });
});
