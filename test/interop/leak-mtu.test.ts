/**
 * Lines outside that carry less than the tunnel sends (scenario 31): black holes, where what is too large vanishes, lines whose router
 * says so, and a router that lies. Downloads and uploads through real wireguard-go, with Linux's own TCP at the far end.
 */

import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEEP } from '../support/deep.ts';
import { eventually, LeakClient } from './leak-client.ts';
import { CLIENT, INTERNET, ISP, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { report, seconds } from './report.ts';

const BYTES = 3_000_000;
/** What is left for a packet that both ends pad to 16 bytes, in a datagram over IPv4. */
const room = (mtu: number): number => Math.min(1420, (mtu - 60) & ~15);
/** Everything that the client's datagrams may be, but for the headers of Ethernet. */
const TUNNEL = `host ${SERVER[4]} and (udp port 51820 or ip[6:2] & 0x1fff != 0)`;
const ROUTERS_WORD = `icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 4 and host ${CLIENT[4]}`;
const LATER_FRAGMENTS = `ip[6:2] & 0x1fff != 0 and host ${SERVER[4]} and host ${CLIENT[4]}`;

describe('lines outside that carry less', () => {
  const payload = randomBytes(BYTES);
  const sha256 = createHash('sha256').update(payload).digest('hex');
  const url = `http://${INTERNET[4]}/payload.bin`;
  let rig: LeakRig;
  let watch: LeakWatch;
  let client: LeakClient;

  const open = async (): Promise<void> => {
    client = await LeakClient.open(rig, { stateDir: join(rig.folder, `state-${performance.now()}`) });
    await client.ready();
  };
  const mtu = async (): Promise<number> => (await client.status()).tunnel.mtu;
  const untilMtu = async (atMost: number, limitMs: number): Promise<number> => {
    const begun = performance.now();
    await eventually(async () => ((await mtu()) <= atMost ? true : undefined), `no MTU of ${atMost}`, limitMs);
    return performance.now() - begun;
  };
  const bothWays = async (): Promise<string> => {
    const down = await client.download(url);
    expect(down.sha256).toBe(sha256);
    const up = await client.upload(url, BYTES / 2);
    expect(up.intact).toBe(true);
    return `down ${rate(BYTES, down.ms)}, up ${rate(BYTES / 2, up.ms)}`;
  };
  /** The client's datagrams larger than the line, since a moment. */
  const tooLarge = (line: number, sinceMs: number): number =>
    watch.cable
      .frames(`src host ${CLIENT[4]} and ${TUNNEL}`)
      .filter(({ atMs, length }) => atMs > sinceMs && length - 14 > line).length;

  beforeAll(async () => {
    rig = await LeakRig.create();
    writeFileSync(join(rig.folder, 'payload.bin'), payload);
  });
  afterAll(() => rig?.destroy());
  beforeEach(async () => {
    rig.widen();
    watch = await LeakWatch.begin(rig, { allowed: `${ROUTERS_WORD}) and not (${LATER_FRAGMENTS}` });
  });
  afterEach(async () => {
    await client.close();
    await watch.end();
  });

  it.each(DEEP ? [1492, 1460, 1440, 1400, 1300, 1280] : [1400])(
    'a black hole above %i bytes is found before anybody suffers',
    async (line) => {
      rig.narrow(line);
      await open();
      const foundMs = await untilMtu(room(line), 5_000);
      // The rest of the questions.
      await sleep(2_000);
      const sinceMs = Date.now();
      const rates = await bothWays();
      expect(await mtu()).toBeGreaterThan(room(line) - 48);
      // Half a minute later larger sizes are tried, so not in here.
      expect(tooLarge(line, sinceMs)).toBe(0);
      report(31, `black hole at ${line}: MTU ${await mtu()} after ${seconds(foundMs)}; ${rates}`);
    },
  );

  it.each(DEEP ? [1400, 1280] : [1280])(
    'a black hole above %i bytes that opens in the middle of transfers is found, and they go on',
    async (line) => {
      await open();
      const rates = [await bothWays()];
      expect(await mtu()).toBe(1420);
      const slow = client.download(url, BYTES / 8);
      await sleep(1_500);
      rig.narrow(line);
      const upload = client.upload(url, BYTES);
      const foundMs = await untilMtu(room(line), 15_000);
      rates.push(await bothWays());
      expect((await upload).intact).toBe(true);
      // Its sender heard of it in time: it is Linux, and does not look for black holes by itself.
      const { sha256: whole, ms } = await slow;
      expect(whole).toBe(sha256);
      report(
        31,
        `black hole at ${line} in the middle: MTU ${await mtu()} after ${seconds(foundMs)}; the slow download took ${seconds(ms)} instead of 8; ${rates.join('; then ')}`,
      );
      if (!DEEP) return;
      rig.widen();
      await eventually(async () => ((await mtu()) === 1420 ? true : undefined), 'the MTU stayed low', 45_000);
    },
  );

  it.each(DEEP ? [1492, 1400, 1280] : [1400])('a router that says that %i bytes are all is heard', async (line) => {
    rig.narrow(line, true);
    await open();
    await sleep(2_000);
    const rates = await bothWays();
    report(31, `told of ${line}: MTU ${await mtu()}; ${rates}`);
    // The system fragments what node:dgram sends, which arrives; the port on system calls is told how much does whole.
    expect(await mtu()).toBeGreaterThanOrEqual(room(line) - 48);
  });

  it('a router that lies about 552 bytes changes nothing of the tunnel’s MTU', async () => {
    await open();
    await sleep(1_000);
    forge(rig, (await client.status()).tunnel.endpoint!, sourcePort(watch));
    const rates = await bothWays();
    expect(await mtu()).toBe(1420);
    report(31, `forged packet-too-big of 552: MTU 1420; ${rates}`);
  });
});

function rate(bytes: number, ms: number): string {
  return `${((bytes * 8) / 1000 / ms).toFixed(0)} Mbit/s`;
}

/** The client's port outside. */
function sourcePort(watch: LeakWatch): number {
  const [line] = watch.cable.lines(`src host ${CLIENT[4]} and udp dst port 51820`).slice(-1);
  return Number(/192\.0\.2\.2\.(\d+) >/.exec(line!)![1]);
}

/** Fragmentation needed, from the ISP's router, about a datagram that the client may well have sent. */
function forge(rig: LeakRig, endpoint: string, port: number): void {
  const script = `
import socket, struct
def checksum(b):
    s = sum(struct.unpack('!%dH' % (len(b) // 2), b)); s = (s >> 16) + (s & 0xffff); return 0xffff & ~(s + (s >> 16))
ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 1480, 0, 0x4000, 64, 17, 0, socket.inet_aton('${CLIENT[4]}'), socket.inet_aton('${endpoint.split(':')[0]}'))
quote = ip + struct.pack('!HHHH', ${port}, 51820, 1460, 0)
icmp = struct.pack('!BBHHH', 3, 4, 0, 0, 552) + quote
icmp = icmp[:2] + struct.pack('!H', checksum(icmp)) + icmp[4:]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.bind(('${ISP[4]}', 0))
for _ in range(20): s.sendto(icmp, ('${CLIENT[4]}', 0))
`;
  const { status, stderr } = spawnSync('ip', ['netns', 'exec', rig.isp, '/usr/bin/python3', '-c', script]);
  if (status !== 0) throw new Error(String(stderr));
}
