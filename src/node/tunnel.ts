/**
 * The public tunnel: a WireGuard client whose sockets look like Node's own. Nothing it offers can reach the network but through
 * the one UDP socket of its engine, and nothing flows before the first handshake.
 */

import { EventEmitter } from 'node:events';
import type * as undici from 'undici';
import type { Endpoint } from '../core/base/address.ts';
import { formatEndpoint, sameEndpoint } from '../core/base/address.ts';
import { SluiceError } from '../core/base/errors.ts';
import { VERSION } from '../core/base/version.ts';
import type { GuardOutput } from '../core/guard/guard.ts';
import { restoreGuard, serialiseGuard } from '../core/guard/memory.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { ClientDriver } from './client-driver.ts';
import { Clients } from './clients.ts';
import { systemClock } from './clock.ts';
import { publicKeyOf } from './configurations.ts';
import { nodeCrypto } from './crypto/node.ts';
import type { Engine, EngineDescription, EngineEvent, Mirror } from './engine.ts';
import { openEngine } from './engine-choice.ts';
import { guardSettings } from './killswitch.ts';
import { linkStatus } from './link-status.ts';
import { PortForward } from './port-forward.ts';
import { Probe } from './probe.ts';
import { openStateFolder, type StateFolder } from './state-folder.ts';
import type { ProbeStatus, Reason, StatusSnapshot, TunnelState } from './status.ts';
import type { TunnelEvents, TunnelOptions } from './tunnel-options.ts';
import type { WebLayer } from './web-layer.ts';

export class Tunnel extends EventEmitter<TunnelEvents> {
  /** The first one and its fallbacks. */
  readonly #configurations: readonly WireGuardConfig[];
  readonly #state: StateFolder;
  readonly #engine: Engine;
  readonly #sockets: WebLayer;
  readonly #portForward: PortForward;
  readonly #probe: Probe;
  readonly #clients: Clients;
  readonly #closing = new AbortController();
  #endpoint: Endpoint | undefined;
  #handshakes = 0;
  #told: TunnelState;
  #since: number;
  #reason: Reason | null;

  /**
   * Opens a tunnel and resolves at once: sockets may be made, but nothing flows until the first handshake; `ready()` waits for it.
   * Throws `ERR_CRYPTO_SELF_TEST`, `ERR_STATE_DIR`, `ERR_ENGINE`, `ERR_STATE_LOCKED` if another tunnel has the key and the folder, or the
   * reason of a `signal` that aborts meanwhile. Call `close()` in the end.
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    options.signal?.throwIfAborted();
    const { wireguard, stateDir } = options;
    // Node's own cryptography, which is always there: this names files, and nothing else.
    const state = await openStateFolder(publicKeyOf(wireguard, nodeCrypto), stateDir);
    try {
      const portForward = new PortForward(options.portForward, wireguard);
      const probe = new Probe(options.probe, state);
      const describeAgain = (): EngineDescription => describe(options, { state, portForward, probe });
      const { engine, sockets } = await openLayers(options.engine, describeAgain);
      const tunnel = new Tunnel(options, { state, portForward, probe, engine, sockets });
      if (options.signal?.aborted) await tunnel.close();
      options.signal?.throwIfAborted();
      engine.control({ kind: 'start' });
      return tunnel;
    } catch (error) {
      state.close();
      throw error;
    }
  }

  private constructor(options: TunnelOptions, { state, portForward, probe, engine, sockets }: Opened) {
    super();
    this.#configurations = configurationsOf(options);
    this.#state = state;
    this.#portForward = portForward;
    this.#probe = probe;
    this.#engine = engine;
    this.#since = systemClock.wallMs();
    const { policy } = engine.mirror;
    this.#told = policy.state;
    this.#reason = policy.reason;
    engine.onTunnelEvent = (event) => this.#handleEvent(event);
    this.#sockets = sockets;
    this.#portForward.attach({
      sockets: this.#sockets,
      engine,
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
    this.#probe.attach({ sockets: this.#sockets, engine, onProbe: (status) => this.emit('probe', status) });
    options.signal?.addEventListener('abort', () => void this.close(), { once: true, signal: this.#closing.signal });
  }

  /** The part of node:net that clients use; every connection and listener is inside the tunnel. */
  get net(): WebLayer['net'] {
    return this.#sockets.net;
  }

  /** The part of node:dgram that clients use. */
  get dgram(): WebLayer['dgram'] {
    return this.#sockets.dgram;
  }

