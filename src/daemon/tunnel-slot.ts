/** Where the daemon's tunnel goes. While there is none, everything is blocked, and the status says why. */

import { EventEmitter } from 'node:events';
import { type ApiSource, EVENT_NAMES } from '../api/source.ts';
import { SluiceError } from '../core/base/errors.ts';
import { VERSION } from '../core/base/version.ts';
import type { ProbeStatus, Reason, StatusSnapshot } from '../node/status.ts';
import type { Tunnel } from '../node/tunnel.ts';
import type { TunnelEvents } from '../node/tunnel-options.ts';

export const STARTING: Reason = {
  code: 'starting',
  message: 'The daemon is starting; nothing flows yet.',
  hint: 'Wait a moment.',
};

export const UNCONFIGURED: Reason = {
  code: 'unconfigured',
  message: 'No WireGuard configuration was given; nothing flows.',
  hint: 'Download a .conf from your VPN provider, and start with: sluice up FILE.conf',
};

export class TunnelSlot extends EventEmitter<TunnelEvents> implements ApiSource {
  readonly #since = new Date().toISOString();
  #tunnel: Tunnel | undefined;
  #reason: Reason;

  /** `reason`: why there is no tunnel. */
  constructor(reason: Reason) {
    super();
    this.#reason = reason;
  }

  /** Events of the tunnel are events of the slot from now on. */
  fill(tunnel: Tunnel): void {
    this.#tunnel = tunnel;
    const emit = this.emit.bind(this) as (name: string, ...payload: unknown[]) => boolean;
    for (const name of EVENT_NAMES) tunnel.on(name, (...payload: unknown[]) => emit(name, ...payload));
  }

  status(): StatusSnapshot {
    return this.#tunnel?.status() ?? blocked(this.#reason, this.#since);
  }

  async probe(): Promise<ProbeStatus> {
    if (!this.#tunnel) throw this.#none();
    return await this.#tunnel.probe();
  }

  async acceptExit(): Promise<ProbeStatus> {
    if (!this.#tunnel) throw this.#none();
    return await this.#tunnel.acceptExit();
  }

  #none(): SluiceError {
    return new SluiceError('ERR_NO_TUNNEL', this.#reason.message, { hint: this.#reason.hint });
  }
}

function blocked(reason: Reason, since: string): StatusSnapshot {
  return {
    version: VERSION,
    enabled: true,
    state: 'blocked',
    since,
    reason,
    tunnel: {
      endpoint: null,
      addresses: [],
      dns: [],
      mtu: 0,
      handshakes: 0,
      handshakeAgeSeconds: null,
      rxBytes: 0,
      txBytes: 0,
      drops: {},
      crypto: 'none',
    },
    killswitch: { enabled: true, engaged: true, reasons: ['starting'] },
    probe: { verdict: 'off', ipv4: null, ipv6: null, checkedAt: null, nextInSeconds: null },
    portForward: {
      provider: 'none',
      state: 'off',
      port: null,
      protocols: [],
      leaseSeconds: null,
      renewInSeconds: null,
      reachable: 'unknown',
    },
    clients: [],
    sockets: { tcp: 0, udp: 0, listening: 0 },
  };
}
