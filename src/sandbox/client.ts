/** One client of the sandbox: the `.conf` to give to any WireGuard, and what the server knows about it. */

import type { IpAddress } from '../core/base/address.ts';
import { formatEndpoint, formatIp, parsePrefix } from '../core/base/address.ts';
import { toBase64 } from '../core/base/bytes.ts';
import type { Instant } from '../core/base/instant.ts';
import { formatWireGuardConfig, type WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { NatPmpLease } from './natpmp-gateway.ts';
import type { ClientNode } from './nodes.ts';

export interface SandboxClientOptions {
  /** Mixes a pre-shared key into every handshake; default false. */
  readonly presharedKey?: boolean;
  /** Whether the client gets an IPv6 address too; default true. */
  readonly ipv6?: boolean;
  /** `MTU` of the `.conf`; absent by default, so that the client decides. */
  readonly mtu?: number;
  /** `AllowedIPs` of the `.conf`; default everything. */
  readonly allowedIps?: readonly string[];
  /** Whether the gateway forwards ports for it; default true. Otherwise it is refused as not authorized. */
  readonly portForward?: boolean;
  /** `PersistentKeepalive` of the `.conf`; default 25, 0 for none. */
  readonly persistentKeepaliveSeconds?: number;
}

/** One client as the server sees it. Plain data. */
export interface SandboxClientStats {
  readonly publicKey: string;
  readonly addresses: readonly string[];
  /** Where its datagrams came from last; `null` before the first handshake. */
  readonly endpoint: string | null;
  readonly handshakes: number;
  readonly handshakeAgeSeconds: number | null;
  /** Bytes of WireGuard datagrams that the server received and sent, over all restarts. */
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly ports: readonly SandboxPort[];
}

/** A forwarded port in force. */
export interface SandboxPort {
  readonly protocol: 'tcp' | 'udp';
  /** On the public address. */
  readonly externalPort: number;
  /** Where the client must listen. */
  readonly insidePort: number;
  readonly expiresInSeconds: number;
}

export interface ConfigOptions extends SandboxClientOptions {
  readonly privateKey: Uint8Array;
  readonly addresses: readonly IpAddress[];
  readonly dns: readonly IpAddress[];
  readonly serverPublicKey: Uint8Array;
  readonly preshared: Uint8Array | undefined;
  readonly host: string;
  readonly port: number;
  readonly name: string;
}

/** The configuration of a client. Throws RangeError for an AllowedIPs entry that is no network. */
export function clientConfig(options: ConfigOptions): Omit<WireGuardConfig, 'warnings'> {
  const { privateKey, addresses, dns, serverPublicKey, preshared, host, port, name, mtu } = options;
  const { allowedIps = ['0.0.0.0/0', '::/0'], persistentKeepaliveSeconds = 25, portForward = true } = options;
  return {
    privateKey,
    addresses: addresses.map((address) => ({ address, bits: address.bytes.length * 8 })),
    dns,
    searchDomains: [],
    ...(mtu === undefined ? {} : { mtu }),
    comments: [`Key for ${name}`, `NAT-PMP (Port Forwarding) = ${portForward ? 'on' : 'off'}`],
    peers: [
      {
        publicKey: serverPublicKey,
        ...(preshared ? { presharedKey: preshared } : {}),
        endpoint: { host, port },
        allowedIps: allowedIps.map((text) => {
          const network = parsePrefix(text);
          if (!network) throw new RangeError(`"allowedIps" expected networks, got ${JSON.stringify(text)}`);
          return network;
        }),
        persistentKeepaliveSeconds,
        comments: ['Sluice sandbox'],
      },
    ],
  };
}

export function formatClientConfig(options: ConfigOptions): string {
  return formatWireGuardConfig(clientConfig(options));
}

export function clientStats(client: ClientNode, leases: readonly NatPmpLease[], now: Instant): SandboxClientStats {
  const { peer, addresses, publicKey, handshakes, rxBytesBefore, txBytesBefore } = client;
  const own = leases.filter((lease) => addresses.some((address) => formatIp(address) === formatIp(lease.client)));
  const seconds = (from: Instant, to: Instant): number => Math.round((to - from) / 100) / 10;
  return {
    publicKey: toBase64(publicKey),
    addresses: addresses.map(formatIp),
    endpoint: peer.endpoint ? formatEndpoint(peer.endpoint) : null,
    handshakes,
    handshakeAgeSeconds: peer.lastHandshakeAt === undefined ? null : seconds(peer.lastHandshakeAt, now),
    rxBytes: rxBytesBefore + peer.rxBytes,
    txBytes: txBytesBefore + peer.txBytes,
    ports: own.map(({ protocol, externalPort, insidePort, expiresAt }) => ({
      protocol,
      externalPort,
      insidePort,
      expiresInSeconds: seconds(now, expiresAt),
    })),
  };
}
