/** What turns the tunnel's machine: its driver, and the ports to the server that it sends through. */

import { type Endpoint, formatEndpoint } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import type { Instant } from '../core/base/instant.ts';
import type { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { Peer } from '../core/wireguard/device.ts';
import type { Clock } from './clock.ts';
import { Driver } from './driver.ts';
import { openPorts } from './port-set.ts';
import type { OpenUdpPort, UdpPort } from './udp-port.ts';

export interface EngineLoopOptions {
  readonly machine: TunnelMachine;
  readonly clock: Clock;
  /** Whose memory the ports use. */
  readonly crypto: Pick<Crypto, 'allocate' | 'release'>;
  readonly openUdpPort: OpenUdpPort;
  /** In every turn, to tell what came of it. May call `mutate`. */
  readonly onTurn: () => void;
  /** A failure of the port that traffic did not survive. */
  readonly onPortError: (error: Error) => void;
}

/** Longer than a round trip, shorter than the time between two initiations. */
const PREVIOUS_PORT_MS = 3_000;

export class EngineLoop {
  readonly #options: EngineLoopOptions;
  readonly #driver: Driver;
  #port: UdpPort | undefined;
  /** The port before, which still receives for a moment: the answer to what it has sent may be on its way. */
  #previous: UdpPort | undefined;
  #previousEnds: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: EngineLoopOptions) {
    this.#options = options;
    this.#driver = new Driver(options);
  }

  /** See `Driver.nextTurn`. */
  nextTurn(): Instant | undefined {
    return this.#driver.nextTurn();
  }

  /** See `Driver.handleDue`. */
  handleDue(): void {
    this.#driver.handleDue();
  }

  /** Runs one mutation of the machine; its outputs are drained soon after. */
  mutate(change: (now: Instant) => void): void {
    if (!this.#closed) this.#driver.mutate(change);
  }

  /**
   * Opens the only socket that faces the internet, connected to the server (one for each server, if the peers have several), and
   * starts the handshakes. `servers` has an endpoint for each peer of the machine that has one.
   */
  async connect(servers: ReadonlyMap<Peer, Endpoint>, listenPort?: number): Promise<void> {
    const { machine, openUdpPort, onPortError, crypto } = this.#options;
    const { allocate, release } = crypto;
    const remotes = [
      ...new Map([...servers.values()].map((endpoint) => [formatEndpoint(endpoint), endpoint])).values(),
    ];
    // With a fixed port there is room for one socket only; otherwise traffic changes over without a gap.
    if (listenPort !== undefined) {
      await this.#detach()?.close();
      await this.#endPrevious();
    }
    const bind = listenPort === undefined ? {} : { bind: anyAddress(remotes[0]!, listenPort) };
    const port = await openPorts(
      openUdpPort,
      remotes,
      { mtu: machine.largestMtu, allocate, release, ...bind },
      {
        onBurst: (burst) => this.#driver.handleBurst(burst),
        onDrain: () => this.#driver.handleDrain(),
        onTooLong: (pathMtu) => this.mutate((now) => machine.handleTooLong(pathMtu, now)),
        onError: (error) => {
          if (port === this.#port) onPortError(error);
        },
      },
    );
    if (this.#closed) return port.close();
    await this.#endPrevious();
    this.#previous = this.#detach();
    this.#previousEnds = setTimeout(() => void this.#endPrevious(), PREVIOUS_PORT_MS).unref();
    this.#port = port;
    this.#driver.attach(port);
    this.mutate((now) => {
      for (const [peer, endpoint] of servers) machine.setEndpoint(peer, endpoint, now);
    });
    return undefined;
  }

  /** Stops at once: no datagram is sent or taken after, and the keys are wiped. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#driver.stop();
    this.#options.machine.close();
    await Promise.all([this.#port?.close(), this.#endPrevious()]);
  }

  #detach(): UdpPort | undefined {
    const port = this.#port;
    this.#port = undefined;
    this.#driver.attach(undefined);
    return port;
  }

  async #endPrevious(): Promise<void> {
    clearTimeout(this.#previousEnds);
    const previous = this.#previous;
    this.#previous = undefined;
    await previous?.close();
  }
}

function anyAddress({ address }: Endpoint, port: number): Endpoint {
  return { address: { family: address.family, bytes: new Uint8Array(address.bytes.length) }, port };
}
