/**
 * How soon traffic is back once the server is: wireguard-go is killed, stays away for a while, and answers again at its address or at
 * another one behind the same name. One outage of each kind by default; SLUICE_DEEP=1 has twenty, of up to two minutes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { deep } from '../support/deep.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { Agent } from './agent.ts';
import { INNER, Lab, OUTER } from './lab.ts';

const NAME = 'vpn.sluice.test';
const ADDRESSES = [OUTER.server[4], '10.9.0.4'];
const LIMIT_MS = 20_000;

const labs: Lab[] = [];
afterAll(async () => {
  for (const lab of labs) {
    await lab.destroy();
    rmSync(hostsFolder(lab), { recursive: true, force: true });
  }
});

describe('an outage of wireguard-go', () => {
  it(`is over at most ${LIMIT_MS / 1000} s after the server answers again, at its own address or at another behind its name`, async () => {
    const seeds = Array.from({ length: deep(1, 5) }, (_, i) => i + 1);
    const recoveries = (await Promise.all(seeds.map((seed) => outages(seed, deep(2, 4))))).flat();
    const seconds = recoveries.map(({ ms }) => ms / 1000).sort((a, b) => a - b);
    console.log(`${seconds.length} outages: back after ${seconds.map((value) => value.toFixed(1)).join(', ')} s`);
    expect(recoveries.filter(({ ms }) => ms > LIMIT_MS)).toEqual([]);
    expect(recoveries).toHaveLength(deep(2, 20));
  }, 1_200_000);
});

interface Recovery {
  readonly kind: 'same address' | 'other address';
  readonly outageSeconds: number;
  readonly ms: number;
}

/** `count` outages of one tunnel, one after the other. */
async function outages(seed: number, count: number): Promise<Recovery[]> {
  const random = new SeededRandom(seed);
  const lab = await Lab.create();
  labs.push(lab);
  let address = 0;
  nameLeadsTo(lab, ADDRESSES[address]!);
  const peer = lab.agent(lab.server, 'peer.mjs');
  const client = lab.agent(lab.client, 'peer.mjs');
  const { port } = await peer.call<{ port: number }>('udpEcho', { host: '0.0.0.0' });
  await client.call('open', { conf: lab.conf({ endpoint: `${NAME}:${lab.port}` }) });
  await client.call('ask', { host: INNER.server[4], port });
  await heardAgain(client);
  const recoveries: Recovery[] = [];
  for (let i = 0; i < count; i++) {
    await sleep(3_000);
    const outageSeconds = 2 + random.below(deep(10, 120));
    const kind = i % 2 === 0 ? 'same address' : 'other address';
    await lab.killServer();
    await sleep(outageSeconds * 1_000);
    if (kind === 'other address') address = moveServer(lab, address);
    await lab.startServer();
    recoveries.push({ kind, outageSeconds, ms: await heardAgain(client) });
  }
  return recoveries;
}

/** Milliseconds until an answer comes that is not from before. */
async function heardAgain(client: Agent): Promise<number> {
  const from = performance.now();
  for (;;) {
    const waited = performance.now() - from;
    const { msAgo } = await client.call<{ msAgo: number | null }>('heard', {});
    if (msAgo !== null && msAgo < waited) return waited;
    if (waited > 3 * LIMIT_MS) return waited;
    await sleep(50);
  }
}

/** The server's other address takes the place of its present one, in the cable and in the name. */
function moveServer(lab: Lab, from: number): number {
  const to = 1 - from;
  const cable = `s${lab.server.slice(2)}`;
  // In this order: with the first address of a network the others of it go too.
  lab.ip('-n', lab.server, 'addr', 'del', `${ADDRESSES[from]}/24`, 'dev', cable);
  lab.ip('-n', lab.server, 'addr', 'add', `${ADDRESSES[to]}/24`, 'dev', cable);
  nameLeadsTo(lab, ADDRESSES[to]!);
  return to;
}

/** What the client's host resolves: `ip netns exec` puts this file in the place of /etc/hosts. */
function nameLeadsTo(lab: Lab, address: string): void {
  mkdirSync(hostsFolder(lab), { recursive: true });
  writeFileSync(`${hostsFolder(lab)}/hosts`, `127.0.0.1 localhost\n${address} ${NAME}\n`);
}

function hostsFolder(lab: Lab): string {
  return `/etc/netns/${lab.client}`;
}
