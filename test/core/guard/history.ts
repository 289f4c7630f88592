/**
 * One random history of a tunnel, its provider, its torrent clients and the persons around them, from a seed: the real machines on one
 * side, `Model` on the other, compared at every moment. A fault in either throws with the seed and what happened before.
 */

import { ip } from '../../../src/core/base/address.ts';
import { u32le } from '../../../src/core/base/bytes.ts';
import type { Instant } from '../../../src/core/base/instant.ts';
import { restoreMarkers } from '../../../src/core/guard/client-policy.ts';
import { type LeakFinding, restoreGuard } from '../../../src/core/guard/memory.ts';
import { decodeNatPmpResponse } from '../../../src/core/wire/natpmp.ts';
import { NatPmpSwitches } from '../../../src/sandbox/natpmp-gateway.ts';
import { type Provider, ProviderWorld } from '../../support/provider-world.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import {
  type Command,
  configurationFor,
  type Disk,
  emptyDisk,
  type Names,
  TunnelProcess,
  type Watcher,
} from '../../support/tunnel-process.ts';
import { ATTEMPT_MS, Expectations, LOOKUP_MS, MAPPED_MS, RESUME_MS } from './expectations.ts';
import { FakeClients } from './fake-clients.ts';
import { HAPPENINGS, healClock, healGateway, healNames, healRoute, healServers, NO_ROUTE_MS } from './happenings.ts';
import { Model } from './model.ts';

const HAPPENINGS_PER_HISTORY = 60;
const TRACE_LENGTH = 60;
/** A second holder of the key is suspected until a session has lived for two minutes. */
const WELL_MS = 300_000;
const FINDING: LeakFinding = { family: 4, observed: '192.0.2.7', expected: ['203.0.113.0/24'], foundAtMs: 0 };

export class History implements Watcher {
  readonly seed: number;
  readonly world: ProviderWorld;
  readonly random: SeededRandom;
  readonly model: Model = new Model();
  readonly disk: Disk = emptyDisk();
  readonly names: Names = { addresses: [], resolver: 'answers' };
  readonly switches: NatPmpSwitches = new NatPmpSwitches();
  readonly clients: FakeClients;
  readonly expectations: Expectations = new Expectations(this);
  readonly #configurations: ReturnType<typeof configurationFor>[];
  readonly #trace: string[] = [];
  process!: TunnelProcess;
  #configuration = 0;
  #deathIn: number | undefined;
  #diedAt: number | undefined;
  #asleep = false;
  /** When the exit was last found to be right or wrong. */
  #judgedAt: number | undefined;
  /** By transfer: when a person spoke last. */
  readonly #spokenAt: Map<string, number> = new Map();

  constructor(seed: number) {
    this.seed = seed;
    this.world = new ProviderWorld(seed);
    this.random = this.world.random;
    this.clients = new FakeClients(this.world);
    const count = this.random.chance(0.4) ? 2 : 1;
    for (let i = 0; i < count; i++) this.#addProvider(i);
    this.#configurations = this.world.providers.map((provider) => configurationFor(provider, this.world));
    this.world.tap = {
      left: (bytes, _to, now) => this.model.left(bytes[0]!, u32le(bytes, 4), bytes.length, now),
      arrived: (bytes, now) => this.model.arrived(bytes[0]!, u32le(bytes, bytes[0] === 2 ? 8 : 4), now),
    };
    for (const id of ['a', 'b', 'c']) this.addTransfer(id);
    this.#begin();
  }

  get now(): number {
    return this.world.now;
  }

