/** One torrent from its first peer to its last verified piece: shared by `get` and `demo`. */

import { mkdir } from 'node:fs/promises';
import { SluiceError } from '../core/base/errors.ts';
import type { Torrent, WebTorrentClient } from '../torrent/webtorrent.ts';
import type { Reporter } from './progress/reporter.ts';

/** The part of a client that a download needs. */
export type TorrentClient = Pick<WebTorrentClient, 'add' | 'on' | 'off'>;

export interface DownloadOptions {
  readonly client: TorrentClient;
  /** A magnet link, or the bytes of a .torrent file. */
  readonly torrent: string | Uint8Array;
  readonly directory: string;
  readonly handshakeAgeSeconds: () => number | null;
  readonly reporter: Reporter;
  readonly stop: AbortSignal;
}

const REDRAW_INTERVAL_MS = 250;
const NO_PEERS_AFTER_MS = 30_000;

/**
 * Downloads into `directory`, going on from what is already there. Resolves with the torrent when every piece is verified, or, not
 * `done`, when `stop` aborts. Throws `ERR_TORRENT` or `ERR_STORAGE`. The client stays the caller's.
 */
export async function download(options: DownloadOptions): Promise<Torrent> {
  const { client, directory, reporter, stop } = options;
  await mkdir(directory, { recursive: true }).catch((cause: unknown) => {
    throw new SluiceError('ERR_STORAGE', `The folder ${directory} cannot be made.`, { cause });
  });
  const torrent = client.add(options.torrent, { path: directory });
  const watch = watchProgress(torrent, options);
  try {
    await settled(client, torrent, stop, () => {
      reporter.event('metadata', { name: torrent.name, infoHash: torrent.infoHash, totalBytes: torrent.length });
      reporter.note(`Downloading ${torrent.name} into ${directory}.`);
    });
  } finally {
    watch.stop();
    reporter.settle();
  }
  return torrent;
}

function settled(client: TorrentClient, torrent: Torrent, stop: AbortSignal, onMetadata: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error | string): void => finish(() => reject(failureOf(error)));
    const stopped = (): void => finish(resolve);
    const finish = (settle: () => void): void => {
      client.off('error', fail);
      stop.removeEventListener('abort', stopped);
      settle();
    };
    client.on('error', fail);
    torrent.on('error', fail);
    torrent.on('metadata', onMetadata);
    torrent.on('done', () => finish(resolve));
    stop.addEventListener('abort', stopped);
    if (stop.aborted) stopped();
  });
}

/** Verified and wanted bytes; 0 while the metadata is on its way. */
export function bytesOf(torrent: Torrent): { readonly downloadedBytes: number; readonly totalBytes: number } {
  // Before the metadata, WebTorrent's getters compute with what is not there yet.
  const totalBytes = torrent.length || 0;
  return { downloadedBytes: totalBytes === 0 ? 0 : torrent.downloaded, totalBytes };
}

function watchProgress(torrent: Torrent, { reporter, handshakeAgeSeconds }: DownloadOptions): { stop(): void } {
  let loneliness = 0;
  const show = (): void => {
    reporter.progress({
      ...bytesOf(torrent),
      bytesPerSecond: torrent.downloadSpeed,
      peers: torrent.numPeers,
      handshakeAgeSeconds: handshakeAgeSeconds(),
    });
  };
  const timer = setInterval(() => {
    show();
    loneliness = torrent.numPeers === 0 ? loneliness + REDRAW_INTERVAL_MS : 0;
    if (loneliness === NO_PEERS_AFTER_MS)
      reporter.note('No peers for 30 seconds. The torrent may have none that accept connections; the search goes on.');
  }, REDRAW_INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      show();
    },
  };
}

const STORAGE_CODES = /^(ENOSPC|EACCES|EPERM|EROFS|EDQUOT|EIO|ENOTDIR|EISDIR|EMFILE|ENAMETOOLONG)$/;

function failureOf(error: Error | string): SluiceError {
  if (error instanceof SluiceError) return error;
  const cause = typeof error === 'string' ? new Error(error) : error;
  if (STORAGE_CODES.test((cause as NodeJS.ErrnoException).code ?? ''))
    return new SluiceError('ERR_STORAGE', 'The download could not be written.', { cause });
  return new SluiceError('ERR_TORRENT', 'The torrent could not be used.', { cause });
}
