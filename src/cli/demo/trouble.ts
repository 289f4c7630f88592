/** The acts in which something goes wrong, and nothing gets out: the exit changes, the tunnel is cut, the port is another one. */

import type { Tunnel } from '../../node/tunnel.ts';
import type { Sandbox } from '../../sandbox/index.ts';
import type { Torrent } from '../../torrent/webtorrent.ts';
import { formatPercent } from '../progress/units.ts';
import type { Stage } from './stage.ts';
import type { Swarm } from './swarm.ts';

export interface Cast {
  readonly stage: Stage;
  readonly provider: Sandbox;
  readonly swarm: Swarm;
  readonly tunnel: Tunnel;
  readonly torrent: Torrent;
}

/** `killswitch.silentAfterSeconds` of the demo; 30 by default, which is long for a demo. */
export const SILENT_AFTER_SECONDS = 5;
/** Beyond this, a cut was noticed too late. */
const NOTICE_LIMIT_SECONDS = SILENT_AFTER_SECONDS + 1;
/** An address of nobody, in another network than the provider's (TEST-NET-1, RFC 5737). */
const ELSEWHERE = '192.0.2.77';
/** For what is on its way through this process to arrive. */
const SETTLE_SECONDS = 0.3;
const WATCH_SECONDS = 2;
const STANDS_STILL_SECONDS = 0.1;
/** A handshake initiation as a datagram (whitepaper §5.4.2). No transport message is as long: theirs are multiples of 16. */
const INITIATION_LENGTH = 148;

/** The exit address changes; the probe sees it; it is put back. */
export async function changeExit(cast: Cast): Promise<void> {
  const { stage, provider, tunnel, torrent } = cast;
  const exit = provider.exitAddresses[0]!;
  await stage.until('the probe knows the exit', 20, () => tunnel.status().probe.verdict === 'ok');
  stage.announce('leak', `Behind the tunnel’s back, the exit address changes from ${exit} to ${ELSEWHERE}.`);
  provider.rotateExitAddress(ELSEWHERE);
  const seconds = await stage.until('the leak is caught', 20, () => isEngaged(tunnel, 'leak') && torrent.paused);
  const paused = pausedOf(tunnel);
  stage.tell(
    `Caught by the leak probe after ${seconds.toFixed(1)} s: ${transfers(paused)} paused, nothing flows but the probe.`,
    'leak',
    { observed: ELSEWHERE, expected: exit, seconds, paused },
  );
  await expectStillness(cast);
  provider.rotateExitAddress(exit);
  await resumed(cast);
  stage.tell('The address is put back, and the next probe is clean: the download goes on.', 'released', {});
}

/** The server falls silent. */
export async function cutTunnel(cast: Cast): Promise<void> {
  const { stage, provider, tunnel, torrent } = cast;
  stage.announce(
    'cut',
    `The tunnel is cut: the server falls silent. (Patience is set to ${SILENT_AFTER_SECONDS} s here; 30 s by default.)`,
  );
  provider.faults.silent = true;
  // Not after: a lease that has run out would be given to the same client again.
  provider.natpmp.changePort();
  const seconds = await stage.until('the cut is noticed', 20, () => isEngaged(tunnel, 'stale') && torrent.paused);
  stage.expect(`transfers pause within ${NOTICE_LIMIT_SECONDS} s of a cut`, seconds <= NOTICE_LIMIT_SECONDS);
  const paused = pausedOf(tunnel);
  const progress = formatPercent(torrent.progress);
  stage.tell(`Noticed after ${seconds.toFixed(1)} s: ${transfers(paused)} paused, at ${progress}.`, 'cut', {
    seconds,
    paused,
    progress: torrent.progress,
  });
  const before = await sentByNow(stage, provider, tunnel);
  await expectStillness(cast);
  await stage.until('the server is looked for', 20, () => sent(provider, tunnel).datagrams > before.datagrams);
  const after = await sentByNow(stage, provider, tunnel);
  const initiations = after.datagrams - before.datagrams;
  stage.expect(
    'nothing but handshake initiations leaves a tunnel that is cut',
    after.bytes - before.bytes === initiations * INITIATION_LENGTH,
  );
  stage.tell(
    `Its only socket sends ${initiations === 1 ? 'a handshake initiation' : `${initiations} handshake initiations`} to find the server again, and nothing else.`,
    'silence',
    { initiations, otherBytes: 0 },
  );
}

/** The server answers again, but the port is another one. */
export async function heal({ stage, provider, swarm, tunnel, torrent }: Cast, oldPort: number): Promise<void> {
  stage.announce('recovery', `The server answers again; port ${oldPort} has gone to somebody else meanwhile.`);
  const { progress } = torrent;
  provider.faults.silent = false;
  const seconds = await resumed({ stage, tunnel, torrent });
  stage.expect('what was downloaded before is not downloaded again', torrent.progress >= progress);
  const port = (): number | null => tunnel.status().portForward.port;
  const announced = (): boolean =>
    swarm.announces.some(({ event, peer }) => event === 'start' && peer.endsWith(`:${port()}`));
  await stage.until('the trackers hear of the new port', 20, () => port() !== oldPort && announced());
  stage.tell(
    `Data flows again after ${seconds.toFixed(1)} s, from where it stopped. Port ${port()} is forwarded, and the tracker knows.`,
    'recovered',
    { seconds, port: port(), progress },
  );
}

function isEngaged(tunnel: Tunnel, reason: 'leak' | 'stale'): boolean {
  return tunnel.status().killswitch.reasons.includes(reason);
}

function pausedOf(tunnel: Tunnel): number {
  return tunnel.status().clients.reduce((sum, { pausedByKillswitch }) => sum + pausedByKillswitch, 0);
}

/** What the tunnel's UDP socket has sent, as the tunnel counts bytes and the other end of the line counts datagrams. */
function sent(provider: Sandbox, tunnel: Tunnel): { readonly datagrams: number; readonly bytes: number } {
  const { lost, passed } = provider.stats().link.toServer;
  return { datagrams: lost + passed, bytes: tunnel.status().tunnel.txBytes };
}

/** As `sent`, once both figures stand still: the tunnel's may be some 20 ms older, and an initiation between them would count for one alone. */
async function sentByNow(stage: Stage, provider: Sandbox, tunnel: Tunnel): Promise<ReturnType<typeof sent>> {
  for (let last = sent(provider, tunnel); ; ) {
    await stage.rest(STANDS_STILL_SECONDS);
    const now = sent(provider, tunnel);
    if (now.datagrams === last.datagrams && now.bytes === last.bytes) return now;
    last = now;
  }
}

/**
 * Both ends are asked what came: what WebTorrent counts as uploaded may wait in its sockets, as a late `unchoke` does (BEP 3). The peer
 * outside, slow on purpose, is not asked: what is sent to it shows in what it asks for next.
 */
async function expectStillness({ stage, swarm, torrent }: Cast): Promise<void> {
  const arrived = (): number => torrent.received + swarm.received();
  await stage.rest(SETTLE_SECONDS);
  const before = arrived();
  await stage.rest(WATCH_SECONDS);
  stage.expect('nothing flows while transfers pause', arrived() === before);
}

/** Resolves with the seconds until payload came again. */
async function resumed({ stage, tunnel, torrent }: Pick<Cast, 'stage' | 'tunnel' | 'torrent'>): Promise<number> {
  const before = torrent.received;
  return stage.until(
    'the download goes on',
    30,
    () => !tunnel.status().killswitch.engaged && !torrent.paused && torrent.received > before,
  );
}

function transfers(count: number): string {
  return count === 1 ? '1 transfer' : `${count} transfers`;
}
