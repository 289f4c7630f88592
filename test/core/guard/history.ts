/**
 * One random history of a tunnel, its provider, its torrent clients and the persons around them, from a seed: the real machines on one
 * side, `Model` on the other, compared at every moment. A fault in either throws with the seed and what happened before.
 */

import { ip, sameIp } from '../../../src/core/base/address.ts';
import { u32le } from '../../../src/core/base/bytes.ts';
import { restoreMarkers } from '../../../src/core/guard/client-policy.ts';
import { type LeakFinding, restoreGuard } from '../../../src/core/guard/memory.ts';
import { decodeNatPmpResponse } from '../../../src/core/wire/natpmp.ts';
import { GATEWAY_ADDRESSES } from '../../../src/sandbox/addressing.ts';
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
import {
  HAPPENINGS,
  healClock,
  healGateway,
  healNames,
  healRoute,
  healServers,
  LOOKUP_MS,
  NO_ROUTE_MS,
} from './happenings.ts';
import { Model } from './model.ts';

const HAPPENINGS_PER_HISTORY = 60;
const TRACE_LENGTH = 60;
/** After the handshake: the wait for the port, and a client that is asked again after failures. */
const RESUME_MS = 45_000;
/** A gateway that refused for long is asked again after a minute and a fifth. */
const MAPPED_MS = 90_000;
/** A second holder of the key is suspected until a session has lived for two minutes. */
const WELL_MS = 300_000;
/** A server that answers, or might, is tried at least so often. */
const ATTEMPT_MS = 16_000;
const FINDING: LeakFinding = { family: 4, observed: '192.0.2.7', expected: ['203.0.113.0/24'], foundAtMs: 0 };

export class History implements Watcher {
  readonly seed: number;
  readonly world: ProviderWorld;
  readonly random: SeededRandom;
  readonly model: Model = new Model();
  readonly disk: Disk = emptyDisk();
  readonly names: Names = { addresses: [], resolver: 'answers' };
  readonly switches: NatPmpSwitches = new NatPmpSwitches();
  /** What the torrent clients really do. */
  readonly running: Map<string, boolean> = new Map();
  readonly #configurations: ReturnType<typeof configurationFor>[];
  readonly #trace: string[] = [];
  process!: TunnelProcess;
  #configuration = 0;
  clientFails = false;
  #deathIn: number | undefined;
  #diedAt: number | undefined;
  /** When something happened last. */
  #happenedAt = 0;
  #asleep = false;
  #heldSince = 0;
  #wellSince = 0;
  /** When the exit was last found to be right or wrong. */
  #judgedAt: number | undefined;
  /** By transfer: when a person spoke last. */
  readonly #spokenAt: Map<string, number> = new Map();
  /** By transfer: commands on their way, ours and a person's, which keep their order. */
  readonly #underWay: Map<string, number> = new Map();
  /** Since when nothing has kept attempts from following one another. */
  #smoothSince = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.world = new ProviderWorld(seed);
    this.random = this.world.random;
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
    return [this.now, this.random.u32(), [...this.running].join(), this.lastPort].join();
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
    const steady = this.#configurations.length === 1 && !this.#asleep;
    if (port === undefined && steady && this.now - Math.max(this.#wellSince, this.#happenedAt) > MAPPED_MS)
      throw new Error('the port is lost though nothing is wrong');
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
    this.#toClient(transfer, () => {
      const alive = this.world.near === process;
      // What a process said with its last breath arrives or not.
      if (!this.running.has(transfer) || (!alive && this.random.chance(0.5))) return;
      const succeeds = !(this.clientFails && this.random.chance(0.5));
      if (succeeds) this.running.set(transfer, kind === 'resume');
      if (succeeds && alive) this.model.obeyed(kind, transfer);
      if (alive) process.clients.handleDone(transfer, number, succeeds, this.world.now);
    });
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

  /** Something happens after which the next attempt may take a little longer, or so much. */
  disturb(ms: number = 0): void {
    this.#smoothSince = Math.max(this.#smoothSince, this.now + ms);
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
    this.running.set(id, running);
    this.model.add(id, running, this.now);
    this.process?.clients.handleTransfer(id, running, this.world.now);
  }

  removeTransfer(id: string): void {
    this.running.delete(id);
    this.model.remove(id);
    this.process.clients.handleRemoved(id);
  }

