/** The main job on real input: `sluice get` from libtorrent and opentracker behind wireguard-go, with a capture on the cable. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { Capture, collect, strangersTo } from './capture.ts';
import { INNER, Lab, OUTER } from './lab.ts';
import { startSwarm } from './swarm.ts';

const SIZE = 200_000_000;
const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;

let lab: Lab | undefined;
afterAll(() => lab?.destroy());

describe('a torrent through wireguard-go', () => {
  it('fetches 200 MB from libtorrent and opentracker while the cable carries WireGuard datagrams alone', async () => {
    lab = await Lab.create({ presharedKey: true });
    const swarm = await startSwarm(lab, { namespace: lab.server, addresses: [INNER.server[4]], bytes: SIZE });

    const cable = { namespace: lab.client, interface: lab.cable };
    const capture = await Capture.start(lab, cable);
    const conf = join(lab.folder, 'client.conf');
    writeFileSync(conf, lab.conf(), { mode: 0o600 });
    const started = performance.now();
    const get = lab.spawnIn(lab.client, process.execPath, [
      MAIN,
      'get',
      swarm.torrent,
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
    expect(swarm.matches(join(lab.folder, 'out/payload.bin'))).toBe(true);
    console.log(`sluice get: ${((SIZE * 8) / seconds / 1e6).toFixed(0)} Mbit/s over ${seconds.toFixed(1)} s`);

    await capture.stop();
    const tunnel = `udp and host ${OUTER.server[4]} and port ${lab.port}`;
    expect(capture.count(tunnel)).toBeGreaterThan(SIZE / 1500);
    const strangers = strangersTo(tunnel);
    expect(capture.show(strangers)).toBe('');

    // Positive control: what goes past the tunnel is seen by the same capture and filter.
    const control = await Capture.start(lab, cable);
    lab.run(lab.client, 'bash', '-c', `echo x > /dev/udp/${OUTER.server[4]}/6881`);
    await sleep(300);
    await control.stop();
    expect(control.count(strangers)).toBeGreaterThan(0);
  }, 240_000);
});