  /** Throws an Error that names the seed, the moment and what happened before. */
  run(): this {
    try {
      for (let i = 0; i < HAPPENINGS_PER_HISTORY; i++) {
        this.pass(this.#pause());
        this.#happen();
      }
      this.#leadOut();
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(
        `seed ${this.seed} at ${this.now} ms: ${what}\nreplay with SLUICE_SEED=${this.seed}\n${this.#trace.join('\n')}`,
        { cause: error },
      );
    }
    return this;
  }

  /** A summary that differs if anything went differently. */
  get digest(): string {
    return [this.now, this.random.u32(), [...this.clients.running].join(), this.lastPort].join();
  }

  lastPort: number | undefined;

  // What the process tells

  ordered(order: 'run' | 'leave' | 'pause'): void {
    this.note(`clients: ${order}`);
    this.model.settle(this.now);
    this.model.ordered(order);
  }

  announced(port: number | undefined): void {
    this.note(`port: ${port}`);
    if (port === undefined && this.#configurations.length === 1 && !this.#asleep) this.expectations.checkLoss();
    this.lastPort = port;
    this.model.announced(port);
  }

  identity(configuration: number): void {
    this.note(`configuration ${configuration}`);
    this.#configuration = configuration;
    this.model.identity(this.now);
  }

  socketEvent(): void {}

  probe(): void {}

  dies(): boolean {
    if (this.#deathIn === undefined || this.#deathIn-- > 0) return false;
    this.note('the process dies');
    this.#deathIn = undefined;
    this.#diedAt = this.now;
    return true;
  }

  commanded({ kind, transfer, number }: Command): void {
    this.note(`${kind} ${transfer}`);
    this.model.settle(this.now);
    this.model.commanded(kind, transfer, new Set(restoreMarkers(this.disk.paused).keys()));
    const { process } = this;
    const alive = (): boolean => this.world.near === process;
    const answer = (succeeded: boolean): void => {
      if (succeeded && alive()) this.model.obeyed(kind, transfer);
      if (alive()) process.clients.handleDone(transfer, number, succeeded, this.world.now);
    };
    // What a process said with its last breath arrives or not.
    this.clients.command(transfer, kind, answer, () => alive() || this.random.chance(0.5));
  }

  // What happens

  get guard() {
    return this.process.machine.guard;
  }

  get provider(): Provider {
    return this.world.providers[this.#configuration]!;
  }

  note(what: string): void {
    this.#trace.push(`${(this.now / 1_000).toFixed(3)} ${what}`);
    if (this.#trace.length > TRACE_LENGTH) this.#trace.shift();
  }

  pass(ms: number): void {
    this.world.runUntil(() => {
      this.#check();
      return false;
    }, ms);
  }

  leak(): void {
    this.#judgedAt = this.now;
    this.mutate((guard) => guard.handleProbe({ verdict: 'leak', finding: FINDING }, this.world.now));
    this.model.leak(this.now);
  }

  clean(findings: number = this.guard.findings): void {
    this.#judgedAt = this.now;
    const counts = findings === this.guard.findings;
    this.mutate((guard) => guard.handleProbe({ verdict: 'ok', family: 4, findings }, this.world.now));
    if (counts) this.model.leakEnds(this.now);
  }

  accept(): void {
    this.#judgedAt = this.now;
    this.mutate((guard) => guard.accept(this.world.now));
    this.model.leakEnds(this.now);
  }

  mutate(change: Parameters<TunnelProcess['machine']['mutateGuard']>[0]): void {
    this.process.machine.mutateGuard(change, this.world.now);
  }

  setEnabled(enabled: boolean): void {
    if (enabled) this.model.on(this.now);
    else this.model.off(this.now);
    this.process.machine.setEnabled(enabled, this.world.now);
  }

  addTransfer(id: string): void {
    const running = this.random.chance(0.7);
    this.clients.running.set(id, running);
    this.model.add(id, running, this.now);
    this.process?.clients.handleTransfer(id, running, this.world.now);
  }

  removeTransfer(id: string): void {
    this.clients.running.delete(id);
    this.model.remove(id);
    this.process.clients.handleRemoved(id);
  }

  /** By way of us: the client hears of it behind the commands that it was given before. */
  person(id: string, wish: 'pause' | 'resume'): void {
    this.note(`${wish} ${id}, says a person`);
    this.#spokenAt.set(id, this.now);
    this.model.person(id, wish, this.now);
    const { process } = this;
    this.clients.person(id, wish, () => {
      // A new process has seen it as it was before, and sees it change.
      if (this.process !== process) this.process.clients.handleTransfer(id, wish === 'resume', this.world.now);
    });
    process.clients.handlePerson(id, wish, this.world.now);
  }

  /** In the client's own window, where we see it a moment later. */
  personInClient(id: string, wish: 'pause' | 'resume'): void {
    if (!this.clients.isIdle(id) || this.clients.running.get(id) === (wish === 'resume')) return;
    // Our own pause that failed and a person's that follows cannot be told apart.
    if (wish === 'pause' && this.process.clients.markers.has(id)) return;
    this.note(`${wish} ${id}, seen in the client`);
    this.#spokenAt.set(id, this.now);
    this.clients.running.set(id, wish === 'resume');
    this.model.seen(id, wish === 'resume', this.now);
    this.process.clients.handleTransfer(id, wish === 'resume', this.world.now);
  }

  restart(): void {
    this.process.end();
    // What a client was told before arrives or not.
    this.pass(this.random.below(2) * this.random.below(60_000));
    this.#begin();
  }

  /** The process ends within the next few words that it has to say. */
  dieSoon(): void {
    this.#deathIn = this.random.below(6);
  }

  /** Nothing that is seen on waking is unexpected. */
  sleep(ms: number): void {
    this.#asleep = true;
    this.world.sleep(ms);
    this.#asleep = false;
    this.expectations.restartClocks();
    this.expectations.excuseAttempts(0);
  }

  #addProvider(index: number): void {
    const provider = this.world.addProvider(
      ip(`198.51.100.${2 + index}`),
      ip(`203.0.113.${10 + index}`),
      this.switches,
    );
    this.names.addresses.push([provider.address]);
    const { natpmp } = provider.sandbox;
    const handleRequest = natpmp.handleRequest.bind(natpmp);
    natpmp.handleRequest = (bytes, client, now) => {
      const answer = handleRequest(bytes, client, now);
      const response = answer && decodeNatPmpResponse(answer);
      if (response && typeof response !== 'string' && response.kind === 'map' && response.lifetimeSeconds > 0)
        if (response.result === 0 && index === this.#configuration)
          this.model.granted(response.protocol, response.externalPort, response.lifetimeSeconds, now);
      return answer;
    };
  }

  #begin(): void {
    this.#deathIn = undefined;
    this.#configuration = 0;
    const { world, disk, names } = this;
    const enabled = !this.model.reasons.has('user');
    const guard = { enabled, killswitch: this.model.killswitch };
    this.process = new TunnelProcess({ world, disk, names, watcher: this, guard }, this.#configurations);
    const { lease } = this.process;
    const handleDatagram = lease.handleDatagram.bind(lease);
    lease.handleDatagram = (bytes, from, now) => {
      const dropped = countOf(lease);
      handleDatagram(bytes, from, now);
      // What it did not take has told it nothing.
      if (countOf(lease) === dropped && isOfNow(bytes, this.provider, now)) this.model.gatewayHeard(now);
    };
    // What was found, or ended, at the very moment of death is on disk or is not.
    const unsure = this.#diedAt !== undefined && this.#diedAt === this.#judgedAt;
    const leaking = unsure ? restoreGuard(disk.guard).leaks.length > 0 : this.model.reasons.has('leak');
    const owed = new Set<string>();
    const freed = new Set<string>();
    for (const [id, phase] of restoreMarkers(disk.paused))
      if (phase === 'pausing' || !this.clients.running.get(id)) owed.add(id);
      else if (phase === 'paused') freed.add(id);
    this.model.restart(leaking, owed, freed, this.now);
    // A word that was said at the very moment of death was not heard.
    for (const id of owed)
      if (this.#diedAt !== undefined && this.#spokenAt.get(id) === this.#diedAt) this.model.unhear(id);
    this.#diedAt = undefined;
    this.note('the process begins');
    this.expectations.restartClocks();
    this.lastPort = undefined;
    world.near = this.process;
    if (enabled) this.process.start();
    for (const [id, running] of this.clients.running) this.process.clients.handleTransfer(id, running, world.now);
    this.expectations.excuseAttempts(0);
  }

  /** Mostly moments, now and then hours. */
  #pause(): number {
    const { random } = this;
    const kind = random.below(20);
    if (kind < 8) return random.below(1_000);
    if (kind < 14) return random.below(20_000);
    if (kind < 19) return random.below(120_000);
    return random.below(1_800_000);
  }

  #happen(): void {
    if (!this.world.near) this.restart();
    const [name, act] = HAPPENINGS[this.random.below(HAPPENINGS.length)]!;
    this.note(`— ${name}`);
    this.expectations.restartClocks();
    act(this);
    this.model.settle(this.now);
  }

  #check(): void {
    const { model, process, world } = this;
    model.settle(this.now);
    if (!world.near) return;
    const { policy, mayFlow } = process.machine.guard;
    model.check(policy.killswitch.reasons, mayFlow, this.now);
    model.checkPort(
      process.lease.served.map(({ port }) => port),
      this.now,
    );
    this.expectations.check();
  }

  /** Everything heals, a probe is clean, and persons want the tunnel: then it must come back, with everything. */
  #leadOut(): void {
    this.note('— everything heals');
    this.clients.fails = false;
    this.#deathIn = undefined;
    if (!this.world.near) this.restart();
    const told = this.random.chance(0.5);
    for (const act of [healServers, healNames, healClock, healGateway]) act(this);
    healRoute(this, told);
    if (this.model.reasons.has('user')) this.setEnabled(true);
    const limitMs = told ? ATTEMPT_MS + LOOKUP_MS : NO_ROUTE_MS + ATTEMPT_MS;
    this.#mustBe('connected', limitMs, () => !this.model.reasons.has('starting') && !this.model.reasons.has('stale'));
    this.clean();
    this.#mustBe('resumed', RESUME_MS, () =>
      [...this.clients.running].every(([id, runs]) => runs === this.model.transfers.get(id)!.wanted),
    );
    // A marker of a transfer that is gone does no harm.
    const owed = (): string[] => [...this.process.clients.markers.keys()].filter((id) => this.clients.running.has(id));
    this.#mustBe('at rest', RESUME_MS, () => owed().length === 0);
    this.#mustBe('mapped', MAPPED_MS, () => this.lastPort !== undefined);
    this.#mustBe('well', WELL_MS, () => this.guard.policy.state === 'connected');
  }

  #mustBe(what: string, limitMs: number, condition: () => boolean): void {
    const reached = this.world.runUntil(() => {
      this.#check();
      return condition();
    }, limitMs);
    if (!reached) throw new Error(`not ${what} ${limitMs} ms after everything was well`);
  }
}

/** How many datagrams the lease has dropped. */
function countOf({ drops }: TunnelProcess['lease']): number {
  return Object.values(drops.toJSON()).reduce((sum, count) => sum + count, 0);
}

/** Whether an answer is from after the gateway's latest restart. */
function isOfNow(bytes: Uint8Array, { sandbox }: Provider, now: Instant): boolean {
  const response = decodeNatPmpResponse(bytes);
  return typeof response !== 'string' && (response.epochSeconds ?? 0) <= sandbox.natpmp.epochSeconds(now);
}
