/** Servers that move: behind the same name, and to a fallback configuration. The one before is let go at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually, LeakClient } from './leak-client.ts';
import { CLIENT, INTERNET, ISP, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report, seconds } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';

/** The full time holds a rekey. */
const CONNECTED_MS = { short: 8_000, full: 130_000 };
const HANDSHAKE_BYTES = new Set([148, 92]);

describe.each(ROUNDS)('a server that moves%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;

  beforeAll(async () => {
    rig = await LeakRig.create();
  });
  afterAll(() => rig?.destroy());
  afterEach(() => rig.heal());

  it('behind its name: the host resolves it at start, never while connected, and when the server is lost (scenario 12)', async () => {
    const endpoints = [SERVER[4], SERVER.other];
    const watch = await LeakWatch.begin(rig, { endpoints, allowed: `udp port 53 and host ${ISP[4]}` });
    const startedAt = Date.now();
    const client = await LeakClient.open(rig, { conf: rig.conf({ endpoint: 'vpn.test:51820' }) });
    await client.ready();
    const connectedAt = Date.now();
    const atStart = await rig.namesAtIsp(startedAt);
    expect(new Set(atStart)).toEqual(new Set(['vpn.test']));
    await sleep(round.full ? CONNECTED_MS.full : CONNECTED_MS.short);
    expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
    expect(await rig.namesAtIsp(connectedAt)).toEqual([]);

    const before = (await client.status()).tunnel.handshakes;
    rig.cut();
    // Something to miss an answer to.
    await client.send(INTERNET[4], 6881);
    await sleep(moments.between(25_000, 30_000));
    await rig.setName('vpn.test', [SERVER.other], 1);
    rig.cut(SERVER[4]);
    const movedAt = Date.now();
    const again = async () => ((await client.status()).tunnel.handshakes > before ? Date.now() : undefined);
    const backAt = await eventually(again, 'no handshake with the new address', 40_000);
    expect((await client.fetch('http://web.test/ip')).status).toBe(200);
    report(12, `handshake with the new address behind the same name ${seconds(backAt - movedAt)} after it answered`);
    expect(backAt - movedAt).toBeLessThan(20_000);
    expect((await client.status()).tunnel.endpoint).toBe(`${SERVER.other}:51820`);
    expect(new Set(await rig.namesAtIsp(startedAt))).toEqual(new Set(['vpn.test']));
    await client.close();
    await watch.end();
  });

  it('to a fallback configuration: from then on the old address hears nothing but initiations (scenario 13)', async () => {
    const watch = await LeakWatch.begin(rig, { endpoints: [SERVER[4], SERVER.other] });
    const fallback = [rig.conf({ endpoint: `${SERVER.other}:51820` })];
    const client = await LeakClient.open(rig, { fallback });
    await client.ready();
    expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
    const sent = (address: string): readonly { atMs: number; length: number }[] =>
      watch.cable.frames(`udp and src host ${CLIENT[4]} and dst host ${address} and dst port 51820`);
    expect(sent(SERVER.other)).toEqual([]);

    rig.cut(SERVER[4]);
    const cutAt = Date.now();
    await client.send(INTERNET[4], 6881);
    const onFallback = async () =>
      (await client.status()).tunnel.endpoint === `${SERVER.other}:51820` &&
      (await client.status()).state === 'connected'
        ? Date.now()
        : undefined;
    const movedAt = await eventually(onFallback, 'the fallback was not taken', 150_000);
    expect((await client.fetch('http://web.test/ip')).status).toBe(200);
    await sleep(moments.between(3_000, 6_000));
    await client.close();
    await watch.end();
    report(13, `on the fallback ${seconds(movedAt - cutAt)} after the first server was lost`);
    const firstToOther = sent(SERVER.other)[0]!.atMs;
    const late = sent(SERVER[4]).filter(({ atMs, length }) => atMs > firstToOther && !HANDSHAKE_BYTES.has(length - 42));
    expect(late).toEqual([]);
  }, 240_000);
});
