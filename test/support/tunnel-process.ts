/**
 * One process of ours in a `ProviderWorld`: the tunnel's machine, the lease and the policy for torrent clients, with a shell around them
 * that keeps files in memory and looks names up in a table. What it tells goes to a watcher; it can die between any two words.
 */

import { type Endpoint, type IpAddress, ip, prefix } from '../../src/core/base/address.ts';
import type { Burst } from '../../src/core/base/burst.ts';
import { earliest, type Instant } from '../../src/core/base/instant.ts';
import { ClientPolicy, restoreMarkers, serialiseMarkers } from '../../src/core/guard/client-policy.ts';
import type { GuardSettings } from '../../src/core/guard/guard.ts';
import { restoreGuard, serialiseGuard } from '../../src/core/guard/memory.ts';
import type { ClientOrder } from '../../src/core/guard/policy.ts';
import type { ProberEvent, ProberSettings } from '../../src/core/guard/prober-messages.ts';
import { explain } from '../../src/core/guard/reasons.ts';
import type { ReconnectOutput } from '../../src/core/guard/reconnect.ts';
import type { SocketEvent } from '../../src/core/netstack/messages.ts';
import { NatPmpLease } from '../../src/core/portmap/lease.ts';
import type { TunnelConfiguration, TunnelEvent } from '../../src/core/tunnel/messages.ts';
import { TunnelMachine } from '../../src/core/tunnel/tunnel-machine.ts';
import { laterTimestamp } from '../../src/core/wireguard/timestamps.ts';
import { clientAddresses, GATEWAY_ADDRESSES } from '../../src/sandbox/addressing.ts';
import { type NearEnd, PORT, type Provider, type ProviderWorld } from './provider-world.ts';
import { SeededRandom } from './seeded-random.ts';
import { toyCrypto } from './toy-crypto.ts';

/** What outlives the process. */
export interface Disk {
  guard: string | undefined;
  paused: string | undefined;
  timestamp: Uint8Array | undefined;
}

/** The names of the servers, in the order of the configurations, and how the host's resolver does. */
export interface Names {
  addresses: (readonly IpAddress[])[];
  resolver: 'answers' | 'fails' | 'hangs';
}

export interface Command {
  readonly kind: 'pause' | 'resume';
  readonly transfer: string;
  readonly number: number;
}

export interface Watcher {
  ordered(order: ClientOrder): void;
  /** `undefined`: lost. */
  announced(port: number | undefined): void;
  commanded(command: Command): void;
  /** Another configuration is tried from now on. */
  identity(configuration: number): void;
  socketEvent(event: SocketEvent): void;
  probe(event: ProberEvent): void;
  /** Asked between any two outputs; true ends the process there. */
  dies(): boolean;
}

/** One that looks at some of it only. */
export function watching(parts: Partial<Watcher>): Watcher {
  const nothing = (): void => {};
  return {
    ordered: nothing,
    announced: nothing,
    commanded: nothing,
    identity: nothing,
    socketEvent: nothing,
    probe: nothing,
    dies: () => false,
    ...parts,
  };
}

export function emptyDisk(): Disk {
  return { guard: undefined, paused: undefined, timestamp: undefined };
}

export interface ProcessOptions {
  readonly world: ProviderWorld;
  readonly disk: Disk;
  readonly names: Names;
  readonly watcher: Watcher;
  readonly guard?: GuardSettings;
  readonly probe?: ProberSettings;
}

/** No round trip, lest an answer and a change of address meet in one moment. */
const LOOKUP_MS = 37;
const CHECK_MS = 200;
/** Where the forwarded port leads. */
export const INTERNAL_PORT = 40_000;

/** The `.conf` for this provider's only client. */
export function configurationFor(provider: Provider, world: ProviderWorld): TunnelConfiguration {
  const privateKey = world.random.bytes(32);
  const addresses = clientAddresses(0);
  provider.sandbox.addClient({ publicKey: toyCrypto.keyPair(privateKey).publicKey, addresses }, world.now);
  return {
    privateKey,
    peers: [
      {
        publicKey: provider.sandbox.publicKey,
        allowedIps: [prefix(ip('0.0.0.0'), 0), prefix(ip('::'), 0)],
        persistentKeepaliveSeconds: 25,
      },
    ],
    addresses,
    dnsServers: [GATEWAY_ADDRESSES[0]!],
    mtu: 1420,
  };
}

export class TunnelProcess implements NearEnd {
  readonly machine: TunnelMachine;
  readonly lease: NatPmpLease;
  readonly clients: ClientPolicy;
  readonly #options: ProcessOptions;
  /** Configurations that have been tried: an address of each is known. */
  readonly known: Set<number> = new Set();
  #configuration = 0;
  #dead = false;

