/** A tunnel for the length of one command: opened, waited for, and given up in time with a reason. */

import { ERRORS, type ErrorCode, SluiceError } from '../core/base/errors.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { Tunnel } from '../node/tunnel.ts';
import type { TunnelOptions } from '../node/tunnel-options.ts';
import type { Reporter } from './progress/reporter.ts';

/** REKEY_ATTEMPT_TIME is 90 s, but a person wants to know sooner: six handshakes unanswered say enough. */
const READY_TIMEOUT_MS = 30_000;

export interface OpenOptions extends Pick<TunnelOptions, 'killswitch' | 'portForward' | 'probe' | 'stateDir'> {
  readonly reporter: Reporter;
  readonly stop: AbortSignal;
  /** How long to wait for the first handshake, in milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * Opens a tunnel and waits until traffic may flow. Throws the reason why it did not come up; what `stop` aborts with if that was
 * first. The caller closes it.
 */
export async function openTunnel(wireguard: WireGuardConfig, options: OpenOptions): Promise<Tunnel> {
  const { Tunnel } = await import('../node/tunnel.ts');
  const { reporter, stop, timeoutMs = READY_TIMEOUT_MS, ...tunnelOptions } = options;
  const tunnel = await Tunnel.open({ wireguard, ...tunnelOptions });
  let up = false;
  tunnel.on('state', ({ state, reason }) => {
    // The first `connected` is told below; what keeps it away is told at once, long before patience ends.
    if ((!up && !reason) || state === 'disabled') return;
    reporter.note(`Tunnel ${state}${reason ? `: ${reason.message} ${reason.hint}` : '.'}`);
    reporter.event('state', { state, reason });
  });
  // Named and used below: Node forgets a timeout that only AbortSignal.any knows of (nodejs/node#57736).
  const patience = AbortSignal.timeout(timeoutMs);
  try {
    await tunnel.ready({ signal: AbortSignal.any([stop, patience]) });
  } catch (error) {
    const failure = patience.aborted && !stop.aborted ? notReady(tunnel, timeoutMs) : error;
    await tunnel.close();
    throw failure;
  }
  const { endpoint, crypto } = tunnel.status().tunnel;
  reporter.note(`Tunnel up: WireGuard to ${endpoint}.`);
  reporter.event('connected', { endpoint, crypto });
  up = true;
  return tunnel;
}

function notReady(tunnel: Tunnel, timeoutMs: number): SluiceError {
  const { reason, tunnel: facts } = tunnel.status();
  if (reason && Object.hasOwn(ERRORS, reason.code))
    return new SluiceError(reason.code as ErrorCode, reason.message, { hint: reason.hint });
  const server = facts.endpoint === null ? 'The VPN server' : `The VPN server ${facts.endpoint}`;
  return new SluiceError(
    'ERR_HANDSHAKE_TIMEOUT',
    `${server} did not answer a handshake within ${timeoutMs / 1000} seconds.`,
  );
}
