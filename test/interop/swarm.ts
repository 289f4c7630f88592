/** A real swarm of one seeder: libtorrent and opentracker, and the torrent that they serve. */
import type { ChildProcess } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { collect } from './capture.ts';
import { end, type Namespaces, until } from './namespaces.ts';

export const TRACKER_PORT = 6969;
export const SEEDER_PORT = 6881;

export interface SwarmOptions {
  readonly namespace: string;
  /** The tracker is on the first, the seeder on all. */
  readonly addresses: readonly string[];
  readonly bytes: number;
  /** By default the tracker's address over HTTP and UDP. */
  readonly trackers?: readonly string[];
  readonly webSeeds?: readonly string[];
  /** Of the seeder's uploads; 0: no limit. */
  readonly bytesPerSecond?: number;
  /** The seeder is a node of the DHT, too. */
  readonly dht?: boolean;
}

export interface Swarm {
  readonly infoHash: string;
  /** The .torrent file. */
  readonly torrent: string;
  readonly payload: string;
  /** Whether a file is what the seeder has. */
  matches(file: string): boolean;
  end(): Promise<void>;
}

/** Resolves when the tracker listens and the seeder seeds. */
export async function startSwarm(host: Namespaces, options: SwarmOptions): Promise<Swarm> {
  const { namespace, addresses, bytes, ...seeding } = options;
  const [address] = addresses as [string];
  const payload = join(host.folder, 'payload.bin');
  const torrent = join(host.folder, 'payload.torrent');
  const sha256 = writePayload(payload, bytes);
  const tracker = `${address}:${TRACKER_PORT}/announce`;
  const trackers = [`http://${tracker}`, `udp://${tracker}`];
  const script = join(import.meta.dirname, 'agents/seed.py');
  const json = JSON.stringify({ trackers, ...seeding });
  const seed = [script, addresses.join(), String(SEEDER_PORT), payload, torrent, json];
  const seeder = host.spawnIn(namespace, '/usr/bin/python3', seed, {}, 'pipe');
  const said = collect(seeder);
  await until(() => /infohash \w+/.test(said()), 'the seeder said no infohash', 60_000);
  const infoHash = /infohash (\w+)/.exec(said())![1]!;
  const opentracker = await startTracker(host, namespace, address, infoHash);
  seeder.stdin!.write('\n');
  await until(() => said().includes('ready'), 'the seeder did not start');
  return {
    infoHash,
    torrent,
    payload,
    matches: (file) => hash(readFileSync(file)) === sha256,
    async end() {
      await Promise.all([end(seeder, 'SIGTERM'), end(opentracker, 'SIGTERM')]);
    },
  };
}

/** Random, but below 0x80 in every byte: no address of the labs can occur in it by chance. */
function writePayload(file: string, length: number): string {
  const words = new Uint32Array(Math.ceil(length / 4));
  const bytes = Buffer.from(words.buffer, 0, length);
  for (let at = 0; at < bytes.length; at += 1 << 28) randomFillSync(bytes.subarray(at, at + (1 << 28)));
  for (let i = 0; i < words.length; i++) words[i]! &= 0x7f7f_7f7f;
  writeFileSync(file, bytes);
  return hash(bytes);
}

async function startTracker(
  host: Namespaces,
  namespace: string,
  address: string,
  infoHash: string,
): Promise<ChildProcess> {
  // opentracker reads it as nobody, from its own root.
  writeFileSync(join(host.folder, 'whitelist'), `${infoHash}\n`, { mode: 0o644 });
  chmodSync(host.folder, 0o755);
  const port = String(TRACKER_PORT);
  const child = host.spawnIn(namespace, 'opentracker', [
    ...['-i', address, '-p', port, '-P', port],
    ...['-w', '/whitelist', '-d', host.folder],
  ]);
  await sleep(500);
  return child;
}

function hash(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
