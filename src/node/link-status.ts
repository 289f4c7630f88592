/** `tunnel` in the status: the link to the VPN server, in figures. */

import { type Endpoint, formatEndpoint, formatIp } from '../core/base/address.ts';
import { elapsedMs, type Instant } from '../core/base/instant.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { LinkFigures } from './engine.ts';
import type { TunnelStatus } from './status.ts';

/** What the engine does not know. */
export interface LinkFacts {
  /** The configuration in use. */
  readonly wireguard: WireGuardConfig;
  readonly endpoint: Endpoint | undefined;
  readonly handshakes: number;
  readonly now: Instant;
}

export function linkStatus({ lastHandshakeAt, ...figures }: LinkFigures, facts: LinkFacts): TunnelStatus {
  const { wireguard, endpoint, handshakes, now } = facts;
  const ageMs = lastHandshakeAt === undefined ? undefined : elapsedMs(lastHandshakeAt, now);
  return {
    endpoint: endpoint ? formatEndpoint(endpoint) : null,
    addresses: wireguard.addresses.map(({ address, bits }) => `${formatIp(address)}/${bits}`),
    dns: wireguard.dns.map(formatIp),
    handshakes,
    handshakeAgeSeconds: ageMs === undefined ? null : Math.round(ageMs / 100) / 10,
    ...figures,
  };
}
