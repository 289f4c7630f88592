/**
 * The public tunnel: a WireGuard client whose sockets look like Node's own. Nothing it offers can reach the network but through
 * the one UDP socket of its engine, and nothing flows before the first handshake.
 */

import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as undici from 'undici';
import type { Endpoint } from '../core/base/address.ts';
import { formatEndpoint, formatIp } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { ERRORS, SluiceError } from '../core/base/errors.ts';
import { elapsedMs, type Instant } from '../core/base/instant.ts';
import { VERSION } from '../core/base/version.ts';
import type { GuardOutput } from '../core/guard/guard.ts';
import type { GuardReason } from '../core/guard/policy.ts';
import { type TunnelEvent, TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { Peer } from '../core/wireguard/device.ts';
import { systemClock } from './clock.ts';
import { type CryptoName, selectCrypto } from './crypto/select.ts';
import { resolveEndpoint } from './endpoint.ts';
import { InlineEngine } from './inline-engine.ts';
import { guardSettings, type KillswitchOptions } from './killswitch.ts';
import { PortForward, type PortForwardOptions } from './port-forward.ts';
import { systemRandom } from './random.ts';
import { SocketLayer } from './socket-layer.ts';
import type { Reason, StatusSnapshot, TunnelState } from './status.ts';
import { openTimestampState, type TimestampState } from './timestamp-state.ts';
import { openDgramPort } from './udp-port.ts';

export interface TunnelOptions {
  /** What `parseWireGuardConfig` returned. */
  readonly wireguard: WireGuardConfig;
  /** A folder for what must survive a restart (the last handshake timestamp). Without it, nothing is kept. */
  readonly stateDir?: string;
  /** A port of the exit that leads here: `net` servers and UDP sockets opened with `{ forwarded: true }`. Default none. */
  readonly portForward?: PortForwardOptions;
  readonly killswitch?: KillswitchOptions;
  /** Forces one crypto backend; by default the fastest that passes its self-test. */
  readonly crypto?: CryptoName;
  /** Closes the tunnel when aborted. */
  readonly signal?: AbortSignal;
}

export interface TunnelEvents {
  state: [{ readonly state: TunnelState; readonly reason: Reason | null }];
  handshake: [{ readonly endpoint: string; readonly count: number }];
  /** Traffic is held back, for one more reason than before; `reasons` are all. */
  'killswitch.engaged': [{ readonly reasons: readonly GuardReason[] }];
  'killswitch.released': [];
  /** The forwarded port is this one now, and was another one, or none. */
  'port.mapped': [{ readonly port: number }];
  'port.lost': [{ readonly reason: Reason }];
}

const DEFAULT_MTU = 1420;
/** Keeps NAT mappings and the session alive where the `.conf` says nothing; an explicit 0 is honoured. */
const DEFAULT_KEEPALIVE_SECONDS = 25;
/** Pause before the endpoint's name or the port is tried again, in milliseconds. */
const RETRY_MS = 5_000;

export class Tunnel extends EventEmitter<TunnelEvents> {
  readonly #config: WireGuardConfig;
  readonly #crypto: Crypto;
  readonly #timestamps: TimestampState;
  readonly #machine: TunnelMachine;
  readonly #engine: InlineEngine;
  readonly #sockets: SocketLayer;
  readonly #portForward: PortForward;
  readonly #closing = new AbortController();
  #endpoint: Endpoint | undefined;
  #connecting = false;
  #freshPort: NodeJS.Timeout | undefined;
  /** Ports opened so far: a name with several addresses has them tried in turn. */
  #attempts = 0;
  #handshakes = 0;
  #state: TunnelState;
  #since: number;
  #reason: Reason | null;

  /**
   * Opens a tunnel and resolves at once: sockets may be made, but nothing flows until the first handshake; `ready()` waits for it.
   * Throws `ERR_CRYPTO_SELF_TEST` or `ERR_STATE_DIR`. Call `close()` in the end.
   */
  static async open(options: TunnelOptions): Promise<Tunnel> {
    options.signal?.throwIfAborted();
    const crypto = await selectCrypto(options.crypto === undefined ? {} : { prefer: options.crypto });
    const identity = crypto.keyPair(options.wireguard.privateKey);
    const timestamps = await openTimestampState(identity.publicKey, options.stateDir);
    identity.wipe();
    const tunnel = new Tunnel(options, crypto, timestamps);
    void tunnel.#connect();
    return tunnel;
  }

  private constructor(options: TunnelOptions, crypto: Crypto, timestamps: TimestampState) {
    super();
    const { wireguard } = options;
    this.#config = wireguard;
    this.#crypto = crypto;
    this.#timestamps = timestamps;
    this.#since = systemClock.wallMs();
    this.#portForward = new PortForward(options.portForward, wireguard);
    this.#machine = new TunnelMachine(
      {
        privateKey: wireguard.privateKey,
        peers: wireguard.peers.map(
          ({ endpoint: _, persistentKeepaliveSeconds = DEFAULT_KEEPALIVE_SECONDS, ...peer }) => ({
            ...peer,
            persistentKeepaliveSeconds,
          }),
        ),
        addresses: wireguard.addresses.map(({ address }) => address),
        dnsServers: wireguard.dns,
        mtu: wireguard.mtu ?? DEFAULT_MTU,
        crypto,
        random: systemRandom,
        timestamp: () => timestamps.next(),
        lease: this.#portForward.lease,
        guard: guardSettings(options.killswitch, wireguard),
      },
      systemClock.now(),
    );
    const { state, reason: why } = this.#machine.guard.policy;
    this.#state = state;
    this.#reason = why;
    this.#engine = new InlineEngine({
      machine: this.#machine,
      clock: systemClock,
      openUdpPort: openDgramPort,
      onTunnelEvent: (event) => this.#handleTunnelEvent(event),
      onPortError: (error) => {
        this.#fault(reason('ERR_UDP_PORT', error.message));
        void this.#connect();
      },
    });
    this.#sockets = new SocketLayer(this.#engine);
    this.#portForward.attach({
      sockets: this.#sockets,
      mutate: (change) => this.#engine.mutate((now) => this.#machine.mutateLease((lease) => change(lease, now), now)),
      onMapped: (port) => this.emit('port.mapped', { port }),
      onLost: (why) => this.emit('port.lost', { reason: why }),
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
    const { mtu, peers, device, host, guard } = this.#machine;
    const lastHandshakeAt = latest(peers.map((peer) => peer.lastHandshakeAt));
    const ageMs = lastHandshakeAt === undefined ? undefined : elapsedMs(lastHandshakeAt, now);
    return {
      version: VERSION,
      enabled: !guard.policy.killswitch.reasons.includes('user'),
      state: this.#state,
      since: new Date(this.#since).toISOString(),
      reason: this.#reason ?? (this.#state === 'connected' ? this.#portForward.reason(now) : null),
      tunnel: {
        endpoint: this.#endpoint ? formatEndpoint(this.#endpoint) : null,
        addresses: this.#config.addresses.map(({ address, bits }) => `${formatIp(address)}/${bits}`),
        dns: this.#config.dns.map(formatIp),
        mtu,
        handshakes: this.#handshakes,
        handshakeAgeSeconds: ageMs === undefined ? null : Math.round(ageMs / 100) / 10,
        rxBytes: sum(peers.map((peer) => peer.rxBytes)),
        txBytes: sum(peers.map((peer) => peer.txBytes)),
        drops: {
          ...device.drops.toJSON(),
          ...host.drops.toJSON(),
          ...this.#machine.drops.toJSON(),
          ...this.#portForward.lease.drops.toJSON(),
        },
        crypto: this.#crypto.name,
      },
      killswitch: guard.policy.killswitch,
      portForward: this.#portForward.status(now),
      sockets: host.counts(),
    };
  }

  /**
   * Closes every socket and gives the forwarded port back, which takes a second at most, then closes the tunnel and wipes the keys.
   * Safe to call twice.
   */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new SluiceError('ERR_CLOSED', 'The tunnel was closed.'));
    clearTimeout(this.#freshPort);
    await Promise.all([this.#sockets.close(), this.#portForward.release()]);
    await this.#engine.close();
    await this.#timestamps.close();
    this.#enter('disabled', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Resolves the endpoints and opens a fresh port, again and again until both succeed. A port made before the host moved to
   * another network would go on sending from an address that is gone (K clear_peer_endpoint_src).
   */
  async #connect(): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    await this.#connectUntilDone();
    this.#connecting = false;
  }

  async #connectUntilDone(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        const servers = await this.#resolveServers();
        this.#attempts++;
        this.#endpoint = [...servers.values()][0];
        return await this.#engine.connect(servers, this.#config.listenPort);
      } catch (error) {
        const code = error instanceof SluiceError ? error.code : 'ERR_UDP_PORT';
        this.#fault(reason(code, error instanceof Error ? error.message : String(error)));
      }
      await sleep(RETRY_MS, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  async #resolveServers(): Promise<Map<Peer, Endpoint>> {
    const servers = new Map<Peer, Endpoint>();
    for (const [index, { endpoint: name }] of this.#config.peers.entries()) {
      if (!name) continue;
      const endpoints = await resolveEndpoint(name);
      const endpoint = endpoints[this.#attempts % endpoints.length];
      if (!endpoint) throw new SluiceError('ERR_ENDPOINT_LOOKUP', `The VPN server’s name ${name.host} has no address.`);
      servers.set(this.#machine.peers[index]!, endpoint);
    }
    if (servers.size === 0) throw new SluiceError('ERR_CONFIG_ENDPOINT', 'The configuration names no server.');
    return servers;
  }

  #handleTunnelEvent(event: TunnelEvent): void {
    switch (event.kind) {
      case 'port-forward':
        this.#portForward.handleEvent(event.event);
        return;
      case 'handshake':
        this.#handshakes++;
        clearTimeout(this.#freshPort);
        this.#follow();
        this.emit('handshake', { endpoint: this.status().tunnel.endpoint ?? '', count: this.#handshakes });
        return;
      case 'handshake-retry':
        if (event.attempt % 2 === 0) this.#refreshPortSoon();
        return;
      case 'handshake-failed':
        if (event.reason === 'clock-implausible') this.#fault(this.#clockReason(), true);
        // A tunnel never gives up: the series of twenty starts anew.
        else this.#engine.mutate((now) => this.#machine.device.initiate(event.peer, now));
        return;
      case 'guard':
        this.#handleGuard(event.output);
        return;
      case 'endpoint-changed':
        this.#endpoint = event.endpoint;
        return;
    }
  }

  /** Between two retries, so that the answer to the last one may still come and the next one leaves through the fresh port. */
  #refreshPortSoon(): void {
    clearTimeout(this.#freshPort);
    this.#freshPort = setTimeout(() => void this.#connect(), RETRY_MS / 2);
  }

  #clockReason(): Reason {
    const { code, message } =
      this.#timestamps.problem ?? new SluiceError('ERR_CLOCK', 'This host’s date is implausible.');
    return reason(code, message);
  }

  #handleGuard(output: GuardOutput): void {
    if (output.kind === 'engaged') this.emit('killswitch.engaged', { reasons: output.reasons });
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
    if (state === this.#state && why?.code === this.#reason?.code) return;
    if (state !== this.#state) this.#since = systemClock.wallMs();
    this.#state = state;
    this.#reason = why;
    this.emit('state', { state, reason: why });
  }
}

function reason(code: keyof typeof ERRORS, message: string): Reason {
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

function latest(times: readonly (Instant | undefined)[]): Instant | undefined {
  return times.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
