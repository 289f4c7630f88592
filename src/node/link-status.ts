/** `tunnel` in the status: the link to the VPN server, in figures. */

import { type Endpoint, formatEndpoint, formatIp } from '../core/base/address.ts';
import type { DropCounter } from '../core/base/drops.ts';
import { elapsedMs, type Instant } from '../core/base/instant.ts';
import type { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { TunnelStatus } from './status.ts';

/** What the machine does not know. */
export interface LinkFacts {
  /** The configuration in use. */
  readonly wireguard: WireGuardConfig;
  readonly endpoint: Endpoint | undefined;
  readonly handshakes: number;
  readonly leaseDrops: DropCounter<string>;
  readonly crypto: string;
  readonly now: Instant;
}

export function linkStatus(machine: TunnelMachine, facts: LinkFacts): TunnelStatus {
  const { mtu, peers, device, host, drops } = machine;
  const { wireguard, endpoint, handshakes, leaseDrops, crypto, now } = facts;
  const lastHandshakeAt = latest(peers.map((peer) => peer.lastHandshakeAt));
  const ageMs = lastHandshakeAt === undefined ? undefined : elapsedMs(lastHandshakeAt, now);
  return {
    endpoint: endpoint ? formatEndpoint(endpoint) : null,
    addresses: wireguard.addresses.map(({ address, bits }) => `${formatIp(address)}/${bits}`),
    dns: wireguard.dns.map(formatIp),
    mtu,
    handshakes,
    handshakeAgeSeconds: ageMs === undefined ? null : Math.round(ageMs / 100) / 10,
    rxBytes: sum(peers.map((peer) => peer.rxBytes)),
    txBytes: sum(peers.map((peer) => peer.txBytes)),
    drops: { ...device.drops.toJSON(), ...host.drops.toJSON(), ...drops.toJSON(), ...leaseDrops.toJSON() },
    crypto,
  };
}

function latest(times: readonly (Instant | undefined)[]): Instant | undefined {
  return times.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
