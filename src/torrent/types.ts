/** The part of WebTorrent's surface that is promised here, as types. The objects are WebTorrent's own. */

import type { EventEmitter } from 'node:events';

/** A magnet link, a hash, a path or URL of a .torrent file, or its bytes. */
export type TorrentId = string | Uint8Array | { readonly infoHash: string };

export interface TorrentOptions {
  /** The folder to download to; by default `webtorrent` in the folder for temporary files. */
  readonly path?: string;
  /** Trackers, besides those that the torrent names. */
  readonly announce?: readonly string[];
  /** Web seeds, besides those that the torrent names. */
  readonly urlList?: readonly string[];
  readonly maxWebConns?: number;
  /** Overrides what the torrent says. */
  readonly private?: boolean;
  readonly strategy?: 'sequential' | 'rarest';
  readonly uploads?: number | false;
  readonly paused?: boolean;
  /** Selects no piece. */
  readonly deselect?: boolean;
  /** Takes what is on disk for verified. */
  readonly skipVerify?: boolean;
  /** A chunk store to use instead of files. */
  readonly store?: new (
    chunkLength: number,
    options: never,
  ) => unknown;
  readonly storeOpts?: object;
  readonly storeCacheSlots?: number;
  readonly destroyStoreOnDestroy?: boolean;
  readonly getAnnounceOpts?: () => object;
}

export interface SeedOptions extends TorrentOptions {
  readonly name?: string;
  readonly comment?: string;
  readonly createdBy?: string;
  readonly creationDate?: Date;
  readonly pieceLength?: number;
}

export interface TorrentEvents {
  infoHash: [infoHash: string];
  metadata: [];
  ready: [];
  warning: [error: Error | string];
  error: [error: Error | string];
  done: [];
  download: [bytes: number];
  upload: [bytes: number];
  wire: [wire: unknown, address?: string];
  peer: [peer: string];
  noPeers: [source: 'tracker' | 'dht' | 'lsd' | 'ut_pex'];
  verified: [piece: number];
  trackerAnnounce: [];
  dhtAnnounce: [];
  close: [];
}

export interface Torrent extends EventEmitter<TorrentEvents> {
  /** Absent until the event `infoHash`, as is all that follows from it. */
  readonly infoHash: string;
  readonly magnetURI: string;
  /** The .torrent file. */
  readonly torrentFile: Uint8Array;
  readonly name: string;
  readonly path: string;
  readonly files: readonly TorrentFile[];
  readonly announce: readonly string[];
  /** Bytes. */
  readonly length: number;
  readonly pieceLength: number;
  /** One per piece; null once it is verified. */
  readonly pieces: readonly unknown[];
  /** Verified bytes. */
  readonly downloaded: number;
  /** Bytes received, verified or not. */
  readonly received: number;
  readonly uploaded: number;
  /** Bytes per second. */
  readonly downloadSpeed: number;
  readonly uploadSpeed: number;
  /** 0 to 1. */
  readonly progress: number;
  readonly ratio: number;
  /** Milliseconds. */
  readonly timeRemaining: number;
  readonly numPeers: number;
  readonly ready: boolean;
  readonly paused: boolean;
  readonly done: boolean;
  readonly destroyed: boolean;
  /** `ip:port`. Returns false if the address is of no use or blocked. Throws before the event `infoHash`. */
  addPeer(address: string): boolean;
  removePeer(address: string): void;
  addWebSeed(url: string): void;
  select(start: number, end: number, priority?: number): void;
  deselect(start: number, end: number): void;
  /** No new peers; those connected stay. */
  pause(): void;
  resume(): void;
  rescanFiles(onDone?: (error: Error | null) => void): void;
  destroy(options?: { readonly destroyStore?: boolean }, onDestroyed?: (error?: Error | null) => void): void;
}

export interface TorrentFile {
  readonly name: string;
  readonly path: string;
  readonly length: number;
  readonly offset: number;
  readonly downloaded: number;
  readonly progress: number;
  readonly done: boolean;
  select(priority?: number): void;
  deselect(): void;
  arrayBuffer(options?: { readonly start?: number; readonly end?: number }): Promise<ArrayBuffer>;
  [Symbol.asyncIterator](options?: {
    readonly start?: number;
    readonly end?: number;
  }): AsyncIterableIterator<Uint8Array>;
}

export interface WebTorrentEvents {
  add: [torrent: Torrent];
  remove: [torrent: Torrent];
  /** The torrent has its metadata and what was on disk is verified. */
  torrent: [torrent: Torrent];
  seed: [torrent: Torrent];
  ready: [];
  listening: [];
  download: [bytes: number];
  upload: [bytes: number];
  /** Of the client, after which it is destroyed; or of a torrent without a listener of its own. */
  error: [error: Error | string];
}

export interface WebTorrentClient extends EventEmitter<WebTorrentEvents> {
  readonly peerId: string;
  readonly nodeId: string;
  /** The port that is announced. */
  readonly torrentPort: number;
  readonly dhtPort: number;
  readonly torrents: readonly Torrent[];
  readonly maxConns: number;
  readonly ready: boolean;
  readonly listening: boolean;
  readonly destroyed: boolean;
  /** Bytes per second. */
  readonly downloadSpeed: number;
  readonly uploadSpeed: number;
  /** Of all torrents that are not complete, 0 to 1. */
  readonly progress: number;
  readonly ratio: number;
  add(torrentId: TorrentId, options?: TorrentOptions, onTorrent?: (torrent: Torrent) => void): Torrent;
  /**
   * A path, bytes with a `name`, or a list of them. Without `announce` in the options, create-torrent puts its list of public
   * trackers into the torrent: give an empty list to have none.
   */
  seed(input: unknown, options?: SeedOptions, onSeed?: (torrent: Torrent) => void): Torrent;
  get(torrentId: TorrentId): Promise<Torrent | null>;
  remove(
    torrentId: TorrentId | Torrent,
    options?: { readonly destroyStore?: boolean },
    onRemoved?: (error?: Error | null) => void,
  ): Promise<void>;
  throttleDownload(bytesPerSecond: number): void;
  throttleUpload(bytesPerSecond: number): void;
  address(): { readonly port: number } | null;
  destroy(onDestroyed?: (error?: Error | null) => void): void;
}
