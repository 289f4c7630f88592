/** Finds the bundle that scripts/bundle-webtorrent.mjs made, and makes instances of it. */

import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../core/base/errors.ts';
import { bundleProcess, requireBuiltin } from './bundle-environment.ts';
import type { BundleHost } from './bundle-host.ts';

type Constructor<T = unknown> = new (...args: never[]) => T;

/** What one instance exports: scripts/webtorrent/entry.js. */
export interface BundleParts {
  readonly WebTorrent: (new (
    options: object,
  ) => EventEmitter) & { readonly WEBRTC_SUPPORT: boolean; readonly UTP_SUPPORT: boolean };
  readonly TrackerServer: new (options: object) => EventEmitter;
  readonly createTorrent: (
    input: unknown,
    options: object,
    callback: (error: Error | null, torrent: Uint8Array) => void,
  ) => void;
  readonly parseTorrent: (torrentId: unknown) => Promise<Record<string, unknown>>;
  readonly parseRemoteTorrent: (torrentId: string, callback: (error: Error | null) => void) => void;
  readonly MemoryStore: Constructor;
  readonly ConnPool: Constructor;
  readonly Torrent: Constructor;
  readonly WebConn: Constructor;
  readonly HttpTracker: Constructor;
  readonly UdpTracker: Constructor;
  readonly DhtSocket: Constructor;
}

export interface Bundle {
  /** Package → version, of the packages whose shape was checked when the bundle was built. */
  readonly versions: Readonly<Record<string, string>>;
  instantiate(host: BundleHost, require: (name: string) => unknown, process: object, globals: object): BundleParts;
}

const NAME = 'webtorrent-bundle.js';
let loading: Promise<Bundle> | undefined;

/** Loads the code once. Throws ERR_WEBTORRENT_SHAPE if it is not there. */
export function loadBundle(): Promise<Bundle> {
  loading ??= importBundle().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

/** A WebTorrent of its own: no module state is shared with another instance, or with a WebTorrent from node_modules. */
export function instantiate(bundle: Bundle, host: BundleHost): BundleParts {
  const process = bundleProcess();
  return bundle.instantiate(host, requireBuiltin, process, { process });
}

async function importBundle(): Promise<Bundle> {
  // Beside this file in the package; in dist/ when the sources run as they are.
  const beside = [new URL(NAME, import.meta.url), new URL(`../../dist/torrent/${NAME}`, import.meta.url)];
  const found = beside.find((url) => existsSync(fileURLToPath(url)));
  if (!found)
    throw new SluiceError('ERR_WEBTORRENT_SHAPE', `${NAME} is not there: it is made when the package is built.`, {
      hint: 'In a clone, run `npm run build`; otherwise install the package again.',
    });
  return (await import(found.href)) as Bundle;
}
