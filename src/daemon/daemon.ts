/**
 * The daemon: a tunnel, the API beside it, and the order in which they start and stop. Nothing is sent before everything else that
 * can be refused was not: the state folder, the API's address.
 */

import { formatListen } from '../api/listen.ts';
import { ApiServer } from '../api/server.ts';
import { SluiceError } from '../core/base/errors.ts';
import { VERSION } from '../core/base/version.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import { Tunnel } from '../node/tunnel.ts';
import { removeAddress, writeAddress } from './address-file.ts';
import { openApiKey } from './api-key.ts';
import type { Logger } from './log.ts';
import { narrate, narrateUdpPort } from './narrate.ts';
import type { Redactor } from './redaction.ts';
import type { Settings } from './settings.ts';
import { makeStateDir } from './state-dir.ts';
import { STARTING, TunnelSlot, UNCONFIGURED } from './tunnel-slot.ts';

export interface DaemonOptions {
  readonly settings: Settings;
  /** The first one, and those to fall back to. None: everything stays blocked. */
  readonly configurations: readonly WireGuardConfig[];
  readonly log: Logger;
  /** Told of every secret before anything is logged. */
  readonly redactor: Redactor;
}

/** The gateway has a second to take the port back, clients have theirs; whatever takes longer hangs. */
const STOP_LIMIT_MS = 8_000;

export class Daemon {
  /** Where the API listens, the real port filled in. */
  readonly address: string;
  /** `undefined` without a configuration. */
  readonly tunnel: Tunnel | undefined;
  readonly #api: ApiServer;
  readonly #log: Logger;
  readonly #stateDir: string;
  #closing: Promise<void> | undefined;

  /**
   * Resolves when the API answers; the tunnel connects meanwhile. Throws `ERR_STATE_DIR`, `ERR_STATE_LOCKED`, `ERR_API_KEY`,
   * `ERR_API_LISTEN` or `ERR_CONFIG_VALUE`, with nothing left open.
   */
  static async start({ settings, configurations, log, redactor }: DaemonOptions): Promise<Daemon> {
    const { stateDir } = settings.tunnel;
    const [wireguard, ...fallback] = configurations;
    makeStateDir(stateDir);
    const apiKey = await openApiKey(stateDir);
    redactor.add(apiKey.text);
    if (apiKey.wasExposed) log.warn({ path: apiKey.path }, 'Other users could read the API key until now.');
    const slot = new TunnelSlot(wireguard ? STARTING : UNCONFIGURED);
    narrate(slot, log);
    const api = await ApiServer.listen({
      listen: settings.api.listen,
      apiKey: apiKey.text,
      source: slot,
      onError: (error) => log.error({ error }, 'The API failed to answer a request.'),
    });
    let tunnel: Tunnel | undefined;
    try {
      tunnel = wireguard && (await openTunnel(settings, wireguard, fallback));
      writeAddress(stateDir, api.address);
    } catch (error) {
      await tunnel?.close();
      await api.close();
      throw error;
    }
    if (tunnel) slot.fill(tunnel);
    const daemon = new Daemon(api, tunnel, log, stateDir);
    log.info({ version: VERSION, api: daemon.address, stateDir }, 'Sluice is running.');
    if (tunnel) narrateUdpPort(log);
    const { reason } = slot.status();
    if (!tunnel && reason) log.warn({ hint: reason.hint }, reason.message);
    return daemon;
  }

  private constructor(api: ApiServer, tunnel: Tunnel | undefined, log: Logger, stateDir: string) {
    this.#api = api;
    this.tunnel = tunnel;
    this.#log = log;
    this.#stateDir = stateDir;
    this.address = formatListen(api.address);
  }

  /**
   * In order: torrent clients, the forwarded port, the tunnel; the API answers until the end. Safe to call twice. Throws
   * `ERR_STOP` if a part of it hangs.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#log.info('Stopping.');
    const limit = new Promise<never>((_, reject) => {
      const hung = new SluiceError('ERR_STOP', `Stopping took longer than ${STOP_LIMIT_MS / 1_000} seconds.`);
      setTimeout(() => reject(hung), STOP_LIMIT_MS).unref();
    });
    await Promise.race([this.#closeParts(), limit]);
    this.#log.info('Stopped.');
  }

  async #closeParts(): Promise<void> {
    await this.tunnel?.close();
    await this.#api.close();
    await removeAddress(this.#stateDir, this.#api.address);
  }
}

async function openTunnel(
  settings: Settings,
  wireguard: WireGuardConfig,
  fallback: readonly WireGuardConfig[],
): Promise<Tunnel> {
  const { portForward, killswitch, probe } = settings;
  const { enabled, stateDir } = settings.tunnel;
  const tunnel = await Tunnel.open({ wireguard, fallback, stateDir, portForward, killswitch, probe });
  if (!enabled) await tunnel.setEnabled(false);
  return tunnel;
}
