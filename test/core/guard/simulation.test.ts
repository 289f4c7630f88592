/**
 * Guard and client policy against a reference model, in random histories of everything that can happen to them: silence, healing,
 * leaks, persons, restarts at any moment, clients that fail, clocks that step (issue acceptance: 10,000 runs under SLUICE_DEEP=1).
 */
import { describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { ClientPolicy, restoreMarkers, serialiseMarkers } from '../../../src/core/guard/client-policy.ts';
import { Guard } from '../../../src/core/guard/guard.ts';
import { type LeakFinding, restoreGuard, serialiseGuard } from '../../../src/core/guard/memory.ts';
import { deep } from '../../support/deep.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { ReferenceModel } from './reference-model.ts';

const finding: LeakFinding = { family: 4, observed: '192.0.2.7', expected: [], foundAtMs: 0 };

class World {
  now: Instant = instant(1_000_000);
  readonly model = new ReferenceModel();
  readonly random: SeededRandom;
  guard: Guard;
  clients: ClientPolicy = new ClientPolicy();
  /** What the torrent client really does. */
  readonly running: Map<string, boolean> = new Map();
  /** What is on disk. */
  guardFile: string | undefined;
  markerFile: string | undefined;
  /** Commands on their way to the client, oldest first. */
  commands: { kind: 'pause' | 'resume'; transfer: string; number: number }[] = [];
  clientFails = false;
  unansweredSince: Instant | undefined;
  receivedAt: Instant | undefined;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.guard = new Guard();
    for (const id of ['a', 'b', 'c']) this.add(id);
    this.settle();
  }

  add(id: string): void {
    const wanted = this.random.chance(0.7);
    this.running.set(id, wanted);
    this.model.add(id, wanted);
    this.clients.handleTransfer(id, wanted, this.now);
  }

  /** Drains both machines as a shell does; dies before a random output if `crash`. */
  settle(crash = false): void {
    for (let output = this.guard.nextOutput(); output; output = this.guard.nextOutput()) {
      if (crash && this.random.chance(0.3)) return;
      if (output.kind === 'remember') this.guardFile = serialiseGuard(output.memory);
      if (output.kind === 'released')
        this.check(this.model.reasons.size === 0 || !this.model.killswitch, 'released with a reason set');
    }
    this.clients.handleOrder(this.guard.policy.clients, this.now);
    for (let output = this.clients.nextOutput(); output; output = this.clients.nextOutput()) {
      if (crash && this.random.chance(0.3)) return;
      if (output.kind === 'remember') this.markerFile = serialiseMarkers(output.markers);
      else this.command(output);
    }
  }

  command(command: World['commands'][number]): void {
    const { kind, transfer } = command;
    if (kind === 'resume') this.check(this.guard.policy.killswitch.reasons.length === 0, 'resume with a reason set');
    this.check(this.clients.markers.has(transfer), `${kind} of an unmarked transfer`);
    this.check(restoreMarkers(this.markerFile).has(transfer), `${kind} of a transfer whose marker is not on disk`);
    this.commands.push(command);
  }

  /** The client takes the oldest command. */
  answer(): void {
    const command = this.commands.shift();
    if (!command) return;
    const fails = this.clientFails && this.random.chance(0.5);
    if (!fails) this.running.set(command.transfer, command.kind === 'resume');
    this.clients.handleDone(command.transfer, command.number, !fails, this.now);
    this.settle();
  }

  /** Time passes; timers fire on the way, at their moment or late. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (let due = this.due(); due !== undefined && due <= end; due = this.due()) {
      this.now = instant(Math.max(this.now, due));
      this.guard.handleTimeout(this.now);
      this.clients.handleTimeout(this.now);
      this.settle();
    }
    this.now = instant(end);
  }

  due(): Instant | undefined {
    const [a, b] = [this.guard.nextTimeout(), this.clients.nextTimeout()];
    return a === undefined ? b : b === undefined ? a : instant(Math.min(a, b));
  }

  handshake(): void {
    this.unansweredSince = undefined;
    this.receivedAt = this.now;
    this.guard.handleHandshake(this.now);
    this.model.reasons.delete('starting');
    this.model.reasons.delete('stale');
  }

  link(): void {
    this.guard.handleLink(
      { lastReceivedAt: this.receivedAt, initiationUnansweredSince: this.unansweredSince },
      this.now,
    );
  }

  person(resume: boolean): void {
    const id = this.someTransfer();
    // The client does what the person says behind the commands that it has.
    while (this.commands.length > 0) this.answer();
    this.running.set(id, resume);
    this.clients.handlePerson(id, resume ? 'resume' : 'pause', this.now);
    this.model.person(id, resume);
  }

  restart(): void {
    // Commands that were on their way arrive, or not.
    for (const { kind, transfer } of this.commands.splice(0))
      if (this.random.chance(0.5)) this.running.set(transfer, kind === 'resume');
    const enabled = !this.model.reasons.has('user');
    const { killswitch } = this.model;
    this.guard = new Guard({ memory: restoreGuard(this.guardFile), enabled, killswitch });
    this.clients = new ClientPolicy(restoreMarkers(this.markerFile));
    this.unansweredSince = undefined;
    this.model.restart();
    // A finding, or its end, that was not on disk yet when the process ended was never told either.
    if (this.guard.policy.killswitch.reasons.includes('leak')) this.model.reasons.add('leak');
    else this.model.reasons.delete('leak');
    for (const [id, running] of this.running) this.clients.handleTransfer(id, running, this.now);
  }

  someTransfer(): string {
    return ['a', 'b', 'c'][this.random.below(3)]!;
  }

  /** Everything arrives, and guard and clients are where the model is. */
  compare(): void {
    this.clientFails = false;
    this.settle();
    for (let i = 0; i < 100 && (this.commands.length > 0 || this.clients.nextTimeout() !== undefined); i++) {
      while (this.commands.length > 0) this.answer();
      this.pass(1_000);
      this.model.settle();
    }
    this.syncStale();
    this.model.settle();
    while (this.commands.length > 0) this.answer();
    const { reasons } = this.guard.policy.killswitch;
    expect(new Set(reasons)).toEqual(this.model.reasons);
    expect(this.guard.mayFlow).toBe(this.model.mayFlow);
    expect(this.guard.policy.clients).toBe(this.model.order);
  }

  /** Staleness comes with time; the model takes it where its own rule says so. */
  syncStale(): void {
    if (this.guard.policy.killswitch.reasons.includes('stale')) this.model.reasons.add('stale');
  }

  check(holds: boolean, law: string): void {
    if (!holds) throw new Error(law);
  }
}

