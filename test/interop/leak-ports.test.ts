/** The forwarded port: asked for inside only, and never told to anybody once it is not ours. And everything else a torrent client says on a LAN. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from './agent.ts';
import { eventually, LeakClient } from './leak-client.ts';
import { CLIENT, INSIDE, INTERNET, ISP, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch, LOCAL_DISCOVERY } from './leak-watch.ts';
import { report, seconds } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { Sluice } from './sluice.ts';
import { type Swarm, startSwarm } from './swarm.ts';

/** Short leases, so that renewals come often. */
const LEASE_SECONDS = 6;

describe.each(ROUNDS)('the forwarded port and the LAN%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;
  let gateway: Agent;
  /** At the router of the LAN, which would be glad to help. */
  let lanGateway: Agent;
  let client: LeakClient;

  beforeAll(async () => {
    rig = await LeakRig.create();
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 30_000_000,
      bytesPerSecond: 400_000,
      dht: true,
    });
    gateway = rig.agent(rig.server, 'gateway.mjs');
    await gateway.call('open', { address: INSIDE.server[4], publicAddress: SERVER[4], interface: rig.serverCable });
    await gateway.call('change', { maxLeaseSeconds: LEASE_SECONDS });
    lanGateway = rig.agent(rig.isp, 'gateway.mjs');
    await lanGateway.call('open', { address: ISP[4], publicAddress: ISP[4] });
  });
  afterAll(() => rig?.destroy());
  afterEach(() => client?.kill());

  const open = async (): Promise<LeakClient> => {
    client = await LeakClient.open(rig, { portForward: { provider: 'natpmp' } });
    await client.ready();
    await client.torrent(swarm.torrent, { client: { forwarded: true } });
    return client;
  };
  /** What a host at the internet gets from a port of the exit: "open", or the error. */
  const dial = (port: number): string =>
    rig.run(rig.internet, process.execPath, '-e', DIAL, SERVER[4], String(port)).trim();

  it('is mapped by the gateway in the tunnel alone, though one on the LAN would answer (scenario 17)', async () => {
    const watch = await LeakWatch.begin(rig);
    expect(rig.run(rig.client, process.execPath, '-e', ASK_LAN, ISP[4]).trim()).toBe('answered');
    await sleep(200);
    const asked = await lanGateway.call('requests');
    expect(asked).toBe(1);
    const { outside } = watch.leaks();
    expect(outside.join('\n'), 'the control').toContain(`> ${ISP[4]}.5351:`);
    await open();
    const { port } = await client.event(({ event }) => event === 'port.mapped', 'no port was mapped');
    await eventually(async () => (dial(port!) === 'open' ? true : undefined), 'the port is not open');
    await sleep(LEASE_SECONDS * 1_000);
    expect(dial(port!)).toBe('open');
    const announced = watch.announces().filter(({ event }) => event === 'started');
    expect(announced.map((announce) => announce.port)).toContain(port);
    await client.close();
    expect(await gateway.call('leases')).toEqual([]);
    expect(dial(port!)).not.toBe('open');
    await watch.stop();
    expect(watch.leaks().outside).toEqual(outside);
    expect(watch.leaks().exposed).toEqual([]);
    expect(await lanGateway.call('requests')).toBe(asked);
  });

  it('is mapped for sluice up and given back at its end, and the probe and its names go inside only (scenarios 5, 8, 17, 29)', async () => {
    const watch = await LeakWatch.begin(rig);
    const startedAt = Date.now();
    const conf = rig.file('up.conf', rig.conf());
    const up = new Sluice(rig, rig.client, ['up', conf, '--port-forward', 'natpmp', '--state-dir', `${rig.folder}/up`]);
    const leases = async () => {
      const held = await gateway.call<readonly unknown[]>('leases');
      return held.length > 0 ? held : undefined;
    };
    await eventually(leases, 'no port was mapped');
    const probed = async () => (await rig.namesInTunnel(startedAt)).includes('api.ipify.org') || undefined;
    await eventually(probed, 'the probe asked nobody');
    expect(await up.stop('SIGTERM'), up.errors).toBe(0);
    expect(await gateway.call('leases')).toEqual([]);
    await watch.end();
    expect(await rig.namesAtIsp(startedAt)).toEqual([]);
  });

  it('hears no local discovery of any kind: LSD, SSDP, mDNS, LLMNR, nor joins of their groups (scenario 18)', async () => {
    const watch = await LeakWatch.begin(rig);
    rig.run(rig.client, process.execPath, '-e', DISCOVER, CLIENT[4]);
    await sleep(500);
    const control = watch.leaks().outside;
    for (const group of ['239.192.152.143.6771', '239.255.255.250.1900', '224.0.0.251.5353', 'ff15::efc0:988f.6771'])
      expect(control.join('\n'), 'the control').toContain(`> ${group}:`);
    expect(control.join('\n'), 'the control’s join').toContain('igmp');
    const seen = watch.cable.count(LOCAL_DISCOVERY);
    const joins = (): number =>
      watch.cable.frames(MLD).filter(({ bytes }) => DISCOVERY_GROUPS.some((group) => bytes.includes(group))).length;
    expect(joins()).toBeGreaterThan(0);
    // The control leaves its groups: that is told, too.
    await sleep(1_500);
    const [leftOutside, leftSeen, leftJoins] = [watch.leaks().outside, watch.cable.count(LOCAL_DISCOVERY), joins()];
    expect(leftSeen).toBeGreaterThanOrEqual(seen);
    await open();
    await client.event(({ event }) => event === 'port.mapped', 'no port was mapped');
    await sleep(moments.between(5_000, 8_000));
    await client.close();
    await watch.stop();
    expect(watch.cable.count(LOCAL_DISCOVERY)).toBe(leftSeen);
    expect(joins()).toBe(leftJoins);
    expect(watch.leaks().outside).toEqual(leftOutside);
  });

  it('is announced anew when it moves, the old one is shut, and none is announced once it is lost (scenario 19)', async () => {
    const watch = await LeakWatch.begin(rig);
    await open();
    const mapped =
      (other: number) =>
      ({ event, port }: { event: string; port?: number }): boolean =>
        event === 'port.mapped' && port !== other;
    const first = (await client.event(mapped(0), 'no port was mapped')).port!;
    await eventually(async () => (dial(first) === 'open' ? true : undefined), 'the port is not open');
    await sleep(moments.between(0, 2_000));

    const movedAt = Date.now();
    await gateway.call('changePort');
    const moved = await client.event(mapped(first), 'no other port was mapped', 3 * LEASE_SECONDS * 1_000);
    const second = moved.port!;
    await eventually(async () => (dial(second) === 'open' ? true : undefined), 'the new port is not open');
    const told = await eventually(
      async () => watch.announces().find(({ port }) => port === second),
      'no tracker heard of the new port',
    );
    expect(dial(first)).not.toBe('open');
    report(
      19,
      `a port that moved was noticed after ${seconds(moved.atMs - movedAt)}, announced after ${seconds(told.atMs - movedAt)}`,
    );

    const silentAt = Date.now();
    await gateway.call('change', { silent: true });
    const lost = await client.event(
      ({ event }) => event === 'port.lost',
      'the loss was not noticed',
      4 * LEASE_SECONDS * 1_000,
    );
    // The gateway ends each of its leases by its own clock and when it looks; ours ends with the earliest of them.
    await eventually(async () => (dial(second) === 'open' ? undefined : true), 'the port is still open', 2_000);
    await client.agent.call('announce');
    await sleep(2_000);
    const stale = watch.announces().filter(({ atMs, port, event }) => {
      if (event === 'stopped') return false;
      return (atMs > told.atMs && port === first) || (atMs > lost.atMs + 500 && port === second);
    });
    expect(stale).toEqual([]);
    report(19, `a port that was lost was noticed after ${seconds(lost.atMs - silentAt)}`);
    await gateway.call('change', { silent: false });
    const again = await client.event(
      ({ event, atMs }) => event === 'port.mapped' && atMs > lost.atMs,
      'no port after the gateway was back',
      60_000,
    );
    report(19, `a port again ${seconds(again.atMs - lost.atMs)} after it was lost`);
    await client.close();
    await watch.end();
  });
});

