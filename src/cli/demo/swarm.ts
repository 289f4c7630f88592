/** The swarm behind the demo's provider: a tracker and seeders on hosts of the virtual internet, each with its own sockets. */

import { once } from 'node:events';
import { join } from 'node:path';
import type { Sandbox } from '../../sandbox/index.ts';
import {
  type Announce,
  createTracker,
  createWebTorrent,
  type Torrent,
  type WebTorrentClient,
} from '../../torrent/webtorrent.ts';

export interface Swarm {
  /** The .torrent file of what the seeders have. */
  readonly torrentFile: Uint8Array;
  /** Addresses of the seeders; they exist in the virtual internet only. */
  readonly seeders: readonly string[];
  /** What the tracker has heard, the latest last. */
  readonly announces: readonly Announce[];
  /** Bytes that have arrived at the seeders. */
  received(): number;
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
    const { trackers, announces } = await startTracker(sandbox, closers);
    const addresses: string[] = [];
    const seeding: Torrent[] = [];
    for (let index = 1; index <= seeders; index++) {
      const host = sandbox.addHost({ name: `seeder${index}.sluice.test` });
      addresses.push(host.address);
      closers.push(() => host.close());
      // No peer exchange: what arrives at them is to be the downloader’s alone.
      const client = await createWebTorrent(host, { dht: false, utPex: false });
      closers.push(() => destroyClient(client));
      const torrent = client.seed(path, { announce: trackers });
      await once(torrent, 'seed');
      seeding.push(torrent);
    }
    const received = (): number => seeding.reduce((sum, torrent) => sum + torrent.received, 0);
    return { torrentFile: seeding[0]!.torrentFile!, seeders: addresses, announces, received, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A peer that knows of nobody but one address, and dials it. */
export interface Outsider {
  readonly address: string;
  /** Whether that address has answered in BitTorrent. */
  isConnected(): boolean;
  close(): Promise<void>;
}

/** So that it takes next to nothing of the narrow line. */
const OUTSIDER_BYTES_PER_SECOND = 32_768;

/** `peer` is `ip:port`; what arrives goes into `folder`. */
export async function dialFromOutside(
  sandbox: Sandbox,
  { torrentFile }: Swarm,
  peer: string,
  folder: string,
): Promise<Outsider> {
  const host = sandbox.addHost();
  const client = await createWebTorrent(host, {
    dht: false,
    tracker: false,
    utPex: false,
    downloadLimit: OUTSIDER_BYTES_PER_SECOND,
  });
  const torrent = client.add(torrentFile, { path: join(folder, 'outsider') });
  torrent.on('infoHash', () => torrent.addPeer(peer));
  return {
    address: host.address,
    isConnected: () => torrent.numPeers > 0,
    async close() {
      await destroyClient(client);
      await host.close();
    },
  };
}

export async function destroyClient(client: WebTorrentClient): Promise<void> {
  if (!client.destroyed) await new Promise((resolve) => client.destroy(resolve));
}

async function startTracker(
  sandbox: Sandbox,
  closers: (() => Promise<void>)[],
): Promise<{ readonly trackers: string[]; readonly announces: readonly Announce[] }> {
  const name = 'tracker.sluice.test';
  const host = sandbox.addHost({ name });
  closers.push(() => host.close());
  const tracker = await createTracker(host, { http: TRACKER_PORT, udp: TRACKER_PORT });
  closers.push(() => tracker.close());
  const announces: Announce[] = [];
  tracker.on('announce', (announce) => announces.push(announce));
  return { trackers: ['udp', 'http'].map((protocol) => `${protocol}://${name}:${TRACKER_PORT}/announce`), announces };
}
