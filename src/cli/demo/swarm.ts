/** The swarm behind the demo's provider: a tracker and seeders on hosts of the virtual internet, each with its own sockets. */

import { once } from 'node:events';
import type { Sandbox } from '../../sandbox/index.ts';
import { createTracker, createWebTorrent } from '../../torrent/webtorrent.ts';

export interface Swarm {
  /** The .torrent file of what the seeders have. */
  readonly torrentFile: Uint8Array;
  /** Addresses of the seeders; they exist in the virtual internet only. */
  readonly seeders: readonly string[];
  close(): Promise<void>;
}

const TRACKER_PORT = 6969;

/** Starts a tracker and `seeders` seeders that share the file at `path`. */
export async function gatherSwarm(sandbox: Sandbox, path: string, seeders: number): Promise<Swarm> {
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const trackers = await startTracker(sandbox, closers);
    const addresses: string[] = [];
    let torrentFile: Uint8Array | undefined;
    for (let index = 1; index <= seeders; index++) {
      const host = sandbox.addHost({ name: `seeder${index}.sluice.test` });
      addresses.push(host.address);
      closers.push(() => host.close());
      const client = await createWebTorrent(host, { dht: false });
      closers.push(() => new Promise((resolve) => client.destroy(() => resolve())));
      const torrent = client.seed(path, { announce: trackers });
      await once(torrent, 'seed');
      torrentFile ??= torrent.torrentFile;
    }
    return { torrentFile: torrentFile!, seeders: addresses, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Its announce URLs. */
async function startTracker(sandbox: Sandbox, closers: (() => Promise<void>)[]): Promise<string[]> {
  const name = 'tracker.sluice.test';
  const host = sandbox.addHost({ name });
  closers.push(() => host.close());
  const tracker = await createTracker(host, { http: TRACKER_PORT, udp: TRACKER_PORT });
  closers.push(() => tracker.close());
  return ['udp', 'http'].map((protocol) => `${protocol}://${name}:${TRACKER_PORT}/announce`);
}
