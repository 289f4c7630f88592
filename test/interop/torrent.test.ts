/** The main job on real input: `sluice get` from libtorrent and opentracker behind wireguard-go, with a capture on the cable. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { Capture, collect, strangersTo } from './capture.ts';
import { INNER, Lab, OUTER, until } from './lab.ts';

const SIZE = 200_000_000;
const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;

let lab: Lab | undefined;
afterAll(() => lab?.destroy());

describe('a torrent through wireguard-go', () => {
  it('fetches 200 MB from libtorrent and opentracker while the cable carries WireGuard datagrams alone', async () => {
    lab = await Lab.create({ presharedKey: true });
    const payload = join(lab.folder, 'payload.bin');
    const bytes = Buffer.concat(Array.from({ length: 8 }, () => randomBytes(SIZE / 8)));
    writeFileSync(payload, bytes);
    const torrent = join(lab.folder, 'payload.torrent');
    const tracker = INNER.server[4];
    const seeder = lab.spawnIn(
      lab.server,
      '/usr/bin/python3',
      [
        join(import.meta.dirname, 'agents/seed.py'),
        tracker,
        '6881',
        payload,
        torrent,
        `http://${tracker}:6969/announce`,
        `udp://${tracker}:6969/announce`,
      ],
      {},
      'pipe',
    );
    const said = collect(seeder);
    await until(() => /infohash \w+/.test(said()), 'the seeder said no infohash', 60_000);
    const whitelist = join(lab.folder, 'whitelist');
    // opentracker reads it as nobody, from its own root.
    writeFileSync(whitelist, `${/infohash (\w+)/.exec(said())![1]}\n`, { mode: 0o644 });
    execFileSync('chmod', ['755', lab.folder]);
    lab.spawnIn(lab.server, 'opentracker', [
      '-i',
      tracker,
      '-p',
      '6969',
      '-P',
      '6969',
      '-w',
      '/whitelist',
      '-d',
      lab.folder,
    ]);
    await sleep(500);
    seeder.stdin!.write('\n');
    await until(() => said().includes('ready'), 'the seeder did not start');

    const capture = await Capture.start(lab);
    const conf = join(lab.folder, 'client.conf');
    writeFileSync(conf, lab.conf(), { mode: 0o600 });
    const started = performance.now();
    const get = lab.spawnIn(lab.client, process.execPath, [
      MAIN,
      'get',
      torrent,
      '-c',
      conf,
      '-o',
      join(lab.folder, 'out'),
      '--json',
    ]);
    const output = collect(get);
    const code = await new Promise((resolve) => get.once('exit', resolve));
    const seconds = (performance.now() - started) / 1000;
    expect(code, output()).toBe(0);
    const hash = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
    expect(hash(readFileSync(join(lab.folder, 'out/payload.bin')))).toBe(hash(bytes));
    console.log(`sluice get: ${((SIZE * 8) / seconds / 1e6).toFixed(0)} Mbit/s over ${seconds.toFixed(1)} s`);

    await capture.stop();
    const tunnel = `udp and host ${OUTER.server[4]} and port ${lab.port}`;
    expect(capture.count(tunnel)).toBeGreaterThan(SIZE / 1500);
    const strangers = strangersTo(tunnel);
    expect(capture.show(strangers)).toBe('');

    // Positive control: what goes past the tunnel is seen by the same capture and filter.
    const control = await Capture.start(lab);
    lab.run(lab.client, 'bash', '-c', `echo x > /dev/udp/${OUTER.server[4]}/6881`);
    await sleep(300);
    await control.stop();
    expect(control.count(strangers)).toBeGreaterThan(0);
  }, 240_000);
});
