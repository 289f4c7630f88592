import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { sluice } from './support.ts';

const leftovers = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('sluice-demo-'));
const parsed = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('sluice demo', () => {
  it('downloads through the tunnel, verifies, sums up, and leaves nothing behind', async () => {
    const before = leftovers();
    const { code, out, err } = await sluice(['demo', '--size', '4', '--json']);
    expect([code, err]).toEqual([0, '']);
    const lines = parsed(out);
    expect(lines.filter(({ event }) => event === 'act').map(({ act }) => act)).toEqual([
      'provider',
      'swarm',
      'tunnel',
      'download',
      'verification',
    ]);
    const summary = lines.at(-1)!;
    expect(summary).toMatchObject({ event: 'summary', bytes: 4 * 1024 * 1024, verified: true, handshakes: 1 });
    expect(summary['sha256']).toMatch(/^[0-9a-f]{64}$/);
    expect(summary['endpoint']).toMatch(/^127\.0\.0\.1:\d+$/);
    // Every byte came as WireGuard transport data.
    expect(summary['rxBytes']).toBeGreaterThan(4 * 1024 * 1024);
    expect(leftovers()).toEqual(before);
  });

  it('tells a person the same in sentences', async () => {
    const { code, out, err } = await sluice(['demo', '--size', '1'], { tty: true, columns: 100 });
    expect(code).toBe(0);
    expect(err).toMatch(/1\/5 {2}A VPN provider starts[\s\S]*5\/5 {2}The file is read back/);
    expect(err).toContain('\r\u001b[K[');
    expect(out).toMatch(/^Downloaded {4}1\.0 MiB in [\d.]+ s/m);
    expect(out).toMatch(/^SHA-256 {7}[0-9a-f]{64}, verified$/m);
    expect(out).toMatch(/^UDP endpoint {2}127\.0\.0\.1:\d+, the only one/m);
  });

  it('stops in good order at Ctrl-C and deletes what it made', async () => {
    const before = leftovers();
    const stopping = new AbortController();
    const { code, err } = await sluice(['demo', '--size', '32'], {
      stop: stopping.signal,
      onOutput: (_, text) => text.includes('4/5') && stopping.abort('SIGINT'),
    });
    expect(code).toBe(130);
    expect(err).toContain('Stopped; everything that the demo made is deleted.');
    expect(leftovers()).toEqual(before);
  });
});
