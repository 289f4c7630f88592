/** What can happen to a tunnel, its provider and its torrent clients, and how each of it heals: the material of `History`. */

import { ip } from '../../../src/core/base/address.ts';
import { NatPmpSwitches } from '../../../src/sandbox/natpmp-gateway.ts';
import { LOOKUP_MS } from './expectations.ts';
import type { History } from './history.ts';

/** While the host believes to have no route and nobody tells it otherwise, it looks again after so long. */
export const NO_ROUTE_MS = 300_000;

export function healServers({ world }: History): void {
  for (const provider of world.providers) provider.heal();
}

export function healNames(history: History): void {
  history.names.addresses = history.world.providers.map(({ address }) => [address]);
  // A look-up that hangs is given up before there is another.
  if (history.names.resolver !== 'answers') history.expectations.excuseAttempts(LOOKUP_MS);
  history.names.resolver = 'answers';
}

export function healClock(history: History): void {
  history.world.wallOffsetMs = 0;
  history.expectations.excuseAttempts(0);
}

export function healGateway({ switches }: History): void {
  Object.assign(switches, new NatPmpSwitches());
}

/** The host has routes again, and is told so or finds out. */
export function healRoute(history: History, told: boolean): void {
  const had = history.world.withoutRoute.size === 0;
  history.world.withoutRoute.clear();
  if (told) tellNetworkChange(history);
  history.expectations.excuseAttempts(had || told ? 0 : NO_ROUTE_MS);
}

/** What can happen, by name; more often what is there more than once. */
export const HAPPENINGS: readonly (readonly [string, (history: History) => void])[] = [
  ['nothing', () => {}],
  ['the server is silent', ({ provider }) => provider.silence()],
  [
    'every server is silent',
    ({ world }) => {
      for (const provider of world.providers) provider.silence();
    },
  ],
  ['servers answer', healServers],
  ['servers answer', healServers],
  [
    'the server is a new process',
    ({ provider, model, world }) => {
      // A gateway that has just begun has no past that could be missed.
      if (provider.sandbox.natpmp.epochSeconds(world.now) > 60) model.tableLost();
      provider.sandbox.restart(world.now);
    },
  ],
  [
    'the server moves, and its name follows',
    (history) => {
      const { provider, names, random } = history;
      provider.address = ip(`198.51.100.${10 + random.below(200)}`);
      names.addresses = history.world.providers.map(({ address }) => [address]);
    },
  ],
  [
    'the line loses datagrams',
    ({ provider, random }) => {
      provider.sandbox.faults.loss = random.below(60) / 100;
    },
  ],
  ['there is no route', ({ world }) => void world.withoutRoute.add(4)],
  ['there is a route, without a word', (history) => healRoute(history, false)],
  ['there is a route', (history) => healRoute(history, true)],
  ['the network changes', (history) => healRoute(history, true)],
  [
    'names cannot be looked up',
    ({ names, random }) => {
      names.resolver = random.chance(0.5) ? 'fails' : 'hangs';
    },
  ],
  ['names can be looked up', healNames],
  [
    'the gateway is silent',
    ({ switches }) => {
      switches.silent = true;
    },
  ],
  [
    'the gateway refuses',
    ({ switches, random }) => {
      switches.refuse = (['not-authorized', 'network-failure', 'out-of-resources'] as const)[random.below(3)]!;
    },
  ],
  [
    'the gateway lies',
    ({ switches, random }) => {
      switches.lie = random.chance(0.5) ? 'source' : 'internal-port';
    },
  ],
  [
    'the gateway is slow',
    ({ switches, random }) => {
      switches.delayMs = random.below(10_000);
    },
  ],
  ['the gateway is well', healGateway],
  ['the gateway is well', healGateway],
  [
    'the gateway starts again, and has no port left',
    ({ provider, switches, model, world }) => {
      if (provider.sandbox.natpmp.epochSeconds(world.now) > 60) model.tableLost();
      provider.sandbox.natpmp.restart(world.now);
      switches.refuse = 'out-of-resources';
    },
  ],
  ['the gateway takes the port away', ({ provider, world }) => provider.sandbox.natpmp.changePort(world.now)],
  [
    'the listener moves',
    ({ process, random, world }) =>
      process.machine.mutateLease((lease) => lease.setInternalPort(1_024 + random.below(60_000), world.now), world.now),
  ],
  ['a leak is found', (history) => history.leak()],
  ['a probe is clean', (history) => history.clean()],
  ['a probe is clean', (history) => history.clean()],
  ['a probe that began long ago is clean', (history) => history.clean(history.guard.findings - 1)],
  [
    'a probe fails',
    (history) =>
      history.mutate((guard) =>
        guard.handleProbe({ verdict: 'unknown', family: 4, findings: guard.findings }, history.world.now),
      ),
  ],
  ['a person accepts the exit', (history) => history.accept()],
  ['a person switches the VPN off', (history) => history.setEnabled(false)],
  ['a person switches the VPN on', (history) => history.setEnabled(true)],
  ['a person switches the VPN on', (history) => history.setEnabled(true)],
  [
    'a person switches the killswitch',
    (history) => {
      const on = !history.model.killswitch;
      history.model.switchKillswitch(on, history.now);
      history.mutate((guard) => guard.setKillswitch(on, history.world.now));
    },
  ],
  ['a person pauses', (history) => withTransfer(history, (id) => history.person(id, 'pause'))],
  ['a person resumes', (history) => withTransfer(history, (id) => history.person(id, 'resume'))],
  ['a person pauses in the client', (history) => withTransfer(history, (id) => history.personInClient(id, 'pause'))],
  ['a person resumes in the client', (history) => withTransfer(history, (id) => history.personInClient(id, 'resume'))],
  [
    'a transfer is added',
    (history) => {
      if (history.clients.running.size < 6) history.addTransfer(`t${history.random.u32()}`);
    },
  ],
  ['a transfer is removed', (history) => withTransfer(history, (id) => history.removeTransfer(id))],
  [
    'the client fails, or not',
    (history) => {
      history.clients.fails = !history.clients.fails;
    },
  ],
  ['the process restarts', (history) => history.restart()],
  ['the process dies soon', (history) => history.dieSoon()],
  [
    'the clock steps',
    ({ world, random }) => {
      world.wallOffsetMs = (random.below(172_800) - 86_400) * 1_000;
    },
  ],
  [
    'the clock is lost',
    ({ world }) => {
      world.wallOffsetMs = Number.NaN;
    },
  ],
  ['the clock is set', healClock],
  [
    'the host sleeps',
    (history) => {
      history.sleep(1_000 + history.random.below(3 * 3_600_000));
      tellNetworkChange(history);
    },
  ],
];

/** The shell sees other addresses, or that its clock has jumped. */
function tellNetworkChange({ world, process }: History): void {
  if (world.near && process.machine.guard.policy.state !== 'disabled') process.machine.handleNetworkChange(world.now);
}

function withTransfer(history: History, act: (id: string) => void): void {
  const id = history.clients.some();
  if (id !== undefined) act(id);
}
