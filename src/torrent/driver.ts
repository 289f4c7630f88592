/** A WebTorrent client that follows its tunnel: `createWebTorrent` attaches it. */

import type { ClientDriver, ClientReports } from '../node/client-driver.ts';
import { announceAgain, announcePort } from './transfers.ts';
import type { Torrent, WebTorrentClient } from './types.ts';
import { WatchedTorrent } from './watched-torrent.ts';

export class WebTorrentDriver implements ClientDriver {
  readonly name: string = 'webtorrent';
  readonly setPort?: (port: number | undefined) => Promise<void>;
  readonly #client: WebTorrentClient;
  /** By info hash, which is the same at every start. */
  readonly #watched: Map<string, WatchedTorrent> = new Map();
  #reports: ClientReports | undefined;

  /** `forwarded`: the client listens for what the provider forwards. */
  constructor(client: WebTorrentClient, { forwarded }: { readonly forwarded: boolean }) {
    this.#client = client;
    if (forwarded) this.setPort = async (port) => applyPort(client, port);
  }

  open(reports: ClientReports): void {
    this.#reports = reports;
    this.#client.on('add', this.#identify);
    for (const torrent of this.#client.torrents) this.#identify(torrent);
  }

  async pause(transfer: string): Promise<void> {
    this.#watched.get(transfer)?.pause();
  }

  async resume(transfer: string): Promise<void> {
    this.#watched.get(transfer)?.resume();
  }

  async announce(): Promise<void> {
    announceAgain(this.#client);
  }

  close(): void {
    this.#reports = undefined;
    this.#client.off('add', this.#identify);
    for (const watched of this.#watched.values()) watched.release();
    this.#watched.clear();
  }

  /** Before its info hash is known, a torrent asks nobody for anything. */
  readonly #identify = (torrent: Torrent): void => {
    if (torrent.infoHash) this.#watch(torrent);
    else torrent.once('infoHash', () => this.#watch(torrent));
  };

  #watch(torrent: Torrent): void {
    const reports = this.#reports;
    const id = torrent.infoHash;
    if (!reports || torrent.destroyed) return;
    this.#watched.set(
      id,
      new WatchedTorrent(torrent, {
        onPerson: (wish) => reports.person(id, wish),
        onClose: () => {
          this.#watched.delete(id);
          reports.removed(id);
        },
      }),
    );
    reports.added(id, !torrent.paused);
  }
}

/** The client's own listener says which port leads to it; that is what is announced, so it is never one of before. */
function applyPort(client: WebTorrentClient, port: number | undefined): void {
  const told = client.address()?.port;
  if (told === undefined) throw new Error('The client does not listen yet.');
  if (port !== undefined && port !== told) throw new Error('The forwarded port leads to another listener.');
  announcePort(client, told);
}
