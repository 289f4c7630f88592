/** A BitTorrent tracker (BEP 3, 15, 23) inside a tunnel or a virtual internet. */

import { EventEmitter } from 'node:events';
import type { BundleParts } from './bundle.ts';

export interface TrackerOptions {
  /** The HTTP port; 0 or absent: any free one. False: no HTTP. */
  readonly http?: number | false;
  /** The UDP port; 0 or absent: any free one. False: no UDP. */
  readonly udp?: number | false;
  /** The address to listen on; absent: every one of the host. */
  readonly address?: string;
  /** Listens for UDP over IPv6 too; needs a host that has IPv6. */
  readonly ipv6?: boolean;
  /** How often clients are told to announce, in seconds (600). */
  readonly intervalSeconds?: number;
}

export interface Announce {
  readonly event: 'start' | 'update' | 'complete' | 'stop' | 'pause';
  readonly infoHash: string;
  /** `ip:port` as other peers are told. */
  readonly peer: string;
}

export interface TrackerEvents {
  announce: [announce: Announce];
  /** A request that made no sense. */
  warning: [error: Error];
  error: [error: Error];
}

interface TrackerServer extends EventEmitter {
  readonly http: { address(): { port: number } } | null;
  readonly udp4: { address(): { port: number } } | null;
  listen(port: { http: number; udp: number }, address: string | undefined, onListening: () => void): void;
  close(onClosed: () => void): void;
}

const EVENTS = ['start', 'update', 'complete', 'stop', 'pause'] as const;

export class Tracker extends EventEmitter<TrackerEvents> {
  readonly #server: TrackerServer;

  /** @internal For createTracker(). */
  static async listen(Server: BundleParts['TrackerServer'], options: TrackerOptions): Promise<Tracker> {
    const { http = 0, udp = 0, intervalSeconds = 600 } = options;
    const server = new Server({
      http: http !== false,
      udp: udp !== false,
      ws: false,
      stats: false,
      interval: intervalSeconds * 1000,
    }) as TrackerServer;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ http: http || 0, udp: udp || 0 }, options.address, () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
    return new Tracker(server);
  }

  private constructor(server: TrackerServer) {
    super();
    this.#server = server;
    for (const event of EVENTS)
      server.on(event, (peer: string, { info_hash: infoHash }: { info_hash: string }) => {
        this.emit('announce', { event, infoHash, peer });
      });
    server.on('warning', (error: Error) => this.emit('warning', error));
    server.on('error', (error: Error) => this.emit('error', error));
  }

  /** Where it listens for HTTP; undefined without HTTP. Announce to `http://address:port/announce`. */
  get httpPort(): number | undefined {
    return this.#server.http?.address().port;
  }

  /** Where it listens for UDP; undefined without UDP. Announce to `udp://address:port/announce`. */
  get udpPort(): number | undefined {
    return this.#server.udp4?.address().port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
