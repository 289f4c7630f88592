/** The leak probe: what it says, to whom and by which way, and what it makes of every answer that a server or a portal may give. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ProbeStatus } from '../../src/index.ts';
import { LeakClient } from './leak-client.ts';
import { CLIENT, INTERNET, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report, seconds } from './report.ts';
import { ROUNDS } from './rounds.ts';
import { type Swarm, startSwarm } from './swarm.ts';

/** The product’s own is 10; answers that never come are waited for so long, twice. */
const TIMEOUT_SECONDS = 2;
const HOSTS = ['web.test', 'other.test'] as const;
const PROBE = {
  urls: HOSTS.map((host) => `http://${host}/ip`),
  urlsV6: ['http://web6.test/ip'],
  expected: [SERVER[4], SERVER[6]],
  timeoutSeconds: TIMEOUT_SECONDS,
};

/** Answers that tell nothing. */
const USELESS: Readonly<Record<string, object>> = {
  'the connection ends': { kind: 'hangUp' },
  'never a byte': { kind: 'silent' },
  'a byte each second': { kind: 'slow' },
  'a redirect': { kind: 'redirect', to: `http://${INTERNET.other}/ip` },
  HTML: { kind: 'text', text: `<!DOCTYPE html><p>Your address is ${SERVER[4]}</p>` },
  'a captive portal’s page': { kind: 'text', text: '<html><body>Please sign in</body></html>' },
  'a captive portal’s 511': { kind: 'text', text: SERVER[4], status: 511 },
  'an error with the right address': { kind: 'text', text: SERVER[4], status: 500 },
  'a compressed bomb': { kind: 'gzip' },
  'a body without end': { kind: 'endless' },
  'the other family': { kind: 'text', text: SERVER[6] },
  'a private address': { kind: 'text', text: '10.66.0.1' },
  'a blocking resolver’s address': { kind: 'text', text: '0.0.0.0' },
  'half an address': { kind: 'text', text: '198.51.100.' },
  nothing: { kind: 'text', text: '' },
  'the word': { kind: 'text', text: 'safe' },
};

interface Request {
  readonly url: string;
  readonly from: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly atMs: number;
}

