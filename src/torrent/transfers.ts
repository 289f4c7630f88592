/** What a client does when the tunnel stops or moves: pausing that remembers peers, and announcing anew. */

import type { Torrent, WebTorrentClient } from './types.ts';

export interface PausedTransfers {
  /** Torrents that were running and are paused now. */
  readonly torrents: readonly Torrent[];
  /** Starts those again that this pause had stopped, dials the peers of that time and announces again. Safe to call twice. */
  resume(): void;
}

interface Internals {
  readonly client: { torrentPort: number } | null;
  readonly _peers: ReadonlyMap<string, { readonly type: string; readonly addr: string | null }> | null;
  readonly discovery: {
    readonly tracker: { start(): void } | null;
    readonly dht: unknown;
    updatePort(port: number): void;
    _dhtAnnounce(): void;
  } | null;
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
        for (const peer of peers) if (!internals(torrent)._peers?.has(peer)) torrent.addPeer(peer);
      }
      announceAgain(client);
    },
  };
}

/** Announces the port that peers can reach now, where it is another one: trackers hear `stopped` for the old and `started` for it. */
export function announcePort(client: WebTorrentClient, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError(`"port" expected 1 to 65535, got ${port}`);
  (client as { torrentPort: number }).torrentPort = port;
  for (const torrent of client.torrents) internals(torrent).discovery?.updatePort(port);
}

/** Tells trackers and the DHT where we are, for example after the exit address changed. */
export function announceAgain(client: WebTorrentClient): void {
  for (const torrent of client.torrents) {
    const { discovery } = internals(torrent);
    discovery?.tracker?.start();
    if (discovery?.dht) discovery._dhtAnnounce();
  }
}

/** Those that dialled us are left out: the port they came from is not one to dial. */
function dialledPeers(torrent: Torrent): string[] {
  const peers = [...(internals(torrent)._peers?.values() ?? [])];
  return peers.flatMap(({ type, addr }) => (type === 'tcpOutgoing' && addr ? [addr] : []));
}
