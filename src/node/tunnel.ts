/**
 * The public tunnel: a WireGuard client whose sockets look like Node's own. Nothing it offers can reach the network but through
 * the one UDP socket of its engine, and nothing flows before the first handshake.
 */

import { EventEmitter } from 'node:events';
import type * as undici from 'undici';
import type { Endpoint } from '../core/base/address.ts';
import { formatEndpoint, sameEndpoint } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { ERRORS, type ErrorCode, SluiceError } from '../core/base/errors.ts';
import type { Instant } from '../core/base/instant.ts';
import { VERSION } from '../core/base/version.ts';
import type { GuardOutput } from '../core/guard/guard.ts';
import { restoreGuard, serialiseGuard } from '../core/guard/memory.ts';
import type { TunnelEvent } from '../core/tunnel/messages.ts';
import { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { ClientDriver } from './client-driver.ts';
import { Clients } from './clients.ts';
import { systemClock } from './clock.ts';
import { type Configuration, machineConfiguration, publicKeyOf, withTimestamps } from './configurations.ts';
import { selectCrypto } from './crypto/select.ts';
import { InlineEngine } from './inline-engine.ts';
import { guardSettings } from './killswitch.ts';
import { linkStatus } from './link-status.ts';
import { PortForward } from './port-forward.ts';
import { Probe } from './probe.ts';
import { systemRandom } from './random.ts';
import { ServerLink } from './server-link.ts';
import { SocketLayer } from './socket-layer.ts';
import { openStateFolder, type StateFolder } from './state-folder.ts';
import type { ProbeStatus, Reason, StatusSnapshot, TunnelState } from './status.ts';
import type { TunnelEvents, TunnelOptions } from './tunnel-options.ts';
import { type OpenUdpPort, openDgramPort } from './udp-port.ts';

export class Tunnel extends EventEmitter<TunnelEvents> {
  readonly #configurations: readonly Configuration[];
  readonly #crypto: Crypto;
  readonly #state: StateFolder;
  readonly #machine: TunnelMachine;
  readonly #engine: InlineEngine;
  readonly #sockets: SocketLayer;
  readonly #portForward: PortForward;
  readonly #probe: Probe;
  readonly #clients: Clients;
  readonly #link: ServerLink;
  readonly #closing = new AbortController();
  #endpoint: Endpoint | undefined;
  #handshakes = 0;
  #told: TunnelState;
  #since: number;
  #reason: Reason | null;

  /**
   * Opens a tunnel and resolves at once: sockets may be made, but nothing flows until the first handshake; `ready()` waits for it.
   * Throws `ERR_CRYPTO_SELF_TEST`, `ERR_STATE_DIR`, or `ERR_STATE_LOCKED` if another tunnel has the key and the folder. Call `close()`
   * in the end.
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    options.signal?.throwIfAborted();
    const crypto = await selectCrypto(options.crypto === undefined ? {} : { prefer: options.crypto });
    const state = await openStateFolder(publicKeyOf(options.wireguard, crypto), options.stateDir);
    try {
      const configurations = await withTimestamps(
        [options.wireguard, ...(options.fallback ?? [])],
        crypto,
        options.stateDir,
      );
      const tunnel = new Tunnel(options, { crypto, state, configurations });
      tunnel.#engine.mutate((now) => tunnel.#machine.start(now));
      return tunnel;
    } catch (error) {
      state.close();
      throw error;
    }
  }

  private constructor(options: TunnelOptions, { crypto, state, configurations }: Opened) {
    super();
    const { wireguard } = options;
    this.#configurations = configurations;
    this.#crypto = crypto;
    this.#state = state;
    this.#since = systemClock.wallMs();
    this.#portForward = new PortForward(options.portForward, wireguard);
    this.#probe = new Probe(options.probe, state);
    this.#machine = new TunnelMachine(
      {
        ...machineConfiguration(wireguard),
        fallbacks: (options.fallback ?? []).map(machineConfiguration),
        crypto,
        random: systemRandom,
        timestamp: (configuration) => configurations[configuration]!.timestamps.next(),
        lease: this.#portForward.lease,
        guard: {
          ...guardSettings(options.killswitch, wireguard),
          onMismatch: this.#probe.onMismatch,
          memory: restoreGuard(state.read('guard')),
        },
        ...(this.#probe.settings ? { probe: this.#probe.settings } : {}),
      },
      systemClock.now(),
    );
    const { policy } = this.#machine.guard;
    this.#told = policy.state;
    this.#reason = policy.reason;
    const { allocate, release } = crypto;
    const openUdpPort: OpenUdpPort = (options, handlers) => openDgramPort({ ...options, allocate, release }, handlers);
    this.#engine = new InlineEngine({
      machine: this.#machine,
      clock: systemClock,
      openUdpPort,
      onTunnelEvent: (event) => this.#handleTunnelEvent(event),
      onPortError: (error) => this.#link.handlePortError(error),
    });
    this.#link = new ServerLink({
      machine: this.#machine,
      engine: this.#engine,
      configurations,
      crypto,
      clock: systemClock,
      openUdpPort,
      onFault: (code, message) => this.#fault(reason(code, message)),
      onEndpoint: (endpoint) => this.#handleEndpoint(endpoint),
    });
    this.#sockets = new SocketLayer(this.#engine);
    this.#portForward.attach({
      sockets: this.#sockets,
      mutate: (change) => this.#engine.mutate((now) => this.#machine.mutateLease((lease) => change(lease, now), now)),
      onMapped: (port) => {
        this.emit('port.mapped', { port });
        this.#clients.handlePort(port);
      },
      onMoved: () => this.#clients.handleMoved(),
      onLost: (why) => {
        this.emit('port.lost', { reason: why });
        this.#clients.handlePort(undefined);
      },
      clock: systemClock,
    });
    this.#clients = new Clients({
      clock: systemClock,
      state,
      onPaused: (client, transfer) => this.emit('client.paused', { client, transfer }),
      onResumed: (client, transfer) => this.emit('client.resumed', { client, transfer }),
      onPort: (client, port) => this.emit('client.port', { client, port }),
    });
    this.#probe.attach({
      sockets: this.#sockets,
      prober: this.#machine.prober,
      mutate: (change) =>
        this.#engine.mutate((now) => this.#machine.mutateProber((prober) => change(prober, now), now)),
      admission: {
        admitSocket: (socket) => this.#engine.mutate(() => this.#machine.admitProbe(socket)),
        admitQuery: (query) => this.#engine.mutate(() => this.#machine.admitProbeQuery(query)),
      },
      accept: () => this.#engine.mutate((now) => this.#machine.acceptExit(now)),
      onProbe: (status) => this.emit('probe', status),
    });
    options.signal?.addEventListener('abort', () => void this.close(), { once: true, signal: this.#closing.signal });
  }

  /** The part of node:net that clients use; every connection and listener is inside the tunnel. */
  get net(): SocketLayer['net'] {
    return this.#sockets.net;
  }

  /** The part of node:dgram that clients use. */
  get dgram(): SocketLayer['dgram'] {
    return this.#sockets.dgram;
  }

  /** Resolves through the DNS servers of the `.conf`, inside the tunnel; never through the host's resolver. */
  get dns(): SocketLayer['dns'] {
    return this.#sockets.dns;
  }

  get httpAgent(): SocketLayer['httpAgent'] {
    return this.#sockets.httpAgent;
  }

  get httpsAgent(): SocketLayer['httpsAgent'] {
    return this.#sockets.httpsAgent;
  }

  /** For undici and for `fetch(url, { dispatcher })`. */
  get dispatcher(): undici.Dispatcher {
    return this.#sockets.dispatcher;
  }

  /** `fetch` whose every connection is inside the tunnel. */
  get fetch(): typeof undici.fetch {
    return this.#sockets.fetch;
  }

  /**
   * Switches the VPN off or on, by a person's word. Off, nothing flows and every connection ends; on again, traffic flows after a fresh
   * handshake, for which `ready()` waits. There is no other way out: off never means past the tunnel.
   */
  async setEnabled(enabled: boolean): Promise<void> {
    const switched = new Promise<void>((resolve) => {
      this.#engine.mutate((now) => {
        this.#machine.setEnabled(enabled, now);
        resolve();
      });
    });
    if (!this.#closing.signal.aborted) await switched;
  }

  /**
   * Asks for the address that the world sees, through the tunnel only, and resolves with what came of it; at once while the tunnel is
   * down. It runs by itself too, see `ProbeOptions`.
   */
  probe(): Promise<ProbeStatus> {
    return this.#probe.probe();
  }

  /** A person's word that the exit is the VPN's, though it was taken for a leak: traffic flows again. Probes once more, as `probe` does. */
  acceptExit(): Promise<ProbeStatus> {
    return this.#probe.acceptExit();
  }

  /** The client follows from now on: it pauses and resumes with the killswitch, and is told the forwarded port. */
  attachClient(driver: ClientDriver): void {
    this.#clients.attach(driver);
  }

  /** The client is left as it is from now on. What is marked as paused stays marked, for when it is attached again. */
  detachClient(driver: ClientDriver): void {
    this.#clients.detach(driver);
  }

  /** Resolves when traffic may flow: after a handshake. Rejects if the signal aborts or the tunnel closes first. */
  async ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    // Listened to one by one: Node forgets a timeout that only AbortSignal.any knows of (nodejs/node#57736).
    const signals = options.signal ? [options.signal, this.#closing.signal] : [this.#closing.signal];
    for (;;) {
      for (const signal of signals) signal.throwIfAborted();
      if (this.#machine.guard.policy.ready) return;
      await nextState(this, signals);
    }
  }

  status(): StatusSnapshot {
    const now = systemClock.now();
    const { host, guard, configuration } = this.#machine;
    return {
      version: VERSION,
      enabled: !guard.policy.killswitch.reasons.includes('user'),
      state: this.#told,
      since: new Date(this.#since).toISOString(),
      reason: this.#reason ?? (this.#told === 'connected' ? this.#imperfection(now) : null),
      tunnel: linkStatus(this.#machine, {
        wireguard: this.#configurations[configuration]!.wireguard,
        endpoint: this.#endpoint,
        handshakes: this.#handshakes,
        leaseDrops: this.#portForward.lease.drops,
        crypto: this.#crypto.name,
        now,
      }),
      killswitch: guard.policy.killswitch,
      probe: this.#probe.status(now),
      portForward: this.#portForward.status(now),
      clients: this.#clients.status(),
      sockets: host.counts(),
    };
  }

  /**
   * Closes every socket and gives the forwarded port back, which takes a second at most, then closes the tunnel and wipes the keys.
   * Safe to call twice.
   */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const closed = new SluiceError('ERR_CLOSED', 'The tunnel was closed.');
    this.#closing.abort(closed);
    this.#clients.close();
    this.#probe.close(closed);
    this.#link.close();
    await Promise.all([this.#sockets.close(), this.#portForward.release()]);
    await this.#engine.close();
    for (const timestamps of new Set(this.#configurations.map((each) => each.timestamps))) await timestamps.close();
    this.#state.close();
    this.#enter('disabled', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #handleTunnelEvent(event: TunnelEvent): void {
    switch (event.kind) {
      case 'port-forward':
        this.#portForward.handleEvent(event.event);
        return;
      case 'handshake':
        this.#handshakes++;
        this.#follow();
        this.emit('handshake', { endpoint: this.status().tunnel.endpoint ?? '', count: this.#handshakes });
        return;
      case 'handshake-failed':
        if (event.reason === 'clock-implausible') this.#fault(this.#clockReason(), true);
        return;
      case 'reconnect':
        this.#link.handle(event.output);
        return;
      case 'guard':
        this.#handleGuard(event.output);
        return;
      case 'probe':
        this.#probe.handleEvent(event.event);
        return;
      case 'clients':
        this.#clients.handleOrder(event.order);
        return;
      case 'endpoint-changed':
        this.#handleEndpoint(event.endpoint);
        return;
    }
  }

  #handleEndpoint(endpoint: Endpoint): void {
    const before = this.#endpoint;
    this.#endpoint = endpoint;
    if (!before || !sameEndpoint(before, endpoint))
      this.emit('endpoint.changed', { endpoint: formatEndpoint(endpoint) });
  }

  /** What a connected tunnel lacks. */
  #imperfection(now: Instant): Reason | null {
    const { problem } = this.#state;
    if (problem) return reason(problem.code, problem.message);
    return this.#portForward.reason(now) ?? this.#probe.reason(now);
  }

  #clockReason(): Reason {
    const { code, message } =
      this.#configurations[this.#machine.configuration]!.timestamps.problem ??
      new SluiceError('ERR_CLOCK', 'This host’s date is implausible.');
    return reason(code, message);
  }

  #handleGuard(output: GuardOutput): void {
    if (output.kind === 'remember') this.#state.write('guard', serialiseGuard(output.memory));
    else if (output.kind === 'engaged') this.emit('killswitch.engaged', { reasons: output.reasons });
    else if (output.kind === 'released') this.emit('killswitch.released');
    else if (output.kind === 'policy') this.#follow();
  }

  /** What keeps the tunnel from coming up; `helpless` if nothing will come of it before a person acts. */
  #fault(why: Reason, helpless = false): void {
    this.#engine.mutate((now) =>
      this.#machine.mutateGuard((guard) => guard.handleFault({ ...why, helpless }, now), now),
    );
  }

  #follow(): void {
    const { state, reason: why } = this.#machine.guard.policy;
    this.#enter(state, why);
  }

  #enter(state: TunnelState, why: Reason | null): void {
    if (state === this.#told && why?.code === this.#reason?.code) return;
    if (state !== this.#told) this.#since = systemClock.wallMs();
    this.#told = state;
    this.#reason = why;
    this.emit('state', { state, reason: why });
  }
}

interface Opened {
  readonly crypto: Crypto;
  readonly state: StateFolder;
  readonly configurations: readonly Configuration[];
}

function reason(code: ErrorCode, message: string): Reason {
  return { code, message, hint: ERRORS[code] };
}

/** Resolves with the next state, or when one of the signals aborts. */
function nextState(tunnel: Tunnel, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      tunnel.off('state', settle);
      for (const signal of signals) signal.removeEventListener('abort', settle);
      resolve();
    };
    tunnel.on('state', settle);
    for (const signal of signals) signal.addEventListener('abort', settle);
  });
}
