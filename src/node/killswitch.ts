/** The killswitch as options and status have it; what it does is `core/guard`'s and `core/tunnel`'s. */

import type { GuardSettings } from '../core/guard/guard.ts';
import type { GuardReason } from '../core/guard/policy.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';

export interface KillswitchOptions {
  /** Default true. False: a tunnel that goes silent keeps its sockets waiting without a limit, and nothing is paused. */
  readonly enabled?: boolean;
  /** The age of the latest handshake from which on the tunnel is stale. Default 180, at least 150: a healthy one grows to 145 s. */
  readonly staleAfterSeconds?: number;
  /** How long the server may leave handshakes unanswered, with nothing else received. Default 30. */
  readonly silentAfterSeconds?: number;
}

/** `killswitch` in the status. */
export interface KillswitchStatus {
  readonly enabled: boolean;
  readonly engaged: boolean;
  readonly reasons: readonly GuardReason[];
}

const LEAST_STALE_SECONDS = 150;

/** The guard's settings. Throws RangeError for limits that a healthy tunnel would trip over. */
export function guardSettings(options: KillswitchOptions = {}, { peers }: WireGuardConfig): GuardSettings {
  const { enabled = true, ...limits } = options;
  const { staleAfterSeconds = LEAST_STALE_SECONDS, silentAfterSeconds = 1 } = limits;
  if (!(staleAfterSeconds >= LEAST_STALE_SECONDS))
    throw new RangeError(`"staleAfterSeconds" expected ${LEAST_STALE_SECONDS} or more, got ${staleAfterSeconds}`);
  if (!(silentAfterSeconds > 0))
    throw new RangeError(`"silentAfterSeconds" expected more than 0, got ${silentAfterSeconds}`);
  // Without keepalives an idle tunnel has no handshakes, and their age says nothing.
  const keepalive = peers.every(({ persistentKeepaliveSeconds }) => persistentKeepaliveSeconds !== 0);
  return { ...limits, killswitch: enabled, keepalive };
}
