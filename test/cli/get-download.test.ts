import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256OfFile, writePayload } from '../../src/cli/demo/payload.ts';
import { gatherSwarm, type Swarm } from '../../src/cli/demo/swarm.ts';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { Sandbox } from '../../src/sandbox/index.ts';
import { type Ran, type Surroundings, sluice } from './support.ts';

const MIB = 1024 * 1024;
const SIZE = 24 * MIB;

let folder: string;
let provider: Sandbox;
let swarm: Swarm;
let sha256: string;
const path = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  sha256 = await writePayload(path('noise.bin'), SIZE);
  provider = await Sandbox.start();
  swarm = await gatherSwarm(provider, path('noise.bin'), 1);
  await writeFile(path('noise.torrent'), swarm.torrentFile);
});
afterAll(async () => {
  await swarm.close();
  await provider.close();
  await rm(folder, { recursive: true });
});

/** `sluice get` as a client that the provider has not seen before. */
const get = async (
  args: readonly string[],
  surroundings: Surroundings = {},
  source: string = path('noise.torrent'),
): Promise<Ran> => {
  const conf = path(`${Math.random()}.conf`);
  await writeFile(conf, provider.addClient().conf, { mode: 0o600 });
  return sluice(['get', source, '-c', conf, ...args], {
    ...surroundings,
    env: { SLUICE_TUNNEL_STATE_DIR: path('state'), ...surroundings.env },
  });
};

const events = ({ out }: Ran, name: string): Record<string, unknown>[] =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === name);

describe('sluice get, through a provider', () => {
  it('downloads a .torrent, verified, with one JSON object per line', async () => {
    const ran = await get(['-o', path('json'), '--json']);
    expect([ran.code, ran.err]).toEqual([0, '']);
    expect(events(ran, 'connected')).toMatchObject([{ endpoint: provider.endpoint }]);
    expect(events(ran, 'metadata')).toMatchObject([{ name: 'noise.bin', totalBytes: SIZE }]);
    expect(events(ran, 'progress').at(-1)).toMatchObject({ downloadedBytes: SIZE, totalBytes: SIZE });
    expect(events(ran, 'done')).toMatchObject([{ name: 'noise.bin', verified: true, directory: path('json') }]);
    expect(await sha256OfFile(path('json', 'noise.bin'))).toBe(sha256);
  });

  it('downloads a magnet link, whose metadata come from peers (BEP 9)', async () => {
    const [known] = events(await get(['-o', path('json'), '--json']), 'metadata');
    const tracker = encodeURIComponent('udp://tracker.sluice.test:6969/announce');
    const magnet = `magnet:?xt=urn:btih:${known!['infoHash']}&tr=${tracker}`;
    const ran = await get(['-o', path('magnet'), '--json'], {}, magnet);
    expect(ran.code).toBe(0);
    expect(await sha256OfFile(path('magnet', 'noise.bin'))).toBe(sha256);
  });

  it('says so in one clear sentence when it is stopped, keeps the data, and goes on from there (F23)', async () => {
    const stopping = new AbortController();
    const first = await get(['-o', path('resumed')], {
      tty: true,
      stop: stopping.signal,
      onOutput: (_, err) => / (?:[3-9]|\d\d)\.\d %/.test(err) && stopping.abort('SIGINT'),
    });
    expect(first.code).toBe(130);
    expect(first.err).toMatch(/\nStopped at [\d.]+ %: the data stays in .*resumed, and the same command again goes on/);
    expect(first.out).toBe('');
    const stoppedAt = Number(/Stopped at ([\d.]+)/.exec(first.err)![1]);
    expect(stoppedAt).toBeGreaterThan(0);
    expect(stoppedAt).toBeLessThan(100);

    const receivedBefore = provider.stats().clients.reduce((sum, { txBytes }) => sum + txBytes, 0);
    const second = await get(['-o', path('resumed')]);
    expect([second.code, second.out]).toEqual([
      0,
      expect.stringContaining('Done: noise.bin, 24.0 MiB, every piece verified'),
    ]);
    const received = provider.stats().clients.reduce((sum, { txBytes }) => sum + txBytes, 0) - receivedBefore;
    expect(received).toBeLessThan(SIZE * (1 - stoppedAt / 100) * 1.2 + 2 * MIB);
    expect(await sha256OfFile(path('resumed', 'noise.bin'))).toBe(sha256);
  });

  it('ends with exit code 143 for SIGTERM', async () => {
    const stopping = new AbortController();
    const { code, out } = await get(['-o', path('terminated'), '--json'], {
      stop: stopping.signal,
      onOutput: (text) => text.includes('"metadata"') && stopping.abort('SIGTERM'),
    });
    expect(code).toBe(143);
    expect(out).toContain('"event":"stopped"');
  });

  it('seeds with --seed until Ctrl-C, which is then a good end', async () => {
    const stopping = new AbortController();
    const { code, err } = await get(['-o', path('json'), '--seed'], {
      stop: stopping.signal,
      onOutput: (_, text) => text.includes('Seeding until Ctrl-C') && stopping.abort('SIGINT'),
    });
    expect(code).toBe(0);
    expect(err).toContain('Stopped seeding');
  });

  it('stops before the tunnel is up without having written anything', async () => {
    const stopping = new AbortController();
    const { code, err } = await get(['-o', path('nothing')], {
      stop: stopping.signal,
      onOutput: (_, text) => text.includes('Connecting') && stopping.abort('SIGINT'),
    });
    expect(code).toBe(130);
    expect(err).toContain('Stopped before the tunnel was up');
    expect(existsSync(path('nothing'))).toBe(false);
  });

  it('fails with ERR_STORAGE for a folder that cannot be made', async () => {
    await writeFile(path('file'), '');
    const { code, err } = await get(['-o', path('file', 'below')]);
    expect(code).toBe(1);
    expect(err).toMatch(/The folder .* cannot be made[\s\S]*ERR_STORAGE/);
  });
});

describe('sluice sandbox', () => {
  it('prints the .conf of a client and runs until Ctrl-C, which is its good end', async () => {
    const stopping = new AbortController();
    const { code, out, err } = await sluice(['sandbox'], {
      stop: stopping.signal,
      onOutput: (_, text) => text.includes('Ctrl-C ends it') && stopping.abort('SIGINT'),
    });
    expect(code).toBe(0);
    const config = parseWireGuardConfig(out);
    expect(config.peers[0]!.endpoint!.host).toBe('127.0.0.1');
    expect(err).toContain(`127.0.0.1:${config.peers[0]!.endpoint!.port}`);
    expect(config.warnings).toEqual([]);
  });

  it('prints facts as JSON, and listens where it is told', async () => {
    const stopping = new AbortController();
    const { code, out } = await sluice(['sandbox', '--json', '--listen', '127.0.0.1:0'], {
      stop: stopping.signal,
      onOutput: () => stopping.abort('SIGINT'),
    });
    expect(code).toBe(0);
    const facts = JSON.parse(out) as Record<string, unknown>;
    expect(facts['endpoint']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(parseWireGuardConfig(String(facts['conf'])).addresses.length).toBe((facts['addresses'] as unknown[]).length);
  });

  it('ends with exit code 4 if the port is taken', async () => {
    const { code, err } = await sluice(['sandbox', '--listen', provider.endpoint]);
    expect(err).toContain('ERR_UDP_PORT');
    expect(code).toBe(4);
  });
});
