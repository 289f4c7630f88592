/** `sluice get`: one download through the tunnel, verified. */

import { resolve } from 'node:path';
import { stateDirOf } from '../../daemon/state-dir.ts';
import type { Tunnel } from '../../node/tunnel.ts';
import type { Torrent } from '../../torrent/webtorrent.ts';
import type { Command } from '../command.ts';
import { CONF_VARIABLE, readConfFile } from '../conf-file.ts';
import { bytesOf, download } from '../download.ts';
import { EXIT, type ExitCode, stoppedBy } from '../exit-code.ts';
import type { Io } from '../io.ts';
import { openTunnel } from '../open-tunnel.ts';
import { createReporter, type Reporter } from '../progress/reporter.ts';
import { formatBytes, formatPercent, formatSpeed } from '../progress/units.ts';
import { readTorrentSource } from '../torrent-source.ts';

export const get: Command = {
  name: 'get',
  summary: 'Download one torrent through the tunnel.',
  operands: [{ name: 'MAGNET|FILE.torrent' }],
  options: {
    config: { short: 'c', value: 'FILE.conf', help: `Your provider’s WireGuard file; else ${CONF_VARIABLE} names it.` },
    output: { short: 'o', value: 'DIR', help: 'The folder to download into; the present one by default.' },
    seed: { help: 'Go on uploading after the download, until Ctrl-C.' },
    json: { help: 'Print one JSON object per line: connected, metadata, progress, done.' },
  },
  details: [
    'Peers, trackers, DHT and DNS are reached through the tunnel alone; without a tunnel nothing is sent.',
    'Data that is already in the folder is verified and kept, so the same command again goes on where it stopped.',
    'Ctrl-C stops in good order; a second Ctrl-C stops at once.',
  ],
  examples: [
    {
      command: "sluice get 'magnet:?xt=urn:btih:…' -c proton.conf",
      what: 'Into the present folder; quotes keep the shell off the “&”',
    },
    { command: 'sluice get debian.torrent -c proton.conf -o ~/Downloads --seed', what: 'Into a folder, then seed' },
    { command: 'sluice get debian.torrent -c proton.conf --json | jq .event', what: 'For a script' },
  ],
  exitCodes: [EXIT.failed, EXIT.badConfiguration, EXIT.tunnelDown, EXIT.interrupted, EXIT.terminated],
  async run({ operands, values, switches }, io) {
    const reporter = createReporter(io, { json: switches.has('json'), now: () => performance.now() });
    const torrent = await readTorrentSource(operands[0]!);
    const config = await readConfFile(values['config'], io.env, (text) => reporter.warn(text));
    const directory = resolve(values['output'] ?? '.');
    reporter.note('Connecting …');
    let tunnel: Tunnel;
    try {
      tunnel = await openTunnel(config, { reporter, stop: io.stop, stateDir: stateDirOf(io.env) });
    } catch (error) {
      if (!io.stop.aborted) throw error;
      reporter.note('Stopped before the tunnel was up; nothing was downloaded.');
      return stoppedBy(io.stop);
    }
    try {
      return await transfer(tunnel, { torrent, directory, seed: switches.has('seed'), reporter, io });
    } finally {
      await tunnel.close();
    }
  },
};

interface Transfer {
  readonly torrent: string | Uint8Array;
  readonly directory: string;
  readonly seed: boolean;
  readonly reporter: Reporter;
  readonly io: Io;
}

async function transfer(
  tunnel: Tunnel,
  { torrent: source, directory, seed, reporter, io }: Transfer,
): Promise<ExitCode> {
  const { createWebTorrent } = await import('../../torrent/webtorrent.ts');
  const client = await createWebTorrent(tunnel);
  const handshakeAgeSeconds = (): number | null => tunnel.status().tunnel.handshakeAgeSeconds;
  try {
    const torrent = await download({
      client,
      torrent: source,
      directory,
      handshakeAgeSeconds,
      reporter,
      stop: io.stop,
    });
    if (!torrent.done) {
      reporter.event('stopped', { ...bytesOf(torrent), directory });
      reporter.note(stoppedSentence(torrent, directory));
      return stoppedBy(io.stop);
    }
    const { name, infoHash, length } = torrent;
    reporter.event('done', { name, infoHash, totalBytes: length, directory, verified: true });
    reporter.result(`Done: ${name}, ${formatBytes(length)}, every piece verified, in ${directory}.`);
    if (seed && !io.stop.aborted) await seedUntilStopped(torrent, reporter, io.stop);
    return EXIT.done;
  } finally {
    await new Promise<void>((settled) => client.destroy(() => settled()));
  }
}

function stoppedSentence(torrent: Torrent, directory: string): string {
  const { downloadedBytes, totalBytes } = bytesOf(torrent);
  if (totalBytes === 0) return 'Stopped before the torrent’s metadata had come; nothing was downloaded.';
  const share = formatPercent(downloadedBytes / totalBytes);
  return `Stopped at ${share}: the data stays in ${directory}, and the same command again goes on from there.`;
}

async function seedUntilStopped(torrent: Torrent, reporter: Reporter, stop: AbortSignal): Promise<void> {
  reporter.note('Seeding until Ctrl-C.');
  const timer = setInterval(() => {
    const { uploaded, uploadSpeed, numPeers } = torrent;
    reporter.note(`Seeding: ${formatBytes(uploaded)} uploaded, ${formatSpeed(uploadSpeed)}, ${numPeers} peers.`);
    reporter.event('seeding', { uploadedBytes: uploaded, bytesPerSecond: uploadSpeed, peers: numPeers });
  }, 30_000);
  await new Promise<void>((resolve) => {
    stop.addEventListener('abort', () => resolve());
    if (stop.aborted) resolve();
  });
  clearInterval(timer);
  reporter.note(`Stopped seeding: ${formatBytes(torrent.uploaded)} uploaded.`);
}