/** What can happen, by name. */
const EVENTS: Readonly<Record<string, (world: World) => void>> = {
  time: (world) => world.pass(world.random.below(60_000)),
  silence: (world) => {
    world.unansweredSince ??= world.now;
    world.link();
  },
  packet: (world) => {
    world.receivedAt = world.now;
    world.link();
  },
  heal: (world) => world.handshake(),
  identity: (world) => {
    world.guard.handleIdentity(world.now);
    world.model.reasons.add('starting');
    world.unansweredSince = undefined;
  },
  leak: (world) => {
    world.guard.handleProbe({ verdict: 'leak', finding }, world.now);
    world.model.reasons.add('leak');
  },
  clean: (world) => {
    world.guard.handleProbe({ verdict: 'ok', family: 4, findings: world.guard.findings }, world.now);
    world.model.reasons.delete('leak');
  },
  'failed probe': (world) =>
    world.guard.handleProbe({ verdict: 'unknown', family: 4, findings: world.guard.findings }, world.now),
  accept: (world) => {
    world.guard.accept(world.now);
    world.model.reasons.delete('leak');
  },
  off: (world) => {
    world.guard.setEnabled(false, world.now);
    world.model.reasons.add('user');
  },
  on: (world) => {
    if (world.model.reasons.delete('user')) {
      world.model.reasons.add('starting');
      world.unansweredSince = undefined;
    }
    world.guard.setEnabled(true, world.now);
  },
  killswitch: (world) => {
    world.model.killswitch = !world.model.killswitch;
    world.guard.setKillswitch(world.model.killswitch, world.now);
  },
  pause: (world) => world.person(false),
  resume: (world) => world.person(true),
  restart: (world) => world.restart(),
  'client fails': (world) => {
    world.clientFails = !world.clientFails;
  },
  'client answers': (world) => world.answer(),
  'clock steps back': (world) => {
    world.now = instant(Math.max(1_000_000, world.now - world.random.below(10_000)));
  },
  sleep: (world) => {
    world.now = instant(world.now + world.random.below(8 * 3_600_000));
  },
};

