/** One torrent under the killswitch: tells a person's pause and resume from ours, and remembers whom to dial after a pause. */

import { dial, dialledPeers } from './transfers.ts';
import type { Torrent } from './types.ts';

export interface WatchedTorrentOptions {
  /** Somebody else than `pause` and `resume` below called those of the torrent. */
  readonly onPerson: (wish: 'pause' | 'resume') => void;
  /** The torrent was removed from its client. */
  readonly onClose: () => void;
}

/** Peers that are dialled again after a pause, at most: about as many as a torrent connects to. */
const MAX_REMEMBERED = 64;

export class WatchedTorrent {
  readonly #torrent: Torrent;
  readonly #onClose: () => void;
  /**
   * Peers that a connection was up to, the latest last. WebTorrent forgets those whose connection ends while paused, and those that it
   * has lost to the silence before the pause.
   */
  readonly #remembered: Set<string> = new Set();
  #acting = false;

  /** Changes `pause` and `resume` of this one torrent, until `release`. */
  constructor(torrent: Torrent, { onPerson, onClose }: WatchedTorrentOptions) {
    this.#torrent = torrent;
    this.#onClose = onClose;
    const { pause, resume } = torrent;
    Object.assign(torrent, {
      pause: () => {
        pause.call(torrent);
        if (!this.#acting) onPerson('pause');
      },
      resume: () => {
        resume.call(torrent);
        dial(torrent, this.#remembered);
        if (!this.#acting) onPerson('resume');
      },
    });
    torrent.on('wire', this.#rememberPeers);
    torrent.once('close', onClose);
  }

  pause(): void {
    this.#rememberPeers();
    this.#act(() => this.#torrent.pause());
  }

  resume(): void {
    this.#act(() => this.#torrent.resume());
  }

  release(): void {
    // What is left are the methods of the class.
    for (const name of ['pause', 'resume']) Reflect.deleteProperty(this.#torrent, name);
    this.#torrent.off('wire', this.#rememberPeers);
    this.#torrent.off('close', this.#onClose);
  }

  readonly #rememberPeers = (): void => {
    for (const address of dialledPeers(this.#torrent)) {
      this.#remembered.delete(address);
      this.#remembered.add(address);
    }
    for (const oldest of this.#remembered) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
  };

  #act(action: () => void): void {
    this.#acting = true;
    try {
      action();
    } finally {
      this.#acting = false;
    }
  }
}