describe.each(ROUNDS)('the leak probe%s', () => {
  let rig: LeakRig;
  let swarm: Swarm;
  let client: LeakClient;

  beforeAll(async () => {
    rig = await LeakRig.create();
    await rig.setName('other.test', [INTERNET.other]);
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 30_000_000,
      bytesPerSecond: 400_000,
    });
  });
  afterAll(() => rig?.destroy());
  afterEach(async () => {
    await client?.kill();
    await answer({ kind: 'honest' });
  });

  const answer = async (script: object): Promise<void> => {
    for (const host of [...HOSTS, 'web6.test']) await rig.web.call('script', { host, ...script });
  };
  const probe = (): Promise<ProbeStatus> => client.agent.call('probe');
  const requests = async (since: number): Promise<Request[]> =>
    (await rig.web.call<Request[]>('log')).filter(({ atMs, url }) => atMs >= since && url === '/ip');

  it('goes inside only, over each family by itself, says nothing of who asks, and is not sent while the tunnel is down (scenario 29)', async () => {
    const watch = await LeakWatch.begin(rig);
    const startedAt = Date.now();
    await rig.wireguard.kill();
    client = await LeakClient.open(rig, { probe: PROBE, killswitch: { silentAfterSeconds: 5 } });
    await sleep(3_000);
    expect((await client.status()).probe.verdict).toBe('pending');
    expect(await requests(startedAt)).toEqual([]);
    await rig.wireguard.start();
    await client.ready();
    const { verdict, ipv4, ipv6 } = await probe();
    expect([verdict, ipv4?.observed, ipv6?.observed]).toEqual(['ok', SERVER[4], SERVER[6]]);
    const seen = await requests(startedAt);
    expect(new Set(seen.map(({ from }) => from))).toEqual(new Set([SERVER[4], SERVER[6]]));
    for (const { headers } of seen)
      expect(Object.keys(headers).sort()).toEqual(['accept', 'accept-encoding', 'connection', 'host']);

    rig.cut();
    // Traffic that goes unanswered is what tells that the tunnel is down.
    await client.fetch('http://web.test/ip', 1_000);
    await client.event(({ event }) => event === 'killswitch.engaged', 'the silence was not noticed', 60_000);
    const downAt = Date.now();
    const meanwhile = await probe();
    expect(meanwhile.verdict).not.toBe('leak');
    rig.heal();
    await client.event(({ event, atMs }) => event === 'probe' && atMs > downAt, 'no probe followed', 40_000);
    await client.close();
    await watch.end();
    expect(await rig.namesAtIsp(startedAt)).toEqual([]);
  });

  it('takes no useless answer for a good one, nor for a leak, and is done with it in time (scenario 27)', async () => {
    const watch = await LeakWatch.begin(rig);
    client = await LeakClient.open(rig, { probe: PROBE });
    await client.ready();
    expect((await probe()).verdict).toBe('ok');
    const limitMs = 2 * TIMEOUT_SECONDS * 1_000 + 2_000;
    for (const [what, script] of Object.entries(USELESS)) {
      await answer(script);
      const askedAt = Date.now();
      const { verdict, ipv4 } = await probe();
      const tookMs = Date.now() - askedAt;
      expect([what, verdict, ipv4?.observed]).toEqual([what, 'unknown', null]);
      expect(tookMs, what).toBeLessThan(limitMs);
      expect((await client.status()).killswitch.engaged, what).toBe(false);
    }
    // Nobody followed the redirect.
    const followed = (await requests(0)).filter(({ headers }) => headers['host'] === INTERNET.other);
    expect(followed).toEqual([]);
    await answer({ kind: 'honest' });
    expect((await probe()).verdict).toBe('ok');
    await client.close();
    await watch.end();
    report(27, `${Object.keys(USELESS).length} useless answers, each unknown`);
  });

  it('that sees the real address stops everything but itself, until a clean one (scenario 27)', async () => {
    const watch = await LeakWatch.begin(rig);
    client = await LeakClient.open(rig, { probe: PROBE });
    await client.ready();
    await client.torrent(swarm.torrent, { client: { dht: false } });
    await expect.poll(async () => (await client.transfer()).received, { timeout: 20_000 }).toBeGreaterThan(0);
    await answer({ kind: 'text', text: CLIENT[4] });
    const askedAt = Date.now();
    expect((await probe()).verdict).toBe('leak');
    const engaged = await client.event(
      ({ event, atMs }) => event === 'killswitch.engaged' && atMs >= askedAt,
      'not engaged',
    );
    expect(engaged.reasons).toContain('leak');
    await sleep(1_000);
    const { received } = await client.transfer();
    expect((await client.fetch('http://other.test/ip', 1_500)).error).toBeDefined();
    await sleep(2_000);
    expect((await client.transfer()).received).toBe(received);
    await answer({ kind: 'honest' });
    const cleanAt = Date.now();
    expect((await probe()).verdict).toBe('ok');
    const released = await client.event(
      ({ event, atMs }) => event === 'killswitch.released' && atMs >= cleanAt,
      'not released',
    );
    await expect.poll(async () => (await client.transfer()).received, { timeout: 30_000 }).toBeGreaterThan(received);
    report(
      27,
      `stopped ${seconds(engaged.atMs - askedAt)} after the question, released ${seconds(released.atMs - cleanAt)} after a clean one was asked for, payload ${seconds(Date.now() - cleanAt)}`,
    );
    await client.close();
    await watch.end();
  });

  it('tells that IPv6 has no way out, and does not call that well (scenario 11)', async () => {
    const watch = await LeakWatch.begin(rig);
    rig.stopIpv6();
    client = await LeakClient.open(rig, { probe: PROBE });
    await client.ready();
    const { verdict, ipv4, ipv6 } = await probe();
    expect([verdict, ipv4?.observed, ipv6?.observed]).toEqual(['unknown', SERVER[4], null]);
    await client.close();
    await watch.end();
    rig.letIpv6();
  });
});
