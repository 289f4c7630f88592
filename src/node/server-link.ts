/**
 * Carries out what the search for a server asks for (core/guard/reconnect.ts): looks up the names in `Endpoint`, opens the port, tries a
 * server on the side. When and in which order is the core's to say.
 */

import type { Endpoint, IpAddress } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { type ErrorCode, SluiceError } from '../core/base/errors.ts';
import type { ReconnectOutput } from '../core/guard/reconnect.ts';
import { exitIndex, type TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { Peer } from '../core/wireguard/device.ts';
import type { Clock } from './clock.ts';
import { resolveEndpoint } from './endpoint.ts';
import type { EngineLoop } from './engine-loop.ts';
import { NetworkWatch } from './network-watch.ts';
import { serverAnswers } from './server-check.ts';
import type { TimestampState } from './timestamp-state.ts';
import type { OpenUdpPort } from './udp-port.ts';

export interface ServerLinkOptions {
  readonly machine: TunnelMachine;
  readonly loop: EngineLoop;
  /** The first one and its fallbacks, with the timestamps of each one's key. */
  readonly configurations: readonly { readonly wireguard: WireGuardConfig; readonly timestamps: TimestampState }[];
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly openUdpPort: OpenUdpPort;
  /** What keeps the tunnel from coming up just now. */
  readonly onFault: (code: ErrorCode, message: string) => void;
  /** The server is tried at this address now. */
  readonly onEndpoint: (endpoint: Endpoint) => void;
}

/** The system's words for "from here there is no way to that address". */
const NO_ROUTE = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'ENETDOWN']);

export class ServerLink {
  readonly #options: ServerLinkOptions;
  readonly #closing = new AbortController();
  readonly #watch: NetworkWatch;
  /** Of the configuration looked up last: where its other peers are. */
  #others: ReadonlyMap<number, Endpoint> = new Map();
  #servers: ReadonlyMap<Peer, Endpoint> | undefined;
  /** Ports are opened one after the other. */
  #opening: Promise<void> = Promise.resolve();

  constructor(options: ServerLinkOptions) {
    this.#options = options;
    this.#watch = new NetworkWatch(options.clock, () => this.#handleNetworkChange());
  }

  handle(output: ReconnectOutput): void {
    switch (output.kind) {
      case 'resolve':
        void this.#resolve(output.configuration);
        return;
      case 'try':
        this.#try(output.configuration, output.address);
        return;
      case 'check':
        void this.#check(output.configuration);
        return;
    }
  }

  /** The port carries nothing any more: its address or its interface went away. */
  handlePortError(error: Error): void {
    const { loop, machine } = this.#options;
    loop.mutate((now) => machine.mutateReconnect((reconnect) => reconnect.start(now), now));
    this.#handleFailure(error, this.#exitEndpoint()?.address);
  }

  close(): void {
    this.#closing.abort();
    this.#watch.close();
  }

  async #resolve(configuration: number): Promise<void> {
    const { loop, machine, onFault } = this.#options;
    let addresses: readonly IpAddress[] = [];
    try {
      addresses = await this.#lookUp(configuration);
    } catch (error) {
      if (!this.#closing.signal.aborted && error instanceof SluiceError) onFault(error.code, error.message);
    }
    loop.mutate((now) =>
      machine.mutateReconnect((reconnect) => {
        // A look-up that took long may be another configuration's than the one in hand by now.
        if (reconnect.configuration === configuration) reconnect.handleAddresses(addresses, now);
      }, now),
    );
  }

  /** Addresses of the server that the internet is behind; those of other peers are kept. */
  async #lookUp(configuration: number): Promise<readonly IpAddress[]> {
    const { peers } = this.#options.configurations[configuration]!.wireguard;
    const exit = exitIndex(peers);
    const others = new Map<number, Endpoint>();
    let addresses: readonly IpAddress[] = [];
    for (const [index, { endpoint: name }] of peers.entries()) {
      if (!name) continue;
      const endpoints = await resolveEndpoint(name);
      if (index === exit) addresses = endpoints.map(({ address }) => address);
      else if (endpoints[0]) others.set(index, endpoints[0]);
    }
    this.#others = others;
    if (!peers[exit]?.endpoint) throw new SluiceError('ERR_CONFIG_ENDPOINT', 'The configuration names no server.');
    if (addresses.length === 0)
      throw new SluiceError(
        'ERR_ENDPOINT_LOOKUP',
        `The VPN server’s name ${peers[exit].endpoint.host} has no address.`,
      );
    return addresses;
  }

  /** A port made before the host moved would go on sending from an address that is gone, hence a fresh one (K clear_peer_endpoint_src). */
  #try(configuration: number, address: IpAddress): void {
    const { machine, configurations } = this.#options;
    const { peers } = configurations[configuration]!.wireguard;
    const exit = exitIndex(peers);
    const port = peers[exit]?.endpoint?.port;
    if (configuration !== machine.configuration || port === undefined) return;
    const servers = new Map<Peer, Endpoint>([[machine.peers[exit]!, { address, port }]]);
    for (const [index, endpoint] of this.#others) servers.set(machine.peers[index]!, endpoint);
    this.#open(servers);
  }

  #open(servers: ReadonlyMap<Peer, Endpoint>): void {
    this.#opening = this.#opening.then(async () => {
      const { loop, machine, configurations, onEndpoint } = this.#options;
      if (this.#closing.signal.aborted) return;
      this.#servers = servers;
      const exit = this.#exitEndpoint();
      try {
        await loop.connect(servers, configurations[machine.configuration]!.wireguard.listenPort);
        if (exit) onEndpoint(exit);
      } catch (error) {
        this.#handleFailure(error as Error, exit?.address);
      }
    });
  }

  #exitEndpoint(): Endpoint | undefined {
    return this.#servers?.values().next().value;
  }

  #handleFailure(error: Error, address: IpAddress | undefined): void {
    const { loop, machine, onFault } = this.#options;
    if (this.#closing.signal.aborted) return;
    const code = codeOf(error) ?? codeOf(error.cause);
    if (address && code !== undefined && NO_ROUTE.has(code))
      loop.mutate((now) => machine.mutateReconnect((search) => search.handleNoRoute(address.family, now), now));
    else onFault('ERR_UDP_PORT', error.message);
  }

  async #check(configuration: number): Promise<void> {
    const { loop, machine, configurations, crypto, clock, openUdpPort } = this.#options;
    const { wireguard, timestamps } = configurations[configuration]!;
    const peer = wireguard.peers[exitIndex(wireguard.peers)];
    const { signal } = this.#closing;
    let well = false;
    try {
      const [endpoint] = peer?.endpoint ? await resolveEndpoint(peer.endpoint) : [];
      const { privateKey } = wireguard;
      const timestamp = (): Uint8Array | undefined => timestamps.next();
      if (peer && endpoint)
        well = await serverAnswers({ privateKey, peer, endpoint, crypto, clock, timestamp, openUdpPort, signal });
    } catch {
      // Its name cannot be looked up: not well.
    }
    loop.mutate((now) => machine.mutateReconnect((reconnect) => reconnect.handleCheck(well, now), now));
  }

  /** A fresh port to the same server, and a handshake that tells it where we are now; flows go on. */
  #handleNetworkChange(): void {
    const { loop, machine } = this.#options;
    if (machine.guard.policy.state === 'disabled') return;
    if (this.#servers && machine.guard.policy.ready) this.#open(this.#servers);
    loop.mutate((now) => machine.handleNetworkChange(now));
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