const MLD = 'ip6[6] = 0 and ip6[40] = 58';
/** ff15::efc0:988f of local discovery, ff02::fb of mDNS. */
const DISCOVERY_GROUPS = ['ff1500000000000000000000efc0988f', 'ff0200000000000000000000000000fb'].map((hex) =>
  Buffer.from(hex, 'hex'),
);

const DIAL = `
const [host, port] = process.argv.slice(1);
const socket = require('net').connect({ host, port: +port, timeout: 2000 });
const settle = (word) => { console.log(word); process.exit(); };
socket.once('connect', () => settle('open')).once('error', (error) => settle(error.code)).once('timeout', () => settle('timeout'));
`;

/** Asks a NAT-PMP gateway for its address. */
const ASK_LAN = `
const socket = require('dgram').createSocket('udp4');
socket.once('message', () => { console.log('answered'); process.exit(); });
socket.send(Buffer.alloc(2), 5351, process.argv[1]);
setTimeout(() => process.exit(), 3000);
`;

/** Says on the LAN what a torrent client might, and joins the groups for it. */
const DISCOVER = `
const dgram = require('dgram');
const four = dgram.createSocket('udp4');
four.bind(0, () => {
  four.addMembership('239.192.152.143');
  for (const [port, group] of [[6771, '239.192.152.143'], [1900, '239.255.255.250'], [5353, '224.0.0.251']]) four.send('x', port, group);
});
const six = dgram.createSocket('udp6');
six.bind(0, () => {
  six.addMembership('ff15::efc0:988f');
  six.send('x', 6771, 'ff15::efc0:988f');
});
setTimeout(() => process.exit(), 600);
`;
