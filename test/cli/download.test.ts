import { EventEmitter } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type DownloadOptions, download, type TorrentClient } from '../../src/cli/download.ts';
import type { Progress } from '../../src/cli/progress/bar.ts';
import type { Reporter } from '../../src/cli/progress/reporter.ts';

class FakeTorrent extends EventEmitter {
  infoHash = 'a'.repeat(40);
  name = 'film';
  length: number | undefined;
  downloadSpeed = 10;
  uploaded = 0;
  uploadSpeed = 0;
  numPeers = 0;
  done = false;
  #downloaded = 0;

  /** Before the metadata, WebTorrent's own getter throws. */
  get downloaded(): number {
    if (this.length === undefined) throw new TypeError('no metadata');
    return this.#downloaded;
  }

  set downloaded(bytes: number) {
    this.#downloaded = bytes;
  }
}

class FakeClient extends EventEmitter {
  readonly torrent = new FakeTorrent();
  readonly added: unknown[] = [];

  add(...args: unknown[]): FakeTorrent {
    this.added.push(...args);
    return this.torrent;
  }
}

/** For what happens at once, on a machine that may be busy. */
const PATIENCE = { timeout: 10_000 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

function start(changes: Partial<DownloadOptions> = {}) {
  const client = new FakeClient();
  const notes: string[] = [];
  const events: [string, unknown][] = [];
  const shown: Progress[] = [];
  const reporter: Reporter = {
    note: (text) => notes.push(text),
    result: (text) => notes.push(text),
    warn: (text) => notes.push(text),
    event: (name, facts) => events.push([name, facts]),
    progress: (progress) => shown.push(progress),
    settle: () => notes.push('(settled)'),
  };
  const stopping = new AbortController();
  const result = download({
    client: client as unknown as TorrentClient,
    torrent: 'magnet:?',
    directory: join(folder, 'new', 'deep'),
    handshakeAgeSeconds: () => 3,
    reporter,
    stop: stopping.signal,
    ...changes,
  });
  result.catch(() => {});
  const added = (): Promise<void> => vi.waitFor(() => expect(client.added).not.toEqual([]), PATIENCE);
  return { client, torrent: client.torrent, notes, events, shown, stopping, result, added };
}

describe('a download', () => {
  it('ends when every piece is verified, having told name, size and progress', async () => {
    const { client, torrent, added, result, events, shown, notes } = start();
    await added();
    expect(client.added).toEqual(['magnet:?', { path: join(folder, 'new', 'deep') }]);
    torrent.length = 100;
    torrent.emit('metadata');
    torrent.downloaded = 100;
    torrent.done = true;
    torrent.emit('done');
    expect((await result).done).toBe(true);
    expect(events).toEqual([['metadata', { name: 'film', infoHash: torrent.infoHash, totalBytes: 100 }]]);
    expect(shown.at(-1)).toMatchObject({ downloadedBytes: 100, totalBytes: 100, handshakeAgeSeconds: 3 });
    expect(notes.at(-1)).toBe('(settled)');
    expect(client.listenerCount('error')).toBe(0);
  });

  it('is shown as it goes, also before the metadata', async () => {
    const { added, torrent, shown, stopping } = start();
    await added();
    await vi.waitFor(() => expect(shown.length).toBeGreaterThan(0), PATIENCE);
    expect(shown[0]).toMatchObject({ downloadedBytes: 0, totalBytes: 0 });
    torrent.length = 100;
    torrent.downloaded = 40;
    torrent.numPeers = 2;
    await vi.waitFor(
      () => expect(shown.at(-1)).toMatchObject({ downloadedBytes: 40, totalBytes: 100, peers: 2 }),
      PATIENCE,
    );
    stopping.abort('SIGINT');
  });

  it('ends undone, without an error, when it is stopped', async () => {
    const { added, result, stopping } = start();
    await added();
    stopping.abort('SIGINT');
    expect((await result).done).toBe(false);
  });

  it('fails with ERR_TORRENT and the cause when the torrent cannot be used', async () => {
    for (const by of ['client', 'torrent'] as const) {
      const started = start();
      await started.added();
      started[by].emit('error', new Error('Invalid torrent identifier'));
      await expect(started.result).rejects.toMatchObject({
        code: 'ERR_TORRENT',
        cause: { message: 'Invalid torrent identifier' },
      });
    }
  });

  it('fails with ERR_STORAGE when the disk is full', async () => {
    const { added, torrent, result } = start();
    await added();
    torrent.emit('error', Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
    await expect(result).rejects.toMatchObject({ code: 'ERR_STORAGE' });
  });

  it('fails with ERR_STORAGE, before the torrent is added, when the folder cannot be made', async () => {
    await writeFile(join(folder, 'file'), '');
    const { client, result } = start({ directory: join(folder, 'file', 'below') });
    await expect(result).rejects.toMatchObject({ code: 'ERR_STORAGE' });
    expect(client.added).toEqual([]);
  });
});
