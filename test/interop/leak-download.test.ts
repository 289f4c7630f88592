/**
 * One download by `sluice get` that everything happens to: the server is down at first, dies in the middle, and the program is stopped
 * and killed again and again. One capture runs through all of it.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deep } from '../support/deep.ts';
import { LeakClient } from './leak-client.ts';
import { CLIENT, INSIDE, INTERNET, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report, seconds } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { Sluice } from './sluice.ts';
import { SEEDER_PORT, type Swarm, startSwarm, TRACKER_PORT } from './swarm.ts';

const BYTES = 14_000_000;
const BYTES_PER_SECOND = 600_000;
/** A server that never came back would be given up after 30 s (`sluice get`), so it is away for less than that at first. */
const AWAY_MS = [12_000, 18_000] as const;
/** Traffic is held back 30 s after an initiation, which comes 15 s after the last sign of life at most. */
const DEAD_MS = { short: 56_000, full: 200_000 };
const KILLS = 6;
const PAYLOAD = `src host ${INTERNET[4]} and tcp src port ${SEEDER_PORT} and greater 1000`;
const ANNOUNCE = `tcp dst port ${TRACKER_PORT} or udp dst port ${TRACKER_PORT}`;

describe.each(ROUNDS)('a download by sluice get that everything happens to%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;
  let watch: LeakWatch;
  let get: Sluice;

  const start = (): Sluice => {
    const conf = rig.file('client.conf', rig.conf());
    const args = ['get', swarm.torrent, '-c', conf, '-o', join(rig.folder, 'out'), '--json'];
    return new Sluice(rig, rig.client, args, { SLUICE_TUNNEL_STATE_DIR: join(rig.folder, 'state') });
  };
  const handshakeSizes = (): Set<number> =>
    new Set(watch.cable.frames(`udp and src host ${CLIENT[4]} and dst port 51820`).map(({ length }) => length - 42));
  const moreBytes = (than: number): Promise<void> =>
    get.until((sluice) => sluice.downloadedBytes > than, `no more than ${than} bytes came`, 60_000);

  beforeAll(async () => {
    rig = await LeakRig.create();
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: BYTES,
      bytesPerSecond: BYTES_PER_SECOND,
      dht: true,
    });
    watch = await LeakWatch.begin(rig, { payloads: true });
  });
  afterAll(() => rig?.destroy());

  it('stays silent before the first handshake and announces only inside (scenario 1)', async () => {
    await rig.wireguard.kill();
    const startedAt = Date.now();
    get = start();
    const awayMs = moments.between(...AWAY_MS);
    await sleep(awayMs);
    expect([...handshakeSizes()]).toEqual([148]);
    expect(watch.cable.count('udp dst port 51820')).toBeLessThanOrEqual(Math.floor(awayMs / 5_000) + 1);
    expect(watch.firstAtInternet(ANNOUNCE, 0)).toBeUndefined();
    watch.expectSilence();

    await rig.wireguard.start();
    const upAt = Date.now();
    await get.until((sluice) => sluice.latest('connected') !== undefined, 'it did not connect', 20_000);
    await moreBytes(0);
    const announcedAt = watch.firstAtInternet(`(${ANNOUNCE}) and src host ${SERVER[4]}`, startedAt)!;
    expect(announcedAt).toBeGreaterThan(upAt);
    const payloadAt = watch.firstAtInternet(PAYLOAD, startedAt)!;
    report(
      1,
      `silent for ${seconds(awayMs)}; ${seconds(payloadAt - upAt)} from the server's start to the first payload`,
    );
    expect(payloadAt - upAt).toBeLessThan(20_000);
    watch.expectSilence();
  });

  it('stalls when the tunnel dies mid-transfer, says so, and goes on when it is back (scenario 3)', async () => {
    await moreBytes(get.downloadedBytes + moments.between(200_000, 1_500_000));
    const byCrash = round.seed % 2 === 1;
    const cutAt = Date.now();
    if (byCrash) await rig.wireguard.kill();
    else rig.cut();
    const bytesAtCut = get.downloadedBytes;
    await sleep(round.full ? DEAD_MS.full : DEAD_MS.short);
    const paused = get.told.find(
      ({ event, atMs, state }) => event === 'state' && atMs > cutAt && state === 'reconnecting',
    );
    expect(paused, get.errors).toBeDefined();
    // What was on its way, and no more.
    expect(get.downloadedBytes).toBeLessThan(bytesAtCut + 2 * BYTES_PER_SECOND);
    watch.expectSilence();

    if (byCrash) await rig.wireguard.start();
    else rig.heal();
    const backAt = Date.now();
    await moreBytes(get.downloadedBytes);
    const payloadAt = watch.firstAtInternet(PAYLOAD, backAt)!;
    const how = byCrash ? 'the server was killed' : 'the path was cut';
    report(
      3,
      `${how}: held back ${seconds(paused!.atMs - cutAt)} after it, first payload ${seconds(payloadAt - backAt)} after it was back`,
    );
    expect(payloadAt - backAt).toBeLessThan(20_000);
    watch.expectSilence();
  });

  it('stops the torrent before the tunnel, and goes on where it stopped (scenario 5)', async () => {
    for (let turn = 0; turn < deep(2, 5); turn++) {
      await moreBytes(get.downloadedBytes + moments.between(0, 600_000));
      const had = get.downloadedBytes;
      const stopAt = Date.now();
      expect(await get.stop('SIGTERM')).toBe(143);
      const endedAt = Date.now();
      // Its last word to the tracker was still in the tunnel.
      const lastWords = watch.announces().filter(({ atMs }) => atMs >= stopAt);
      expect(lastWords.map(({ event }) => event)).toContain('stopped');
      await sleep(500);
      expect(watch.cable.frames(`src host ${CLIENT[4]} and udp`).filter(({ atMs }) => atMs > endedAt)).toEqual([]);
      report(5, `ended ${seconds(endedAt - stopAt)} after SIGTERM`);
      get = start();
      await get.until((sluice) => sluice.latest('progress') !== undefined, 'no progress', 20_000);
      await moreBytes(had);
    }
    watch.expectSilence();
  });

  it('is silent when killed at any moment, by a signal, an exception or want of memory, and comes up again (scenario 4)', async () => {
    for (let turn = 0; turn < KILLS; turn++) {
      await sleep(moments.between(0, 2_500));
      await get.stop('SIGKILL');
      get = start();
    }
    await get.stop('SIGKILL');
    for (const how of ['exception', 'rejection', 'memory']) {
      const client = await LeakClient.open(rig, { nodeFlags: ['--max-old-space-size=100'] });
      await client.ready();
      await client.torrent(swarm.torrent);
      await sleep(moments.between(200, 1_500));
      const ended = new Promise((resolve) =>
        client.agent.process.once('exit', (code, signal) => resolve(code ?? signal)),
      );
      await client.agent.call('crash', { how }).catch(() => {});
      expect(await ended, how).not.toBe(0);
      await sleep(300);
      watch.expectSilence();
    }
    get = start();
    expect(await get.exit(), get.errors).toBe(0);
    expect(swarm.matches(join(rig.folder, 'out/payload.bin'))).toBe(true);
    watch.expectSilence();
  }, 180_000);

  it('names its real address in no payload: announces, extension handshakes, PEX and DHT (scenario 32)', async () => {
    // The control: a packet in the tunnel that does.
    rig.pingFromServer(Buffer.from(CLIENT[4]).toString('hex'));
    rig.pingFromServer('c0000202');
    await sleep(300);
    expect(watch.selfDisclosures()).toHaveLength(2);
    await watch.end();
    expect(watch.selfDisclosures().slice(2)).toEqual([]);
    expect(watch.tunnelPackets(`src host ${INSIDE.client[4]}`).length).toBeGreaterThan(BYTES / 20_000);
    const announces = watch.announces();
    expect(announces.length).toBeGreaterThan(3);
    expect(announces.filter(({ query }) => /[?&]ip(v4|v6)?=/.test(query))).toEqual([]);
  });
});
