/** Addresses and routes that lead elsewhere: a family the tunnel has not, the server's own address, routes pushed by the LAN, and the LAN itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LeakClient } from './leak-client.ts';
import { CLIENT, INSIDE, INTERNET, ISP, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { type Swarm, startSwarm, TRACKER_PORT } from './swarm.ts';

/** Where a LAN's DHCP server would lead the client astray (TunnelVision): an address of the ISP's side that forwards, too. */
const ROGUE = '192.0.2.66';
const UNREACHABLE = /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT|ENOTFOUND|ENODATA)$/;

describe.each(ROUNDS)('addresses and routes%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;
  let watch: LeakWatch;
  let client: LeakClient;

  beforeAll(async () => {
    rig = await LeakRig.create();
    rig.address(rig.isp, rig.atIsp.interface, `${ROGUE}/24`);
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 40_000_000,
      bytesPerSecond: 500_000,
      trackers: [
        `http://${INTERNET[4]}:${TRACKER_PORT}/announce`,
        // Port Fail and TunnelCrack: a tracker at the VPN server's own address.
        `http://${SERVER[4]}:${TRACKER_PORT}/announce`,
        `udp://${SERVER[4]}:${TRACKER_PORT}/announce`,
      ],
    });
  });
  afterAll(() => rig?.destroy());
  beforeEach(async () => {
    watch = await LeakWatch.begin(rig, { payloads: true });
  });
  afterEach(() => client?.kill());

  it('reach no IPv6 address in any dress through a tunnel of IPv4 (scenario 10)', async () => {
    client = await LeakClient.open(rig, { conf: rig.conf({ ipv4Only: true }) });
    await client.ready();
    expect(await client.fetch('http://web.test/ip')).toEqual({ status: 200, text: SERVER[4] });
    const nat64 = '64:ff9b::cb00:710a';
    for (const host of [INTERNET[6], nat64, 'web6.test'])
      expect(await client.connect(host, 80), host).toMatch(UNREACHABLE);
    // As Node has it, the IPv4 address itself: inside, or not at all.
    expect([null, 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL']).toContain(
      await client.connect(`::ffff:${INTERNET[4]}`, 80),
    );
    for (const url of [`http://[${INTERNET[6]}]/ip`, 'http://web6.test/ip'])
      expect((await client.fetch(url)).error, url).toMatch(UNREACHABLE);
    await watch.end();
    expect(watch.tunnelPackets('ip6')).toEqual([]);
  });

  it('fail inside where the server has no way out for IPv6, and IPv4 goes on (scenario 11)', async () => {
    rig.stopIpv6();
    client = await LeakClient.open(rig);
    await client.ready();
    expect((await client.fetch(`http://[${INTERNET[6]}]/ip`)).error).toBeDefined();
    expect(await client.connect('web6.test', 80, 4_000)).not.toBeNull();
    expect(await client.fetch('http://web.test/ip', 10_000)).toEqual({ status: 200, text: SERVER[4] });
    await watch.end();
    // They were tried, inside.
    expect(watch.tunnelPackets(`ip6 and dst host ${INTERNET[6]}`).length).toBeGreaterThan(0);
    rig.letIpv6();
  });

  it('of the VPN server itself, as peer and as tracker, are reached inside (scenario 15)', async () => {
    client = await LeakClient.open(rig);
    await client.ready();
    await client.torrent(swarm.torrent, { client: { dht: false } });
    await client.agent.call('addPeer', { address: `${SERVER[4]}:6881` });
    expect(await client.connect(SERVER[4], 6881)).toBe('ECONNREFUSED');
    // The very port of the tunnel, too.
    expect(await client.send(SERVER[4], 51820, 'past the tunnel?')).toBeNull();
    expect(await client.connect(SERVER[4], 51820)).toBe('ECONNREFUSED');
    await sleep(2_000);
    await watch.end();
    const inside = (filter: string): number =>
      watch.tunnelPackets(`src host ${INSIDE.client[4]} and dst host ${SERVER[4]} and ${filter}`).length;
    expect(inside('tcp dst port 6881')).toBeGreaterThan(1);
    expect(inside(`tcp dst port ${TRACKER_PORT}`)).toBeGreaterThan(0);
    expect(inside(`udp dst port ${TRACKER_PORT}`)).toBeGreaterThan(0);
    expect(inside('udp dst port 51820')).toBe(1);
  });

  it('keep their way when the LAN pushes routes for them: at worst the tunnel stalls (scenario 14)', async () => {
    client = await LeakClient.open(rig);
    await client.ready();
    await client.torrent(swarm.torrent, { client: { dht: false } });
    const more = async (): Promise<void> => {
      const { received } = await client.transfer();
      await expect.poll(async () => (await client.transfer()).received, { timeout: 30_000 }).toBeGreaterThan(received);
    };
    /** What the server has sent already arrives; acknowledgements do not. */
    const stalls = async (): Promise<boolean> => {
      const { received } = await client.transfer();
      await sleep(1_500);
      return (await client.transfer()).received === received;
    };
    await more();
    const route = (verb: 'add' | 'del', ...to: string[]): void => rig.ip('-n', rig.client, 'route', verb, ...to);
    const rogue = ['via', ROGUE];
    for (const network of ['203.0.113.0/24', '0.0.0.0/1', '128.0.0.0/1', '10.66.0.0/24']) {
      route('add', network, ...rogue);
      await sleep(moments.between(500, 1_500));
      await more();
    }
    rig.ip('-n', rig.client, '-6', 'route', 'add', '2000::/3', 'via', ISP[6]);
    expect((await client.fetch(`http://[${INTERNET[6]}]/ip`)).text).toBe(SERVER[6]);
    // Now the server's own address: nothing comes through, and nothing goes another way.
    route('add', 'blackhole', `${SERVER[4]}/32`);
    await expect.poll(stalls, { timeout: 20_000 }).toBe(true);
    watch.expectSilence();
    const backAt = Date.now();
    route('del', 'blackhole', `${SERVER[4]}/32`);
    await more();
    report(
      14,
      `first payload ${((Date.now() - backAt) / 1000).toFixed(1)} s after a route that swallowed the tunnel was gone`,
    );
    for (const network of ['203.0.113.0/24', '0.0.0.0/1', '128.0.0.0/1', '10.66.0.0/24']) route('del', network);
    rig.ip('-n', rig.client, '-6', 'route', 'del', '2000::/3');
    await watch.end();
  });

  it('of the LAN have nobody who listens: a connected socket, and no answer to a scan (scenario 16)', async () => {
    client = await LeakClient.open(rig);
    await client.ready();
    await client.torrent(swarm.torrent);
    const { announcedPort } = await client.transfer();
    const listeners = (): string => rig.run(rig.client, 'ss', '-Hlntup').trim();
    expect(listeners()).toBe('');
    const sockets = rig.run(rig.client, 'ss', '-Hntup').trim().split('\n');
    expect(sockets).toHaveLength(1);
    expect(sockets[0]).toMatch(new RegExp(`^udp +ESTAB .*${CLIENT[4]}:\\d+ +${SERVER[4]}:51820`));
    watch.expectSilence();
    // The control: a listener is found by the same scan.
    const script = "require('net').createServer().listen(+process.argv[1], '::', () => console.log('ready'))";
    const control = rig.spawnIn(rig.client, process.execPath, ['-e', script, String(announcedPort)]);
    await new Promise((resolve) => control.stdout!.once('data', resolve));
    const ports = [announcedPort, 6881, 80, 22, moments.between(1_024, 65_535)];
    const scan = (): string[] =>
      JSON.parse(rig.run(rig.isp, process.execPath, '-e', SCAN, CLIENT[4], CLIENT[6], ...ports.map(String)));
    expect(listeners()).not.toBe('');
    expect(scan()).toEqual([`${CLIENT[4]} ${announcedPort}`, `${CLIENT[6]} ${announcedPort}`]);
    control.kill('SIGKILL');
    await new Promise((resolve) => control.once('exit', resolve));
    await watch.stop();

    const scanned = await LeakWatch.begin(rig, { allowed: `tcp and (host ${ISP[4]} or host ${ISP[6]})` });
    expect(scan()).toEqual([]);
    await scanned.end();
    // Refusals of the kernel, and not one acceptance.
    expect(scanned.cable.count(`src host ${CLIENT[4]} and dst host ${ISP[4]} and tcp[tcpflags] & tcp-syn != 0`)).toBe(
      0,
    );
    expect(scanned.cable.count(`src host ${CLIENT[4]} and dst host ${ISP[4]} and tcp[tcpflags] & tcp-rst != 0`)).toBe(
      ports.length,
    );
    expect(
      scanned.cable.count(`src host ${CLIENT[6]} and dst host ${ISP[6]} and ip6[6] = 6 and ip6[53] & 4 != 0`),
    ).toBe(ports.length);
    expect(
      scanned.cable.count(`src host ${CLIENT[6]} and dst host ${ISP[6]} and ip6[6] = 6 and ip6[53] & 2 != 0`),
    ).toBe(0);
  });
});

/** Connects to each port of each address, and prints where it was let in. */
const SCAN = `
const net = require('net');
const [four, six, ...ports] = process.argv.slice(1);
const open = [];
const dial = (host, port) => new Promise((done) => {
  const socket = net.connect({ host, port: +port, timeout: 2000 });
  const settle = () => { socket.destroy(); done(); };
  socket.once('connect', () => { open.push(host + ' ' + port); settle(); });
  socket.once('error', settle);
  socket.once('timeout', settle);
});
(async () => {
  for (const host of [four, six]) for (const port of ports) await dial(host, port);
  console.log(JSON.stringify(open));
})();
`;
