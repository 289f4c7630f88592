/** The demo as a play in acts. Each does one thing that the product promises, and says so; a failing act ends the play. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { SluiceError } from '../../core/base/errors.ts';
import { parseWireGuardConfig } from '../../core/tunnel/wireguard-config.ts';
import type { Tunnel } from '../../node/tunnel.ts';
import { Sandbox } from '../../sandbox/index.ts';
import { createWebTorrent, type Torrent, type WebTorrentClient } from '../../torrent/webtorrent.ts';
import { download } from '../download.ts';
import { openTunnel } from '../open-tunnel.ts';
import type { Reporter } from '../progress/reporter.ts';
import { formatBytes } from '../progress/units.ts';
import { sha256OfFile, writePayload } from './payload.ts';
import { Stage } from './stage.ts';
import { destroyClient, dialFromOutside, gatherSwarm, type Swarm } from './swarm.ts';
import { type Cast, changeExit, cutTunnel, heal, SILENT_AFTER_SECONDS } from './trouble.ts';

export interface DemoOptions {
  readonly sizeBytes: number;
  readonly reporter: Reporter;
  readonly stop: AbortSignal;
}

const SEEDERS = 2;
/** How long the download takes, pauses aside: the line is made as narrow as that, so that there is something to see. */
const DOWNLOAD_SECONDS = 12;
/** A small demo is a quick one. */
const NARROWEST_BYTES_PER_SECOND = 1024 * 1024;
/** WireGuard, IP, TCP and BitTorrent around the payload. */
const OVERHEAD = 1.1;
/** Shorter than the cut: the port has run out when the tunnel heals, as after a longer one in earnest. */
const LEASE_SECONDS = 6;
const PROBE_INTERVAL_SECONDS = 2;
/** Longer than the slowest host takes: the demo fails rather than hangs. */
const TIMEOUT_SECONDS = 300;

/** Plays all acts and prints the summary. False if `stop` ended it early. Throws what an act failed with. */
export async function playDemo({ sizeBytes, reporter, stop }: DemoOptions): Promise<boolean> {
  const stage = new Stage(reporter, stop);
  try {
    await play(stage, sizeBytes);
    return true;
  } catch (error) {
    if (stop.aborted) return false;
    throw error;
  } finally {
    reporter.settle();
    await stage.clean();
  }
}

async function play(stage: Stage, sizeBytes: number): Promise<void> {
  const { reporter } = stage;
  const folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  stage.later(() => rm(folder, { recursive: true, force: true }));

  stage.announce('provider', 'A VPN provider starts on this host, with a small internet of its own behind it.');
  const provider = await Sandbox.start();
  stage.later(() => provider.close());
  provider.natpmp.maxLeaseSeconds = LEASE_SECONDS;

  stage.announce(
    'swarm',
    `A tracker and ${SEEDERS} seeders gather there, and share ${formatBytes(sizeBytes)} of noise.`,
  );
  const payload = join(folder, 'sluice-demo.bin');
  const sha256 = await writePayload(payload, sizeBytes);
  const swarm = await gatherSwarm(provider, payload, SEEDERS);
  stage.later(() => swarm.close());
  stage.stop.throwIfAborted();

  stage.announce('tunnel', 'The tunnel comes up: no root, no TUN device, no route of this host changed.');
  const tunnel = await openDemoTunnel(stage, provider);

  stage.announce('port', 'The provider forwards a port, and a checker outside tries it.');
  const client = await createWebTorrent(tunnel, { dht: false, forwarded: true });
  stage.later(() => destroyClient(client));
  const port = await forwardedPort(stage, provider, tunnel);

  stage.announce(
    'download',
    `The torrent is downloaded from ${swarm.seeders.join(' and ')}, which only the tunnel reaches, over a narrow line.`,
  );
  const bytesPerSecond = Math.max(NARROWEST_BYTES_PER_SECOND, sizeBytes / DOWNLOAD_SECONDS);
  provider.faults.bitsPerSecond = 8 * bytesPerSecond * OVERHEAD;
  const startedAt = performance.now();
  const directory = join(folder, 'download');
  const running = startDownload(stage, { tunnel, client, swarm, directory });
  await stage.until('the download begins', 20, () => client.torrents[0]?.ready === true);
  const torrent = client.torrents[0]!;
  const outsider = await dialFromOutside(provider, swarm, `${provider.exitAddresses[0]}:${port}`, folder);
  stage.later(() => outsider.close());
  await stage.until('a peer outside gets in', 20, outsider.isConnected);
  stage.tell(`${outsider.address} has come in from outside, through the forwarded port.`, 'peer', {
    address: outsider.address,
  });

  const cast: Cast = { stage, provider, swarm, tunnel, torrent };
  await stage.until('a quarter of the file arrives', TIMEOUT_SECONDS, () => torrent.progress > 0.25);
  await changeExit(cast);
  await stage.until('half of the file arrives', TIMEOUT_SECONDS, () => torrent.progress > 0.5);
  const oldPort = tunnel.status().portForward.port ?? port;
  await cutTunnel(cast);
  await heal(cast, oldPort);
  await stage.until('the whole file arrives', TIMEOUT_SECONDS, () => torrent.done);
  await running;
  const seconds = (performance.now() - startedAt) / 1000;

  stage.announce('verification', 'The file is read back from disk and compared with the original.');
  const arrived = await sha256OfFile(join(directory, basename(payload)));
  if (arrived !== sha256) throw new SluiceError('ERR_TORRENT', 'The downloaded file differs from the original.');
  summarise(reporter, { tunnel, bytes: sizeBytes, seconds, sha256 });
}