  /** Resolves through the DNS servers of the `.conf`, inside the tunnel; never through the host's resolver. */
  get dns(): WebLayer['dns'] {
    return this.#sockets.dns;
  }

  get httpAgent(): WebLayer['httpAgent'] {
    return this.#sockets.httpAgent;
  }

  get httpsAgent(): WebLayer['httpsAgent'] {
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
    this.#engine.control({ kind: 'set-enabled', enabled });
    await this.#engine.settled();
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
      if (this.#engine.mirror.policy.ready) return;
      await nextState(this, signals);
    }
  }

  status(): StatusSnapshot {
    const now = systemClock.now();
    const { mirror } = this.#engine;
    const { killswitch } = mirror.policy;
    return {
      version: VERSION,
      enabled: !killswitch.reasons.includes('user'),
      state: this.#told,
      since: new Date(this.#since).toISOString(),
      reason: this.#reason ?? (this.#told === 'connected' ? this.#imperfection(mirror) : null),
      tunnel: linkStatus(mirror.link, {
        wireguard: this.#configurations[mirror.configuration]!,
        endpoint: this.#endpoint,
        handshakes: this.#handshakes,
        now,
      }),
      killswitch,
      probe: this.#probe.status(mirror, now),
      portForward: this.#portForward.status(mirror, now),
      clients: this.#clients.status(),
      sockets: mirror.sockets,
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
    await Promise.all([this.#sockets.close(), this.#portForward.release()]);
    await this.#engine.close();
    this.#state.close();
    this.#enter('disabled', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #handleEvent(event: EngineEvent): void {
    switch (event.kind) {
      case 'lease':
        this.#portForward.handleEvent(event.event);
        return;
      case 'handshake':
        this.#handshakes++;
        this.#follow();
        this.emit('handshake', { endpoint: this.status().tunnel.endpoint ?? '', count: this.#handshakes });
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
      case 'mtu':
        this.emit('mtu.changed', { mtu: event.mtu });
        return;
      case 'endpoint':
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
  #imperfection(mirror: Mirror): Reason | null {
    const { problem } = this.#state;
    if (problem) return { code: problem.code, message: problem.message, hint: problem.hint };
    return this.#portForward.reason(mirror) ?? this.#probe.reason(mirror);
  }

  #handleGuard(output: GuardOutput): void {
    if (output.kind === 'remember') this.#state.write('guard', serialiseGuard(output.memory));
    else if (output.kind === 'engaged') this.emit('killswitch.engaged', { reasons: output.reasons });
    else if (output.kind === 'released') this.emit('killswitch.released');
    else if (output.kind === 'policy') this.#follow();
  }

  #follow(): void {
    const { state, reason } = this.#engine.mirror.policy;
    this.#enter(state, reason);
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
  readonly state: StateFolder;
  readonly portForward: PortForward;
  readonly probe: Probe;
  readonly engine: Engine;
  readonly sockets: WebLayer;
}

/** The engine, and what is opened over it, which is loaded while the engine's thread starts. If that fails, no engine is left. */
async function openLayers(
  name: TunnelOptions['engine'],
  describeAgain: () => EngineDescription,
): Promise<Pick<Opened, 'engine' | 'sockets'>> {
  const opening = openEngine(name, describeAgain);
  try {
    const [engine, { WebLayer }] = await Promise.all([opening, import('./web-layer.ts')]);
    return { engine, sockets: new WebLayer(engine) };
  } catch (error) {
    await opening.then(
      (engine) => engine.close(),
      () => {},
    );
    throw error;
  }
}

/** What the engine is to be by all that is known now. */
function describe(
  options: TunnelOptions,
  { state, portForward, probe }: Omit<Opened, 'engine' | 'sockets'>,
): EngineDescription {
  const { wireguard, stateDir, crypto, udp, killswitch } = options;
  const { description } = probe;
  return {
    configurations: configurationsOf(options),
    ...(stateDir === undefined ? {} : { stateDir }),
    ...(crypto === undefined ? {} : { crypto }),
    ...(udp === undefined ? {} : { udp }),
    guard: {
      ...guardSettings(killswitch, wireguard),
      onMismatch: probe.onMismatch,
      memory: restoreGuard(state.read('guard')),
    },
    lease: portForward.lease,
    ...(description ? { probe: description } : {}),
  };
}

function configurationsOf({ wireguard, fallback = [] }: TunnelOptions): readonly WireGuardConfig[] {
  return [wireguard, ...fallback];
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