  /** By way of us: the client hears of it behind the commands that it was given before. */
  person(id: string, wish: 'pause' | 'resume'): void {
    this.note(`${wish} ${id}, says a person`);
    this.#spokenAt.set(id, this.now);
    this.model.person(id, wish, this.now);
    this.#toClient(id, () => {
      if (this.running.has(id)) this.running.set(id, wish === 'resume');
    });
    this.process.clients.handlePerson(id, wish, this.world.now);
  }

  /** In the client's own window, where we see it a moment later. */
  personInClient(id: string, wish: 'pause' | 'resume'): void {
    if (this.#underWay.has(id) || this.running.get(id) === (wish === 'resume')) return;
    // Our own pause that failed and a person's that follows cannot be told apart.
    if (wish === 'pause' && this.process.clients.markers.has(id)) return;
    this.note(`${wish} ${id}, seen in the client`);
    this.#spokenAt.set(id, this.now);
    this.running.set(id, wish === 'resume');
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
    this.#happenedAt = this.now;
    this.disturb();
  }

  someTransfer(): string | undefined {
    const ids = [...this.running.keys()];
    return ids[this.random.below(ids.length)];
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
      if (sameIp(from.address, GATEWAY_ADDRESSES[0]!)) this.model.gatewayHeard(now);
      handleDatagram(bytes, from, now);
    };
    // What was found, or ended, at the very moment of death is on disk or is not.
    const unsure = this.#diedAt !== undefined && this.#diedAt === this.#judgedAt;
    const leaking = unsure ? restoreGuard(disk.guard).leaks.length > 0 : this.model.reasons.has('leak');
    const owed = new Set<string>();
    const freed = new Set<string>();
    for (const [id, phase] of restoreMarkers(disk.paused))
      if (phase === 'pausing' || !this.running.get(id)) owed.add(id);
      else if (phase === 'paused') freed.add(id);
    this.model.restart(leaking, owed, freed, this.now);
    // A word that was said at the very moment of death was not heard.
    for (const id of owed)
      if (this.#diedAt !== undefined && this.#spokenAt.get(id) === this.#diedAt) this.model.unhear(id);
    this.#diedAt = undefined;
    this.note('the process begins');
    this.#happenedAt = this.now;
    this.lastPort = undefined;
    world.near = this.process;
    if (enabled) this.process.start();
    for (const [id, running] of this.running) this.process.clients.handleTransfer(id, running, world.now);
    this.disturb();
  }

  #toClient(transfer: string, act: () => void): void {
    this.#underWay.set(transfer, (this.#underWay.get(transfer) ?? 0) + 1);
    const delayMs = 20;
    this.world.plan(delayMs, () => {
      const left = this.#underWay.get(transfer)! - 1;
      if (left === 0) this.#underWay.delete(transfer);
      else this.#underWay.set(transfer, left);
      act();
    });
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
    this.#happenedAt = this.now;
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
    this.#checkAttempts();
    this.#checkHeld();
    if (!this.#isWell) this.#wellSince = this.now;
  }

  /** What the killswitch holds is held, as soon as the client has obeyed, failures included. */
  #checkHeld(): void {
    const held = this.model.order === 'pause' && !this.clientFails;
    if (!held) this.#heldSince = this.now;
    if (this.now - Math.max(this.#heldSince, this.#happenedAt) < RESUME_MS) return;
    for (const [id, running] of this.running)
      if (running && this.model.transfers.get(id)!.owed) throw new Error(`${id} runs though the killswitch holds it`);
  }

  /** Whether nothing is wrong at all. */
  get #isWell(): boolean {
    const { silent, loss } = this.provider.sandbox.faults;
    const { silent: mute, refuse, lie, delayMs } = this.switches;
    const gateway = !mute && !refuse && !lie && delayMs === 0;
    return gateway && !silent && loss === 0 && this.world.withoutRoute.size === 0 && this.model.reasons.size === 0;
  }

  /** Whoever needs a handshake asks for one again and again, unless that would be in vain. */
  #checkAttempts(): void {
    const { reasons } = this.model;
    const { resolver } = this.names;
    const wanted = (reasons.has('starting') || reasons.has('stale')) && !reasons.has('user');
    // While names cannot be looked up, the latest addresses are as good as any; of a fallback there may be none.
    const findable = resolver === 'answers' || (this.#configurations.length === 1 && this.process.known.size > 0);
    const possible = this.world.withoutRoute.size === 0 && findable && !Number.isNaN(this.world.wallOffsetMs);
    if (!wanted || !possible) this.disturb();
    const limitMs = resolver === 'answers' ? ATTEMPT_MS : ATTEMPT_MS + LOOKUP_MS;
    const sinceMs = this.now - Math.max(this.model.initiatedAt, this.#smoothSince);
    if (sinceMs > limitMs) throw new Error(`no attempt for ${sinceMs} ms`);
  }

  /** Everything heals, a probe is clean, and persons want the tunnel: then it must come back, with everything. */
  #leadOut(): void {
    this.note('— everything heals');
    this.clientFails = false;
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
      [...this.running].every(([id, runs]) => runs === this.model.transfers.get(id)!.wanted),
    );
    // A marker of a transfer that is gone does no harm.
    const owed = (): string[] => [...this.process.clients.markers.keys()].filter((id) => this.running.has(id));
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