async function openDemoTunnel(stage: Stage, provider: Sandbox): Promise<Tunnel> {
  const { reporter, stop } = stage;
  const tunnel = await openTunnel(parseWireGuardConfig(provider.addClient().conf), {
    reporter,
    stop,
    portForward: { provider: 'natpmp', checkUrl: provider.portCheckUrl },
    killswitch: { silentAfterSeconds: SILENT_AFTER_SECONDS },
    probe: {
      urls: provider.probeUrls,
      urlsV6: provider.probeUrls,
      expected: provider.exitAddresses,
      intervalSeconds: PROBE_INTERVAL_SECONDS,
    },
  });
  stage.later(() => tunnel.close());
  return tunnel;
}

/** The port on the exit address, once it is seen to lead to the client. */
async function forwardedPort(stage: Stage, provider: Sandbox, tunnel: Tunnel): Promise<number> {
  const lease = (): ReturnType<Tunnel['status']>['portForward'] => tunnel.status().portForward;
  await stage.until('a port is forwarded and open', 20, () => lease().port !== null && lease().reachable === 'open');
  const port = lease().port!;
  stage.tell(`Port ${port} of ${provider.exitAddresses[0]} leads to the torrent client: it is open.`, 'port', {
    port,
    reachable: 'open',
  });
  return port;
}

interface DownloadParts {
  readonly tunnel: Tunnel;
  readonly client: WebTorrentClient;
  readonly swarm: Swarm;
  readonly directory: string;
}

/** Runs beside the acts, which end if it fails. */
function startDownload(
  stage: Stage,
  { tunnel, client, swarm, directory }: DownloadParts,
): Promise<Torrent | undefined> {
  const running = download({
    client,
    torrent: swarm.torrentFile,
    directory,
    handshakeAgeSeconds: () => tunnel.status().tunnel.handshakeAgeSeconds,
    reporter: stage.reporter,
    stop: stage.stop,
  });
  return running.catch((error: Error) => {
    stage.fail(error);
    return undefined;
  });
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
Downloaded    ${formatBytes(bytes)} in ${seconds.toFixed(1)} s, two outages included
SHA-256       ${sha256}, verified
Handshakes    ${handshakes}
UDP endpoint  ${endpoint}, the only one that this tunnel used
WireGuard     ${formatBytes(rxBytes)} received, ${formatBytes(txBytes)} sent, encrypted by the ${crypto} backend

Next, with your provider’s file:  sluice get 'magnet:?xt=…' -c FILE.conf`,
  );
}
