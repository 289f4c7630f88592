/**
 * The demo as a play in acts. Each act does one thing that the product promises and says so in one line; a failing act ends the
 * play. Two acts are still to come with what they show: a forwarded port that accepts a peer, before the download, and a cut and
 * a healing of the tunnel, during it.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { SluiceError } from '../../core/base/errors.ts';
import { parseWireGuardConfig } from '../../core/tunnel/wireguard-config.ts';
import type { Tunnel } from '../../node/tunnel.ts';
import { Sandbox } from '../../sandbox/index.ts';
import { createWebTorrent, type Torrent } from '../../torrent/webtorrent.ts';
import { download } from '../download.ts';
import { openTunnel } from '../open-tunnel.ts';
import type { Reporter } from '../progress/reporter.ts';
import { formatBytes, formatSpeed } from '../progress/units.ts';
import { sha256OfFile, writePayload } from './payload.ts';
import { gatherSwarm, type Swarm } from './swarm.ts';

export interface DemoOptions {
  readonly sizeBytes: number;
  readonly reporter: Reporter;
  readonly stop: AbortSignal;
}

const ACTS = ['provider', 'swarm', 'tunnel', 'download', 'verification'] as const;
const SEEDERS = 2;

/** Plays all acts and prints the summary. False if `stop` ended it early. Throws what an act failed with. */
export async function playDemo({ sizeBytes, reporter, stop }: DemoOptions): Promise<boolean> {
  const closers: (() => Promise<void>)[] = [];
  const announce = (act: (typeof ACTS)[number], text: string): void => {
    reporter.note(`${ACTS.indexOf(act) + 1}/${ACTS.length}  ${text}`);
    reporter.event('act', { act, text });
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));

    announce('provider', 'A VPN provider starts on this host, with a small internet of its own behind it.');
    const provider = await Sandbox.start();
    closers.push(() => provider.close());

    announce('swarm', `A tracker and ${SEEDERS} seeders gather there, and share ${formatBytes(sizeBytes)} of noise.`);
    const payload = join(folder, 'sluice-demo.bin');
    const sha256 = await writePayload(payload, sizeBytes);
    const swarm = await gatherSwarm(provider, payload, SEEDERS);
    closers.push(() => swarm.close());
    if (stop.aborted) return false;

    announce('tunnel', 'The tunnel comes up: no root, no TUN device, no route of this host changed.');
    const { conf } = provider.addClient();
    const tunnel = await openTunnel(parseWireGuardConfig(conf), { reporter, stop });
    closers.push(() => tunnel.close());

    announce(
      'download',
      `The torrent is downloaded from ${swarm.seeders.join(' and ')}, which only the tunnel reaches.`,
    );
    const startedAt = performance.now();
    const torrent = await fetchTorrent(tunnel, swarm, { directory: join(folder, 'download'), reporter, stop, closers });
    if (!torrent.done) return false;
    const seconds = (performance.now() - startedAt) / 1000;

    announce('verification', 'The file is read back from disk and compared with the original.');
    const arrived = await sha256OfFile(join(folder, 'download', basename(payload)));
    if (arrived !== sha256) throw new SluiceError('ERR_TORRENT', 'The downloaded file differs from the original.');
    summarise(reporter, { tunnel, bytes: sizeBytes, seconds, sha256 });
    return true;
  } catch (error) {
    if (stop.aborted) return false;
    throw error;
  } finally {
    for (const closer of closers.reverse()) await closer();
  }
}

interface FetchOptions {
  readonly directory: string;
  readonly reporter: Reporter;
  readonly stop: AbortSignal;
  readonly closers: (() => Promise<void>)[];
}

/** Longer than the slowest host takes: the demo fails rather than hangs. */
const DOWNLOAD_TIMEOUT_MS = 300_000;

async function fetchTorrent(tunnel: Tunnel, swarm: Swarm, options: FetchOptions): Promise<Torrent> {
  const { directory, reporter, stop, closers } = options;
  const client = await createWebTorrent(tunnel, { dht: false });
  closers.push(() => new Promise((resolve) => client.destroy(() => resolve())));
  const overdue = AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS);
  const torrent = await download({
    client,
    torrent: swarm.torrentFile,
    directory,
    handshakeAgeSeconds: () => tunnel.status().tunnel.handshakeAgeSeconds,
    reporter,
    stop: AbortSignal.any([stop, overdue]),
  });
  if (!torrent.done && overdue.aborted && !stop.aborted)
    throw new SluiceError('ERR_TORRENT', `The download did not finish within ${DOWNLOAD_TIMEOUT_MS / 1000} seconds.`);
  return torrent;
}

interface Outcome {
  readonly tunnel: Tunnel;
  readonly bytes: number;
  readonly seconds: number;
  readonly sha256: string;
}

function summarise(reporter: Reporter, { tunnel, bytes, seconds, sha256 }: Outcome): void {
  const { endpoint, handshakes, rxBytes, txBytes, crypto } = tunnel.status().tunnel;
  reporter.event('summary', { bytes, seconds, sha256, verified: true, handshakes, endpoint, rxBytes, txBytes, crypto });
  reporter.result(
    `
Downloaded    ${formatBytes(bytes)} in ${seconds.toFixed(1)} s (${formatSpeed(bytes / seconds)})
SHA-256       ${sha256}, verified
Handshakes    ${handshakes}
UDP endpoint  ${endpoint}, the only one that this tunnel used
WireGuard     ${formatBytes(rxBytes)} received, ${formatBytes(txBytes)} sent, encrypted by the ${crypto} backend

Next, with your provider’s file:  sluice get 'magnet:?xt=…' -c FILE.conf`,
  );
}
