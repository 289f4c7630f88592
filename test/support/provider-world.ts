/**
 * Providers in boxes, the internet behind them and a line to them that can fail in every way, on a virtual clock. The end that a test
 * is about has the line's near side; it sleeps, wakes and is replaced as a process is.
 */

import { type Endpoint, formatIp, type IpAddress, ip, sameIp } from '../../src/core/base/address.ts';
import { Burst } from '../../src/core/base/burst.ts';
import { after, earliest, type Instant, instant } from '../../src/core/base/instant.ts';
import { tai64n } from '../../src/core/wireguard/timestamps.ts';
import { EXIT_ADDRESSES } from '../../src/sandbox/addressing.ts';
import { DelayQueue } from '../../src/sandbox/delay-queue.ts';
import type { NatPmpSwitches } from '../../src/sandbox/natpmp-gateway.ts';
import { SandboxMachine } from '../../src/sandbox/sandbox-machine.ts';
import { SeededRandom } from './seeded-random.ts';
import { toyCrypto } from './toy-crypto.ts';

/** What has the near end of the line: `TunnelMachine`, and what a shell does around it. */
export interface NearEnd {
  transmit(out: Burst, now: Instant): boolean;
  handleBurst(burst: Burst, now: Instant): void;
  handleTimeout(now: Instant): void;
  nextTimeout(): Instant | undefined;
  /** The host has no route to the family of what was just sent. */
  handleNoRoute(family: 4 | 6, now: Instant): void;
  /** Takes what has happened. True if it had something to do. */
  turn(now: Instant): boolean;
}

/** Who reads along on the line: what left, whether or not it arrives, and what arrived. */
export interface Tap {
  left(bytes: Uint8Array, to: Endpoint, now: Instant): void;
  arrived(bytes: Uint8Array, now: Instant): void;
}

/** A VPN server with its own network behind it. */
export class Provider {
  readonly sandbox: SandboxMachine;
  /** Where it listens. */
  address: IpAddress;

  constructor(world: ProviderWorld, address: IpAddress, exit: IpAddress, natpmp: NatPmpSwitches) {
    this.address = address;
    this.sandbox = new SandboxMachine(
      {
        crypto: toyCrypto,
        random: world.random,
        timestamp: world.timestamp,
        exitAddresses: [exit, EXIT_ADDRESSES[1]!],
        natpmp,
      },
      world.now,
    );
    this.heal();
  }

  /** It neither hears nor says anything. */
  silence(): void {
    this.sandbox.faults.silent = true;
  }

  /** It answers again, over a good line. */
  heal(): void {
    this.sandbox.faults.clear();
    this.sandbox.faults.delayMs = ONE_WAY_MS;
  }
}

export const PORT = 51_820;
const ONE_WAY_MS = 15;
const NEAR_ADDRESS = ip('192.0.2.1');
/** Unix seconds of virtual time 0. */
const EPOCH_SECONDS = 1_790_000_000;

export class ProviderWorld {
  now: Instant = instant(1_000_000);
  readonly random: SeededRandom;
  readonly providers: Provider[] = [];
  near: NearEnd | undefined;
  /** Whoever else acts in it: called whenever something may have happened; true if they had something to do. */
  readonly parties: (() => boolean)[] = [];
  tap: Tap | undefined;
  /** Families that the host has no route for. */
  readonly withoutRoute: Set<4 | 6> = new Set();
  /** By how much the wall clock is off; NaN if it is not set at all. */
  wallOffsetMs = 0;
  #asleepUntil: Instant | undefined;
  /** The near end's socket: as a connected one, it hears of nobody else than whom it speaks to. */
  #near: Endpoint = { address: NEAR_ADDRESS, port: 40_000 };
  #connectedTo: IpAddress | undefined;
  readonly #plans: DelayQueue<() => void> = new DelayQueue();
  readonly #burst: Burst = new Burst();
  readonly #arriving: Burst = new Burst();

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  /** A wall clock as TAI64N; `undefined` while it is implausible. */
  readonly timestamp = (): Uint8Array | undefined => {
    const wallMs = EPOCH_SECONDS * 1000 + this.now + this.wallOffsetMs;
    return Number.isNaN(wallMs) ? undefined : tai64n(Math.floor(wallMs / 1000), Math.floor((wallMs % 1000) * 1e6));
  };

