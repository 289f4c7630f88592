import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sluice } from './support.ts';

// Other demos may run beside this one, and make folders of their own.
const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-test-'));
beforeAll(() => void vi.stubEnv('TMPDIR', folder));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const leftovers = (): string[] => readdirSync(folder);
const parsed = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('sluice demo', () => {
  it('plays all acts: a port, a peer from outside, a leak, a cut, a recovery; verifies, sums up, and leaves nothing behind', {
    timeout: 120_000,
  }, async () => {
    const { code, out, err } = await sluice(['demo', '--size', '4', '--json']);
    expect([code, err]).toEqual([0, '']);
    const lines = parsed(out);
    const named = (name: string) => lines.find(({ event }) => event === name)!;
    expect(lines.filter(({ event }) => event === 'act').map(({ act }) => act)).toEqual([
      'provider',
      'swarm',
      'tunnel',
      'port',
      'download',
      'leak',
      'cut',
      'recovery',
      'verification',
    ]);
    expect(named('port')).toMatchObject({ reachable: 'open' });
    expect(named('peer')['address']).toMatch(/^198\.51\.100\./);
    expect(named('leak')).toMatchObject({ observed: '192.0.2.77', expected: '203.0.113.10', paused: 1 });
    expect(named('cut')).toMatchObject({ paused: 1 });
    expect(named('cut')['seconds']).toBeGreaterThan(4);
    expect(named('cut')['seconds']).toBeLessThanOrEqual(6);
    expect(named('silence')).toMatchObject({ otherBytes: 0 });
    expect(named('recovered')['port']).not.toBe(named('port')['port']);
    const summary = lines.at(-1)!;
    expect(summary).toMatchObject({ event: 'summary', bytes: 4 * 1024 * 1024, verified: true, handshakes: 2 });
    expect(summary['sha256']).toMatch(/^[0-9a-f]{64}$/);
    expect(summary['endpoint']).toMatch(/^127\.0\.0\.1:\d+$/);
    // Every byte came as WireGuard transport data.
    expect(summary['rxBytes']).toBeGreaterThan(4 * 1024 * 1024);
    expect(leftovers()).toEqual([]);
  });

  it('tells a person in sentences, with a bar; stops in good order at Ctrl-C and deletes what it made', async () => {
    const stopping = new AbortController();
    const { code, err } = await sluice(['demo', '--size', '4'], {
      tty: true,
      columns: 100,
      stop: stopping.signal,
      onOutput: (_, text) => text.includes('\r\u001b[K[') && stopping.abort('SIGINT'),
    });
    expect(code).toBe(130);
    expect(err).toMatch(/1\/9 {2}A VPN provider starts[\s\S]*5\/9 {2}The torrent is downloaded/);
    expect(err).toMatch(/ {5}Port \d+ of 203\.0\.113\.10 leads to the torrent client: it is open\./);
    expect(err).toContain('Stopped; everything that the demo made is deleted.');
    expect(leftovers()).toEqual([]);
  });
});
