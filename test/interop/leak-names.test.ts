/** Names: of trackers, web seeds, DHT nodes and whatever the library is asked to fetch. The endpoint’s is in leak-servers. */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, LeakClient } from './leak-client.ts';
import { INTERNET, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { Sluice } from './sluice.ts';
import { type Swarm, startSwarm, TRACKER_PORT } from './swarm.ts';

/** DNS in every dress: plain, over TLS, multicast, LLMNR. */
const ANY_DNS = 'port 53 or port 853 or port 5353 or port 5355';

describe.each(ROUNDS)('names%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;

  beforeAll(async () => {
    rig = await LeakRig.create();
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 6_000_000,
      bytesPerSecond: 600_000,
      trackers: [`http://tracker.test:${TRACKER_PORT}/announce`, `udp://tracker.test:${TRACKER_PORT}/announce`],
      webSeeds: ['http://web.test/payload.bin'],
      dht: true,
    });
  });
  afterAll(() => rig?.destroy());

  it('of trackers, web seeds, DHT nodes and of fetch are resolved inside only (scenario 8)', async () => {
    const watch = await LeakWatch.begin(rig);
    const dnsFrames = watch.cable.count(ANY_DNS);
    expect(dnsFrames, 'the control’s look-up').toBeGreaterThan(0);
    const startedAt = Date.now();
    const conf = rig.file('client.conf', rig.conf());
    const state = { SLUICE_TUNNEL_STATE_DIR: join(rig.folder, 'state') };
    const get = new Sluice(
      rig,
      rig.client,
      ['get', swarm.torrent, '-c', conf, '-o', join(rig.folder, 'out'), '--json'],
      state,
    );
    expect(await get.exit(), get.errors).toBe(0);
    const client = await LeakClient.open(rig);
    await client.ready();
    expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
    expect(await client.agent.call('lookup', { name: 'web6.test' })).toEqual([INTERNET[6]]);
    expect(await client.agent.call('lookup', { name: 'nowhere.test' })).toBe('ENOTFOUND');
    await client.close();
    await watch.end();
    expect(watch.cable.count(ANY_DNS)).toBe(dnsFrames);
    expect(await rig.namesAtIsp(startedAt)).toEqual([]);
    const inside = new Set(await rig.namesInTunnel(startedAt));
    for (const name of ['tracker.test', 'web.test', 'router.bittorrent.com', 'web6.test', 'nowhere.test'])
      expect([...inside]).toContain(name);
    const seedRequests = await rig.web.call<{ url: string; from: string }[]>('log');
    expect(seedRequests.filter(({ url }) => url === '/payload.bin').map(({ from }) => from)).toContain(SERVER[4]);
    report(8, `${inside.size} names, all inside`);
  });

  it('of a UDP tracker are resolved inside again when their time is over (scenario 9)', async () => {
    await rig.setName('tracker.test', [INTERNET[4]], 1);
    const watch = await LeakWatch.begin(rig);
    const startedAt = Date.now();
    const client = await LeakClient.open(rig);
    await client.ready();
    await client.torrent(swarm.torrent, { client: { dht: false } });
    const announced = (address: string) => async () =>
      watch.firstAtInternet(
        `src host ${SERVER[4]} and udp and dst host ${address} and dst port ${TRACKER_PORT}`,
        startedAt,
      );
    await eventually(announced(INTERNET[4]), 'no announce to the first address');
    await rig.setName('tracker.test', [INTERNET.other], 1);
    await sleep(1_500 + moments.between(0, 500));
    await client.agent.call('announce');
    await eventually(announced(INTERNET.other), 'no announce to the second address');
    await client.close();
    await watch.end();
    expect(await rig.namesAtIsp(startedAt)).toEqual([]);
    expect((await rig.namesInTunnel(startedAt)).filter((name) => name === 'tracker.test').length).toBeGreaterThan(1);
  });
});
