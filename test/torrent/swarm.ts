/** Clients, content and cleaning up for the tests of this folder. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createWebTorrent,
  type SeedOptions,
  type Torrent,
  type TorrentId,
  type TorrentOptions,
  type TunnelHost,
  type WebTorrentClient,
  type WebTorrentOptions,
} from '../../src/torrent/webtorrent.ts';

const tasks: (() => unknown)[] = [];

/** Runs `task` after the test, last first. */
export function later(task: () => unknown): void {
  tasks.push(task);
}

/** For afterEach(). */
export async function clean(): Promise<void> {
  for (const task of tasks.splice(0).reverse()) await task();
}

/** A folder that goes away after the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-torrent-'));
  later(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A client that goes away after the test; its errors fail the test. */
export async function client(host: TunnelHost, options: WebTorrentOptions = {}): Promise<WebTorrentClient> {
  const made = await createWebTorrent(host, options);
  later(() => (made.destroyed ? undefined : new Promise((resolve) => made.destroy(resolve))));
  return made;
}

/** Bytes that look random and are the same each time. */
export function content(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Seeds one file from memory's copy on disk. Without `announce`, there is no tracker. */
export function seed(client: WebTorrentClient, bytes: Uint8Array, options: SeedOptions = {}): Promise<Torrent> {
  const input = Object.assign(Buffer.from(bytes), { name: 'content.bin' });
  return new Promise((resolve, reject) => {
    const torrent = client.seed(input, { announce: [], path: folder(), ...options }, resolve);
    torrent.once('error', reject);
  });
}

export function add(client: WebTorrentClient, id: TorrentId, options: TorrentOptions = {}): Torrent {
  return client.add(id, { path: folder(), ...options });
}

export async function finished(torrent: Torrent): Promise<Uint8Array> {
  if (!torrent.done)
    await new Promise<void>((resolve, reject) => {
      torrent.once('done', resolve);
      torrent.once('error', reject);
    });
  return new Uint8Array(await torrent.files[0]!.arrayBuffer());
}

/** Downloads the only file of a torrent. */
export function downloaded(client: WebTorrentClient, id: TorrentId, options: TorrentOptions = {}): Promise<Uint8Array> {
  return finished(add(client, id, options));
}

/** The next time `event` happens. */
export function next(emitter: { once(event: string, listener: () => void): unknown }, event: string): Promise<void> {
  return new Promise((resolve) => emitter.once(event, () => resolve()));
}