const NAMES = Object.keys(EVENTS);

function run(seed: number): void {
  const world = new World(seed);
  for (let step = 0; step < 60; step++) {
    const name = NAMES[world.random.below(NAMES.length)]!;
    EVENTS[name]!(world);
    world.syncStale();
    world.model.settle();
    world.settle();
    world.syncStale();
    world.model.settle();
  }
  world.compare();
  for (const [id, running] of world.running) {
    // A command that had not succeeded when transfers were to be left alone is not said again before that ends.
    const phase = world.clients.markers.get(id);
    const unfinished = world.model.order === 'leave' && (phase === 'pausing' || phase === 'resuming');
    if (!unfinished) expect(running, `seed ${seed}: ${id}`).toBe(world.model.runs(id));
  }
}

/** From wherever a history ended, a restart included, the ways out lead out. */
function leadOut(seed: number): void {
  const world = new World(seed);
  for (let step = 0; step < 40; step++) {
    EVENTS[NAMES[world.random.below(NAMES.length)]!]!(world);
    world.syncStale();
    world.model.settle();
    const crash = world.random.chance(0.1);
    world.settle(crash);
    if (crash) {
      world.restart();
      world.settle();
    }
  }
  for (const way of ['on', 'heal', 'clean']) EVENTS[way]!(world);
  world.settle();
  world.clientFails = false;
  for (let i = 0; i < 100 && (world.commands.length > 0 || world.clients.nextTimeout() !== undefined); i++) {
    while (world.commands.length > 0) world.answer();
    if (world.clients.nextTimeout() !== undefined) world.pass(1_000);
  }
  expect(world.guard.mayFlow, `seed ${seed}`).toBe(true);
  expect(world.clients.markers.size, `seed ${seed}`).toBe(0);
}

describe('guard and client policy', () => {
  it('end every history where the reference model does, with no resume while a reason is set and no unmarked transfer touched', () => {
    for (let seed = 1; seed <= deep(400, 10_000); seed++) run(seed);
  });

  it('have a way out of every state, after any number of crashes at any moment', () => {
    for (let seed = 1; seed <= deep(400, 10_000); seed++) leadOut(seed);
  });

  it('keep the laws of a machine', () => {
    checkLaws({
      create: (seed) => {
        const world = new World(seed);
        return {
          handleTimeout: (now) => {
            world.guard.handleTimeout(now);
            world.clients.handleTimeout(now);
          },
          nextTimeout: () => world.due(),
          nextOutput: () => world.guard.nextOutput() ?? world.clients.nextOutput(),
          handleBytes: () => {},
          act: (choice, now) => {
            world.now = now;
            const { guard, clients } = world;
            const acts: readonly (() => void)[] = [
              () => guard.handleHandshake(now),
              () => guard.handleLink({ lastReceivedAt: now, initiationUnansweredSince: now }, now),
              () => guard.handleIdentity(now),
              () => guard.handleProbe({ verdict: 'leak', finding }, now),
              () => guard.accept(now),
              () => guard.setEnabled(choice % 2 === 0, now),
              () => clients.handleOrder((['run', 'leave', 'pause'] as const)[choice % 3]!, now),
              () => clients.handleTransfer(`${choice % 7}`, choice % 2 === 0, now),
              () => clients.handlePerson(`${choice % 7}`, choice % 2 === 0 ? 'pause' : 'resume', now),
              () => clients.handleDone(`${choice % 7}`, choice % 50, choice % 2 === 0, now),
            ];
            acts[(choice >>> 8) % acts.length]!();
          },
        };
      },
      seeds: 30,
    });
  });
});
