/**
 * The engine on the thread that it was opened on: the tunnel's machine with its loop, the search for a server and the timestamps of
 * handshakes, behind the commands and events of `engine.ts`. The engine on a worker is this one, on another thread.
 */

import type { Crypto } from '../core/base/crypto.ts';
import { ERRORS, SluiceError } from '../core/base/errors.ts';
import type { Instant } from '../core/base/instant.ts';
import type { Fault } from '../core/guard/guard.ts';
import type { ProberEvent } from '../core/guard/prober-messages.ts';
import type { SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import type { TunnelEvent } from '../core/tunnel/messages.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Configuration, withTimestamps } from './configurations.ts';
import { selectCrypto } from './crypto/select.ts';
import type { ControlCommand, Engine, EngineDescription, EngineEvent, Mirror } from './engine.ts';
import { EngineLoop } from './engine-loop.ts';
import { createMachine, type EngineMachine } from './engine-machine.ts';
import { hostAddresses } from './host-addresses.ts';
import { LiveMirror } from './mirror.ts';
import { ServerLink } from './server-link.ts';
import { selectUdpPorts, type UdpName } from './udp/select.ts';
import type { OpenUdpPort } from './udp-port.ts';

/** What the thread has. */
export interface EngineHost {
  readonly clock: Clock;
  /** The fastest ports for this thread; what they share has its slabs in `memory`. Throws what `selectUdp` throws. */
  readonly udpPorts: (udp: UdpName | undefined, memory: Pick<Crypto, 'allocate' | 'release'>) => OpenUdpPort;
  /** Called when all events of a turn were told. */
  readonly onTurn: () => void;
}

const EMBEDDERS_THREAD: EngineHost = {
  clock: systemClock,
  udpPorts: (udp) => selectUdpPorts({ prefer: udp }),
  onTurn: () => {},
};

export class InlineEngine implements Engine {
  onEvent: (event: SocketEvent) => void = () => {};
  onTunnelEvent: (event: EngineEvent) => void = () => {};
  readonly mirror: Mirror;
  readonly #configurations: readonly Configuration[];
  readonly #parts: EngineMachine;
  readonly #loop: EngineLoop;
  readonly #link: ServerLink;
  /** Those that are not answered, with the number of the probe that will. */
  readonly #demands: Map<number, number> = new Map();
  /** Whose stream bytes are lent. */
  readonly #lent: Set<SocketId> = new Set();

  /** Throws `ERR_CRYPTO_SELF_TEST`, `ERR_STATE_DIR`, what `selectUdp` throws, and RangeError for a description that makes no sense. */
  static async open(description: EngineDescription, host: EngineHost = EMBEDDERS_THREAD): Promise<InlineEngine> {
    const { configurations, stateDir } = description;
    const crypto = await selectCrypto(description.crypto === undefined ? {} : { prefer: description.crypto });
    return new InlineEngine(description, {
      ...host,
      crypto,
      configurations: await withTimestamps(configurations, crypto, stateDir),
      openUdpPort: host.udpPorts(description.udp, crypto),
    });
  }

  private constructor(description: EngineDescription, host: OpenedHost) {
    this.#configurations = host.configurations;
    this.#parts = createMachine(description, host.configurations, host);
    const { machine } = this.#parts;
    this.#loop = new EngineLoop({
      ...host,
      machine,
      onTurn: () => {
        this.#deliver();
        host.onTurn();
      },
      onPortError: (error) => this.#link.handlePortError(error),
    });
    this.#link = new ServerLink({
      ...host,
      machine,
      loop: this.#loop,
      onFault: (code, message) => this.#fault({ code, message, hint: ERRORS[code], helpless: false }),
      onEndpoint: (endpoint) => {
        this.onTunnelEvent({ kind: 'endpoint', endpoint });
        host.onTurn();
      },
    });
    this.mirror = new LiveMirror(this.#parts, host);
    if (description.fault) this.#fault(description.fault);
  }

  post(command: SocketCommand): void {
    this.#loop.mutate((now) => this.#parts.machine.handleCommand(command, now));
  }

  lend(socket: SocketId, lent: boolean): void {
    if (lent) this.#lent.add(socket);
    else this.#lent.delete(socket);
  }

  /** See `Netstack.reclaim`: for an embedder that has copied what it was told. */
  reclaim(bytes: Uint8Array): void {
    this.#parts.machine.reclaim(bytes);
  }

  control(command: ControlCommand): void {
    this.#loop.mutate((now) => this.#handle(command, now));
  }

  /** For a thread that does nothing else: when there is something to do that no datagram and no command asks for. */
  nextTurn(): Instant | undefined {
    return this.#loop.nextTurn();
  }

  /** For such a thread as well: does it, if it is time. */
  handleDue(): void {
    this.#loop.handleDue();
  }

  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async close(): Promise<void> {
    this.#link.close();
    await this.#loop.close();
    for (const timestamps of new Set(this.#configurations.map((each) => each.timestamps))) await timestamps.close();
  }

  #handle(command: ControlCommand, now: Instant): void {
    const { machine } = this.#parts;
    switch (command.kind) {
      case 'start':
        machine.start(now);
        return;
      case 'set-enabled':
        machine.setEnabled(command.enabled, now);
        return;
      case 'accept-exit':
        machine.acceptExit(now);
        return;
      case 'demand-probe':
        machine.mutateProber((prober) => this.#demands.set(command.demand, prober.demand(now)), now);
        return;
      case 'probe-answer':
        machine.mutateProber((prober) => prober.handleAnswer(command.number, command.answer, now), now);
        return;
      case 'admit-socket':
        machine.admitProbe(command.socket);
        return;
      case 'admit-query':
        machine.admitProbeQuery(command.query);
        return;
      case 'set-internal-port':
        machine.mutateLease((lease) => lease.setInternalPort(command.port, now), now);
        return;
      case 'release-port':
        machine.mutateLease((lease) => lease.release(now), now);
        return;
    }
  }

  #deliver(): void {
    const { machine } = this.#parts;
    for (let event = machine.nextTunnelEvent(); event; event = machine.nextTunnelEvent()) this.#handleEvent(event);
    for (let event = machine.nextOutput(); event; event = machine.nextOutput()) {
      this.onEvent(event);
      if (event.kind === 'tcp-data' && this.#lent.has(event.socket)) machine.reclaim(event.bytes);
    }
  }

  #handleEvent(event: TunnelEvent): void {
    switch (event.kind) {
      case 'reconnect':
        this.#link.handle(event.output);
        return;
      case 'handshake':
        this.onTunnelEvent({ kind: 'handshake' });
        return;
      case 'handshake-failed':
        if (event.reason === 'clock-implausible') this.#fault(this.#clockFault());
        return;
      case 'endpoint-changed':
        this.onTunnelEvent({ kind: 'endpoint', endpoint: event.endpoint });
        return;
      case 'port-forward':
        this.onTunnelEvent({ kind: 'lease', event: event.event });
        return;
      case 'probe':
        this.#handleProbe(event.event);
        return;
      case 'mtu':
      case 'guard':
      case 'clients':
        this.onTunnelEvent(event);
        return;
    }
  }

  #handleProbe(event: ProberEvent): void {
    if (event.kind === 'ask') this.#parts.egress?.setHostAddresses(hostAddresses());
    if (event.kind !== 'done') {
      this.onTunnelEvent({ kind: 'probe', event });
      return;
    }
    const demands = [...this.#demands].filter(([, probe]) => probe <= event.probe).map(([demand]) => demand);
    for (const demand of demands) this.#demands.delete(demand);
    this.onTunnelEvent({ kind: 'probe', event: { kind: 'done', demands } });
  }

  /** What keeps the tunnel from coming up. */
  #fault(fault: Fault): void {
    const { machine } = this.#parts;
    this.#loop.mutate((now) => machine.mutateGuard((guard) => guard.handleFault(fault, now), now));
  }

  #clockFault(): Fault {
    const { code, message, hint } =
      this.#configurations[this.#parts.machine.configuration]!.timestamps.problem ??
      new SluiceError('ERR_CLOCK', 'This host’s date is implausible.');
    return { code, message, hint, helpless: true };
  }
}

interface OpenedHost extends EngineHost {
  readonly openUdpPort: OpenUdpPort;
  readonly crypto: Crypto;
  readonly configurations: readonly Configuration[];
}