  addProvider(address: IpAddress, exit: IpAddress, natpmp: NatPmpSwitches): Provider {
    const provider = new Provider(this, address, exit, natpmp);
    this.providers.push(provider);
    return provider;
  }

  /** The near end closes its socket and opens another: what is on its way to the old one is lost. */
  reopen(to: IpAddress): void {
    this.#near = { address: NEAR_ADDRESS, port: this.#near.port + 1 };
    this.#connectedTo = to;
  }

  /** Does `act` so much later. */
  plan(delayMs: number, act: () => void): void {
    this.#plans.push(act, after(this.now, delayMs));
  }

  /** The host sleeps: its clock goes on, nothing runs, and what is sent to it is lost. */
  sleep(ms: number): void {
    this.#asleepUntil = after(this.now, ms);
    this.run(ms);
  }

  run(ms: number): void {
    this.runUntil(() => false, ms);
  }

  /** Lets time pass until the condition holds. False if it does not within the limit. */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    const end = after(this.now, limitMs);
    for (;;) {
      this.#settle();
      if (condition()) return true;
      const next = this.#nextTimeout();
      if (next === undefined || next > end) {
        this.now = end;
        return condition();
      }
      if (next > this.now) this.now = next;
      this.#fire();
    }
  }

  get #awake(): NearEnd | undefined {
    return this.#asleepUntil === undefined ? this.near : undefined;
  }

  #settle(): void {
    for (let rounds = 0, busy = true; busy; rounds++) {
      if (rounds > 10_000) throw new Error('the world does not come to rest');
      busy = this.#carryOut();
      for (const provider of this.providers) busy = this.#carryIn(provider) || busy;
      busy = this.#awake?.turn(this.now) || busy;
      for (const party of this.parties) busy = party() || busy;
    }
  }

  #carryOut(): boolean {
    const burst = this.#burst;
    burst.clear();
    const more = this.#awake?.transmit(burst, this.now) ?? false;
    const unroutable = new Set<4 | 6>();
    for (let i = 0; i < burst.count; i++) {
      const to = burst.endpoints[i]!;
      this.tap?.left(burst.datagram(i), to, this.now);
      const provider = this.providers.find(({ address }) => sameIp(address, to.address));
      if (this.withoutRoute.has(to.address.family)) unroutable.add(to.address.family);
      else if (provider && to.port === PORT) {
        this.#arriving.clear();
        this.#arriving.append(burst.datagram(i), this.#near);
        provider.sandbox.handleBurst(this.#arriving, this.now);
      }
    }
    for (const family of unroutable) this.#awake?.handleNoRoute(family, this.now);
    return more || burst.count > 0;
  }

  #carryIn({ sandbox, address }: Provider): boolean {
    const burst = this.#burst;
    burst.clear();
    const more = sandbox.transmit(burst, this.now);
    for (let i = 0; i < burst.count; i++) {
      const near = this.#awake;
      if (!near || !this.#connectedTo || !sameIp(address, this.#connectedTo)) continue;
      if (this.withoutRoute.has(address.family) || burst.endpoints[i]?.port !== this.#near.port) continue;
      this.tap?.arrived(burst.datagram(i), this.now);
      this.#arriving.clear();
      this.#arriving.append(burst.datagram(i), { address, port: PORT });
      near.handleBurst(this.#arriving, this.now);
    }
    return more || burst.count > 0;
  }

  #nextTimeout(): Instant | undefined {
    let next = earliest(this.#plans.nextTimeout(), this.#asleepUntil ?? this.near?.nextTimeout());
    for (const { sandbox } of this.providers) next = earliest(next, sandbox.nextTimeout());
    return next;
  }

  #fire(): void {
    const due = (at: Instant | undefined): boolean => at !== undefined && at <= this.now;
    for (const { sandbox, address } of this.providers) {
      if (!due(sandbox.nextTimeout())) continue;
      sandbox.handleTimeout(this.now);
      if (due(sandbox.nextTimeout())) throw new Error(`the provider at ${formatIp(address)} makes no progress`);
    }
    if (due(this.#asleepUntil)) this.#asleepUntil = undefined;
    if (due(this.#awake?.nextTimeout())) {
      this.near!.handleTimeout(this.now);
      if (due(this.near!.nextTimeout())) throw new Error('the tunnel makes no progress');
    }
    for (let plan = this.#plans.take(this.now); plan; plan = this.#plans.take(this.now)) plan();
  }
}
