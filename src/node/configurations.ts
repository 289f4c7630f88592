/** The `.conf` and its fallbacks, as the tunnel holds them. */

import type { Crypto } from '../core/base/crypto.ts';
import type { TunnelConfiguration } from '../core/tunnel/messages.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import { openTimestampState, type TimestampState } from './timestamp-state.ts';

export interface Configuration {
  readonly wireguard: WireGuardConfig;
  readonly timestamps: TimestampState;
}

const DEFAULT_MTU = 1420;
/** Keeps NAT mappings and the session alive where the `.conf` says nothing; an explicit 0 is honoured. */
const DEFAULT_KEEPALIVE_SECONDS = 25;

/** Of this end. */
export function publicKeyOf({ privateKey }: WireGuardConfig, crypto: Crypto): Uint8Array {
  const identity = crypto.keyPair(privateKey);
  identity.wipe();
  return identity.publicKey;
}

/** Configurations with the same key share its timestamps. Throws `ERR_STATE_DIR`. */
export async function withTimestamps(
  configs: readonly WireGuardConfig[],
  crypto: Crypto,
  stateDir: string | undefined,
): Promise<readonly Configuration[]> {
  const byKey = new Map<string, Promise<TimestampState>>();
  return Promise.all(
    configs.map(async (wireguard) => {
      const publicKey = publicKeyOf(wireguard, crypto);
      const opened = byKey.get(publicKey.join()) ?? openTimestampState(publicKey, stateDir);
      byKey.set(publicKey.join(), opened);
      return { wireguard, timestamps: await opened };
    }),
  );
}

/** As the machine takes it. Endpoints come later, when their names are looked up. */
export function machineConfiguration({ privateKey, peers, addresses, dns, mtu }: WireGuardConfig): TunnelConfiguration {
  return {
    privateKey,
    peers: peers.map(({ endpoint: _, persistentKeepaliveSeconds = DEFAULT_KEEPALIVE_SECONDS, ...peer }) => ({
      ...peer,
      persistentKeepaliveSeconds,
    })),
    addresses: addresses.map(({ address }) => address),
    dnsServers: dns,
    mtu: mtu ?? DEFAULT_MTU,
  };
}