  /** `configurations`: those of `configurationFor`, the first one and its fallbacks. */
  constructor(options: ProcessOptions, [first, ...fallbacks]: readonly TunnelConfiguration[]) {
    const { world, disk, guard = {}, probe } = options;
    this.#options = options;
    const random = new SeededRandom(world.random.u32());
    const gateway = GATEWAY_ADDRESSES[0]!;
    this.lease = new NatPmpLease({ provider: 'natpmp', gateway, internalPort: INTERNAL_PORT, random });
    this.clients = new ClientPolicy(restoreMarkers(disk.paused));
    this.machine = new TunnelMachine(
      {
        ...first!,
        fallbacks,
        crypto: toyCrypto,
        random,
        timestamp: () => this.#timestamp(),
        lease: this.lease,
        guard: { ...guard, memory: restoreGuard(disk.guard) },
        ...(probe ? { probe } : {}),
      },
      world.now,
    );
  }

  /** As `Tunnel.open` does. */
  start(): void {
    this.machine.start(this.#now);
  }

  end(): void {
    this.#dead = true;
    this.#options.world.near = undefined;
  }

  transmit(out: Burst, now: Instant): boolean {
    return this.machine.transmit(out, now);
  }

  handleBurst(burst: Burst, now: Instant): void {
    this.machine.handleBurst(burst, now);
  }

  handleTimeout(now: Instant): void {
    this.machine.handleTimeout(now);
    this.clients.handleTimeout(now);
  }

  nextTimeout(): Instant | undefined {
    return earliest(this.machine.nextTimeout(), this.clients.nextTimeout());
  }

  handleNoRoute(family: 4 | 6, now: Instant): void {
    this.machine.mutateReconnect((reconnect) => reconnect.handleNoRoute(family, now), now);
  }

  turn(): boolean {
    let busy = false;
    for (let event = this.machine.nextTunnelEvent(); event; event = this.machine.nextTunnelEvent()) {
      busy = true;
      if (this.#dies()) return true;
      this.#handle(event);
    }
    for (let event = this.machine.nextOutput(); event; event = this.machine.nextOutput()) {
      busy = true;
      this.#options.watcher.socketEvent(event);
    }
    for (let output = this.clients.nextOutput(); output; output = this.clients.nextOutput()) {
      busy = true;
      if (this.#dies()) return true;
      if (output.kind === 'remember') this.#options.disk.paused = serialiseMarkers(output.markers);
      else this.#options.watcher.commanded(output);
    }
    return busy;
  }

  get #now(): Instant {
    return this.#options.world.now;
  }

  #dies(): boolean {
    if (this.#options.watcher.dies()) this.end();
    return this.#dead;
  }

  #handle(event: TunnelEvent): void {
    const { disk, watcher } = this.#options;
    switch (event.kind) {
      case 'reconnect':
        this.#reconnect(event.output);
        return;
      case 'clients':
        watcher.ordered(event.order);
        this.clients.handleOrder(event.order, this.#now);
        return;
      case 'port-forward':
        if (event.event.kind === 'mapped') watcher.announced(event.event.port);
        else if (event.event.kind === 'lost') watcher.announced(undefined);
        return;
      case 'guard':
        if (event.output.kind === 'remember') disk.guard = serialiseGuard(event.output.memory);
        return;
      case 'probe':
        watcher.probe(event.event);
        return;
      case 'handshake-failed':
        if (event.reason === 'clock-implausible') this.#fault();
        return;
    }
  }

  #reconnect(output: ReconnectOutput): void {
    const { world, names, watcher } = this.#options;
    if (output.kind === 'check') {
      const { faults } = world.providers[output.configuration]!.sandbox;
      this.#answer(CHECK_MS, (reconnect) => reconnect.handleCheck(!faults.silent, this.#now));
    } else if (output.kind === 'try') {
      if (output.configuration !== this.#configuration) watcher.identity(output.configuration);
      this.#configuration = output.configuration;
      this.known.add(output.configuration);
      const endpoint: Endpoint = { address: output.address, port: PORT };
      world.reopen(output.address);
      this.machine.setEndpoint(this.machine.peers[0]!, endpoint, this.#now);
    } else if (names.resolver !== 'hangs') {
      const addresses = names.resolver === 'answers' ? names.addresses[output.configuration]! : undefined;
      this.#answer(LOOKUP_MS, (reconnect) =>
        addresses ? reconnect.handleAddresses(addresses, this.#now) : reconnect.handleLookupFailed(this.#now),
      );
    }
  }

  /** Answers a question of the search later. */
  #answer(delayMs: number, change: Parameters<TunnelMachine['mutateReconnect']>[0]): void {
    this.#options.world.plan(delayMs, () => {
      if (!this.#dead) this.machine.mutateReconnect(change, this.#now);
    });
  }

  #fault(): void {
    const fault = { ...explain('starting'), code: 'ERR_CLOCK', helpless: true };
    this.machine.mutateGuard((guard) => guard.handleFault(fault, this.#now), this.#now);
  }

  /** Strictly increasing over restarts, whatever the wall clock does. */
  #timestamp(): Uint8Array | undefined {
    const { world, disk } = this.#options;
    const wall = world.timestamp();
    if (!wall) return undefined;
    disk.timestamp = laterTimestamp(disk.timestamp, wall);
    return disk.timestamp;
  }
}
