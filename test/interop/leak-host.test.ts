/** What a host does to a tunnel: it sleeps, its clock steps, its cable is pulled, it moves to another network. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually, LeakClient } from './leak-client.ts';
import { CLIENT, INTERNET, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report, seconds } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { type Swarm, startSwarm } from './swarm.ts';

/** The full time is past the age at which keys are given up. */
const ASLEEP_MS = { short: 20_000, full: 200_000 };
const HOUR_MS = 3_600_000;
const YEAR_MS = 365.25 * 24 * HOUR_MS;
const OTHER = '192.0.2.77';
const OTHER_ROUTER = '192.0.2.66';

describe.each(ROUNDS)('a host on the move%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;
  let watch: LeakWatch;
  let client: LeakClient;
  /** What the client's wall clock is ahead of the host's, see agents/clock.mjs. */
  let clock: string;

  beforeAll(async () => {
    rig = await LeakRig.create();
    rig.address(rig.isp, rig.atIsp.interface, `${OTHER_ROUTER}/24`);
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 60_000_000,
      bytesPerSecond: 400_000,
    });
  });
  afterAll(() => rig?.destroy());
  beforeEach(async () => {
    watch = await LeakWatch.begin(rig);
    clock = join(rig.folder, 'clock');
    rmSync(clock, { force: true });
    const preload = `${new URL('agents/clock.mjs', import.meta.url)}?${encodeURIComponent(clock)}`;
    client = await LeakClient.open(rig, { nodeFlags: ['--import', preload] });
    await client.ready();
  });
  afterEach(() => client.kill());

  const download = async (): Promise<void> => {
    await client.torrent(swarm.torrent, { client: { dht: false } });
    await more();
  };
  const more = async (limitMs = 40_000): Promise<void> => {
    const { received } = await client.transfer();
    const grown = async () => ((await client.transfer()).received > received ? true : undefined);
    await eventually(grown, 'no more payload came', limitMs);
  };
  /** From `atMs` until more payload has come. */
  const recovery = async (atMs: number): Promise<number> => {
    await more();
    return Date.now() - atMs;
  };

  it('goes on within 20 s after it slept, with no frame outside (scenario 25)', async () => {
    await download();
    const { process } = client.agent;
    process.kill('SIGSTOP');
    const asleepMs = (round.full ? ASLEEP_MS.full : ASLEEP_MS.short) + moments.between(0, 2_000);
    await sleep(asleepMs);
    const awakeAt = Date.now();
    process.kill('SIGCONT');
    const ms = await recovery(awakeAt);
    report(25, `payload ${seconds(ms)} after a sleep of ${seconds(asleepMs)}`);
    expect(ms).toBeLessThan(20_000);
    await client.close();
    await watch.end();
  });

  it.each([
    ['an hour ahead', HOUR_MS, true],
    ['an hour back', -HOUR_MS, true],
    ['ten years back', -10 * YEAR_MS, true],
    ['ten years ahead', 10 * YEAR_MS, false],
  ])(
    'goes on when the clock steps %s, and shakes hands only with a timestamp that the server takes (scenario 25)',
    async (_, ms, connects) => {
      writeFileSync(clock, String(ms));
      expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
      await client.agent.call('close');
      const closedAt = Date.now();
      await client.agent.call('open', { conf: rig.conf(), options: { stateDir: `${rig.folder}/state` } });
      if (connects) {
        await client.ready(12_000);
        expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
      } else {
        await sleep(6_000);
        const { state, reason } = await client.status();
        expect([state, reason?.code]).toEqual(['error', 'ERR_CLOCK']);
        const sent = watch.cable.frames(`udp and src host ${CLIENT[4]} and dst port 51820`);
        expect(sent.filter(({ atMs }) => atMs > closedAt + 500)).toEqual([]);
      }
      await client.close();
      await watch.end();
    },
  );

  it('goes on after its cable was pulled, with no frame outside (scenario 26)', async () => {
    await download();
    rig.ip('-n', rig.client, 'link', 'set', rig.cable, 'down');
    await sleep(moments.between(3_000, 6_000));
    rig.ip('-n', rig.client, 'link', 'set', rig.cable, 'up');
    rig.address(rig.client, rig.cable, `${CLIENT[6]}/64`);
    rig.defaultRoutes();
    const backAt = Date.now();
    const ms = await recovery(backAt);
    report(26, `payload ${seconds(ms)} after the cable was back`);
    expect(ms).toBeLessThan(20_000);
    await client.close();
    await watch.end();
  });

  it('goes on over another router and from another address, with no frame outside (scenario 26)', async () => {
    await download();
    rig.ip('-n', rig.client, 'route', 'replace', 'default', 'via', OTHER_ROUTER);
    const reroutedMs = await recovery(Date.now());
    await sleep(moments.between(500, 1_500));
    rig.ip('-n', rig.client, 'addr', 'del', `${CLIENT[4]}/24`, 'dev', rig.cable);
    rig.address(rig.client, rig.cable, `${OTHER}/24`);
    rig.defaultRoutes();
    const movedMs = await recovery(Date.now());
    report(26, `payload ${seconds(reroutedMs)} after another default route, ${seconds(movedMs)} after another address`);
    expect(movedMs).toBeLessThan(20_000);
    expect(rig.wireguard.view().endpoint).toContain(OTHER);
    await client.close();
    await watch.end();
    rig.ip('-n', rig.client, 'addr', 'del', `${OTHER}/24`, 'dev', rig.cable);
    rig.address(rig.client, rig.cable, `${CLIENT[4]}/24`);
    rig.defaultRoutes();
  });
});
