/** Tunnels that do not come up: torrents that wait for one, and configurations with which none ever will. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, LeakClient } from './leak-client.ts';
import { CLIENT, INTERNET, LeakRig, SERVER } from './leak-rig.ts';
import { LeakWatch } from './leak-watch.ts';
import { wg } from './namespaces.ts';
import { report, seconds } from './report.ts';
import { Moments, ROUNDS } from './rounds.ts';
import { Sluice } from './sluice.ts';
import { SEEDER_PORT, type Swarm, startSwarm, TRACKER_PORT } from './swarm.ts';

const AWAY_MS = { short: 15_000, full: 60_000 };
/** Each wrong configuration has a port of the server to itself, so that its datagrams can be told from the others'. */
const PORTS = {
  'wrong private key': 51821,
  'wrong preshared key': 51822,
  'wrong server key': 51823,
  'dead server': 51824,
} as const;
const TORRENT_TALK = `port ${TRACKER_PORT} or port ${SEEDER_PORT}`;
const INITIATION = 'udp[4:2] = 156';
/** Five seconds (whitepaper §6.1) as the sender counts them; the first datagram of a process that has just begun leaves a little late. */
const LEAST_PAUSE_MS = 4_500;

describe.each(ROUNDS)('a tunnel that does not come up%s', (_, round) => {
  const moments = new Moments(round);
  let rig: LeakRig;
  let swarm: Swarm;

  beforeAll(async () => {
    rig = await LeakRig.create();
    swarm = await startSwarm(rig, {
      namespace: rig.internet,
      addresses: [INTERNET[4]],
      bytes: 2_000_000,
      trackers: [`http://tracker.test:${TRACKER_PORT}/announce`, `udp://${INTERNET[4]}:${TRACKER_PORT}/announce`],
      dht: true,
    });
    const redirected = Object.values(PORTS).filter((port) => port !== PORTS['dead server']);
    rig.filter(rig.server, {
      table: 'ip ports',
      hook: 'nat hook prerouting priority dstnat',
      rules: [`udp dport { ${redirected.join(', ')} } redirect to :51820`],
    });
  });
  afterAll(() => rig?.destroy());

  it('sends nothing but an initiation each 5 s for a wrong key, preshared key or server, and nothing for no configuration (scenario 2)', async () => {
    const allowed = `udp and host ${SERVER[4]} and portrange 51821-51824 and (src host ${SERVER[4]} or ${INITIATION})`;
    const watch = await LeakWatch.begin(rig, { allowed });
    const endpoint = (port: number): string => `${SERVER[4]}:${port}`;
    const confs = {
      'wrong private key': rig.conf({ endpoint: endpoint(PORTS['wrong private key']), privateKey: wg(['genkey']) }),
      'wrong preshared key': rig.conf({
        endpoint: endpoint(PORTS['wrong preshared key']),
        presharedKey: wg(['genpsk']),
      }),
      'wrong server key': rig.conf({
        endpoint: endpoint(PORTS['wrong server key']),
        publicKey: randomBytes(32).toString('base64'),
      }),
      'dead server': rig.conf({ endpoint: endpoint(PORTS['dead server']), privateKey: wg(['genkey']) }),
      'broken file': rig.conf().replace(/^PublicKey = .*/m, 'PublicKey = that is no key'),
    };
    const startedAt = Date.now();
    const runs = Object.entries(confs).map(([what, conf]) =>
      get(what, ['-c', rig.file(`${what.replaceAll(' ', '-')}.conf`, conf)]),
    );
    const exits = await Promise.all([...runs, get('none', [])].map((run) => run.exit()));
    expect(exits).toEqual([4, 4, 4, 4, 3, 3]);
    await watch.end();
    for (const [what, port] of Object.entries(PORTS)) {
      const sent = watch.cable.frames(`src host ${CLIENT[4]} and udp dst port ${port}`);
      const pauses = sent.slice(1).map(({ atMs }, index) => Math.round(atMs - sent[index]!.atMs));
      expect(sent.length, what).toBeGreaterThan(1);
      expect(Math.min(...pauses), `${what}: pauses of ${pauses.join(', ')} ms`).toBeGreaterThanOrEqual(LEAST_PAUSE_MS);
    }
    report(2, `four wrong tunnels given up after ${seconds(Date.now() - startedAt)}, no frame but their initiations`);
  });

  it('stays silent with active torrents before the first handshake and announces only inside (scenario 1)', async () => {
    await rig.wireguard.kill();
    const watch = await LeakWatch.begin(rig, { payloads: true });
    const startedAt = Date.now();
    const client = await LeakClient.open(rig);
    await client.torrent(swarm.torrent);
    const awayMs = (round.full ? AWAY_MS.full : AWAY_MS.short) + moments.between(0, 3_000);
    await sleep(awayMs);
    watch.expectSilence();
    expect(watch.firstAtInternet(TORRENT_TALK, startedAt)).toBeUndefined();
    await rig.wireguard.start();
    const upAt = Date.now();
    await client.ready();
    const connected = await client.event(({ event }) => event === 'handshake', 'no handshake');
    await eventually(
      async () => ((await client.transfer()).done ? true : undefined),
      'the download did not end',
      60_000,
    );
    await client.close();
    await watch.end();
    const announcedAt = watch.firstAtInternet(`src host ${SERVER[4]} and port ${TRACKER_PORT}`, startedAt)!;
    expect(announcedAt).toBeGreaterThanOrEqual(connected.atMs - 1_000);
    expect(watch.selfDisclosures()).toEqual([]);
    report(
      1,
      `silent for ${seconds(awayMs)}; handshake ${seconds(connected.atMs - upAt)} after the server's start, announce ${seconds(announcedAt - upAt)}`,
    );
  });

  function get(what: string, args: readonly string[]): Sluice {
    const state = join(rig.folder, 'states', what.replaceAll(' ', '-'));
    const out = ['-o', join(rig.folder, 'out')];
    return new Sluice(rig, rig.client, ['get', swarm.torrent, ...args, ...out, '--json'], {
      SLUICE_TUNNEL_STATE_DIR: state,
    });
  }
});
