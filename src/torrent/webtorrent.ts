/** The library’s `sluice/webtorrent`: WebTorrent clients whose every socket is a tunnel's. */

import type { EventEmitter } from 'node:events';
import { SluiceError } from '../core/base/errors.ts';
import { type BundleParts, instantiate, loadBundle } from './bundle.ts';
import { type BundleHost, type BundleHostOptions, bundleHost } from './bundle-host.ts';
import { WebTorrentDriver } from './driver.ts';
import type { TunnelHost } from './host.ts';
import { clientOptions, type WebTorrentOptions } from './options.ts';
import { checkCalls, checkClient, probeHost } from './self-check.ts';
import { Tracker, type TrackerOptions } from './tracker.ts';
import type { WebTorrentClient } from './types.ts';

export type {
  HostDatagramSocket,
  HostDgram,
  HostDns,
  HostNet,
  HostRequest,
  HostResponse,
  HostServer,
  TunnelHost,
} from './host.ts';
export type { DhtOptions, TrackerClientOptions, WebTorrentOptions } from './options.ts';
export { type Announce, Tracker, type TrackerEvents, type TrackerOptions } from './tracker.ts';
export { announceAgain, announcePort, type PausedTransfers, pauseTransfers } from './transfers.ts';
export type {
  SeedOptions,
  Torrent,
  TorrentEvents,
  TorrentFile,
  TorrentId,
  TorrentOptions,
  WebTorrentClient,
  WebTorrentEvents,
} from './types.ts';

/**
 * A client over `host`, listening for peers and for the DHT when the promise resolves. Any number may live in one process, over one tunnel or
 * several, beside a WebTorrent of the embedder's own: each has its own instance of the code. End it with `client.destroy()`.
 * Over a `Tunnel` it follows the killswitch and the forwarded port by itself.
 * Throws TypeError for an option that cannot be carried, `ERR_WEBTORRENT_SHAPE` if a socket of the client would not be the
 * tunnel's, and what `host.net` throws if it cannot listen.
 */
export async function createWebTorrent(host: TunnelHost, options: WebTorrentOptions = {}): Promise<WebTorrentClient> {
  const given = clientOptions(options);
  const { forwarded = false } = options;
  const made = new WeakSet<object>();
  const { WebTorrent } = await checkedInstance(host, { forwarded, made });
  const client = new WebTorrent(given) as unknown as WebTorrentClient;
  checkClient(client, made);
  await listening(client);
  follow(host, client, forwarded);
  return client;
}

/** The versions of WebTorrent and the packages around it in this release. */
export async function webTorrentVersions(): Promise<Readonly<Record<string, string>>> {
  return (await loadBundle()).versions;
}

/** A tracker (HTTP and UDP) over `host`, listening when the promise resolves. Throws as `host.net` and `host.dgram` do. */
export async function createTracker(host: TunnelHost, options: TrackerOptions = {}): Promise<Tracker> {
  const { TrackerServer } = await checkedInstance(host, { ipv4Only: !options.ipv6 });
  return Tracker.listen(TrackerServer, options);
}

/** An instance of the bundle that was first seen to take every kind of socket from what it is given. */
async function checkedInstance(host: TunnelHost, options: BundleHostOptions): Promise<BundleParts> {
  const probe = probeHost();
  const sockets: BundleHost = { ...probe.host };
  const parts = instantiate(await loadBundle(), sockets);
  await checkCalls(parts, probe);
  Object.freeze(Object.assign(sockets, bundleHost(host, options)));
  return parts;
}

/** Attaches the client until it is destroyed, by its owner or by an error of its own. */
function follow(host: TunnelHost, client: WebTorrentClient, forwarded: boolean): void {
  if (!host.attachClient) return;
  const driver = new WebTorrentDriver(client, { forwarded });
  host.attachClient(driver);
  const internals = client as unknown as { _destroy(...args: unknown[]): void };
  const destroy = internals._destroy;
  // First: torrents that end with their client keep their markers.
  internals._destroy = (...args) => {
    host.detachClient?.(driver);
    destroy.apply(client, args);
  };
}

/** Both ports are bound and known; until then an error is the caller's answer, not an event that nobody listens for yet. */
async function listening(client: WebTorrentClient): Promise<void> {
  const { dht } = client as unknown as { readonly dht: (EventEmitter & { readonly listening: boolean }) | false };
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error | string): void =>
      reject(error instanceof Error ? error : new SluiceError('ERR_TORRENT', error));
    const step = (): void => {
      if (!client.listening || (dht && !dht.listening)) return;
      client.removeListener('error', fail);
      resolve();
    };
    client.once('error', fail);
    client.once('listening', step);
    if (dht) dht.once('listening', step);
  });
}
