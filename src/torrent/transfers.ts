/** What a client does when the tunnel stops or moves: pausing that remembers peers, and announcing anew. */

import type { Torrent, WebTorrentClient } from './types.ts';

export interface PausedTransfers {
  /** Torrents that were running and are paused now. */
  readonly torrents: readonly Torrent[];
  /** Starts those again that this pause had stopped, dials the peers of that time and announces again. Safe to call twice. */
  resume(): void;
}

interface Internals {
  readonly _peers: ReadonlyMap<string, { readonly type: string; readonly addr: string | null }> | null;
  readonly discovery: Discovery | null;
}

interface Discovery {
  tracker: TrackerClient | null;
  _port: number;
  readonly dht: unknown;
  readonly destroyed: boolean;
  readonly _dhtAnnouncing: boolean;
  once(event: 'dhtAnnounce', listener: () => void): void;
  _createTracker(): TrackerClient;
  _dhtAnnounce(): void;
}

interface TrackerClient {
  start(): void;
  stop(): void;
  destroy(onDestroyed: () => void): void;
}

const internals = (torrent: Torrent): Internals => torrent as unknown as Internals;

/**
 * Pauses every torrent that runs. Connections stay, for a tunnel that comes back to the same exit carries them on; WebTorrent
 * would forget peers whose connection ends while paused, so their addresses are kept here.
 */
export function pauseTransfers(client: WebTorrentClient): PausedTransfers {
  const running = client.torrents.filter((torrent) => !torrent.paused && !torrent.destroyed);
  const dialled = new Map(running.map((torrent) => [torrent, dialledPeers(torrent)]));
  for (const torrent of running) torrent.pause();
  return {
    torrents: running,
    resume() {
      for (const [torrent, peers] of dialled) {
        dialled.delete(torrent);
        if (torrent.destroyed || !torrent.paused) continue;
        torrent.resume();
        dial(torrent, peers);
      }
      announceAgain(client);
    },
  };
}

/** Announces the port that peers can reach now, where it is another one: trackers hear `stopped` for the old and `started` for it. */
export function announcePort(client: WebTorrentClient, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError(`"port" expected 1 to 65535, got ${port}`);
  if (port === client.torrentPort) return;
  (client as { torrentPort: number }).torrentPort = port;
  for (const torrent of client.torrents) {
    const { discovery } = internals(torrent);
    if (discovery) movePort(discovery, port);
  }
}

/** Tells trackers and the DHT where we are, for example after the exit address changed. */
export function announceAgain(client: WebTorrentClient): void {
  for (const torrent of client.torrents) {
    const { discovery } = internals(torrent);
    discovery?.tracker?.start();
    if (discovery) announceInDht(discovery);
  }
}

/**
 * The addresses that the torrent has dialled, connected or not. Those that dialled us are left out: the port they came from is not one
 * to dial.
 */
export function dialledPeers(torrent: Torrent): string[] {
  const peers = [...(internals(torrent)._peers?.values() ?? [])];
  return peers.flatMap(({ type, addr }) => (type === 'tcpOutgoing' && addr ? [addr] : []));
}

/** Dials those that it is not connected to. */
export function dial(torrent: Torrent, addresses: Iterable<string>): void {
  if (torrent.destroyed || !torrent.infoHash) return;
  for (const address of addresses) if (!internals(torrent)._peers?.has(address)) torrent.addPeer(address);
}

/**
 * In place of WebTorrent's `updatePort`, under which a torrent that ends before the old tracker client is gone never ends, or throws
 * where nobody can catch it. The new one waits for the old one's last word, or trackers could hear `stopped` after `started`.
 */
function movePort(discovery: Discovery, port: number): void {
  if (port === discovery._port) return;
  discovery._port = port;
  announceInDht(discovery);
  const old = discovery.tracker;
  if (!old) return;
  discovery.tracker = null;
  old.stop();
  old.destroy(() => {
    if (!discovery.destroyed) discovery.tracker = discovery._createTracker();
  });
}

/** WebTorrent skips an announce while another one is under way, which may name the port of before. */
function announceInDht(discovery: Discovery): void {
  if (!discovery.dht) return;
  if (discovery._dhtAnnouncing) discovery.once('dhtAnnounce', () => discovery.dht && discovery._dhtAnnounce());
  else discovery._dhtAnnounce();
}
