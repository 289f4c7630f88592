/** What the sandbox takes and tells, as plain data. */

import type { CryptoName } from '../node/crypto/select.ts';
import type { SandboxClientStats } from './client.ts';
import type { LinkCounts } from './faults.ts';

export interface SandboxOptions {
  /** Where WireGuard listens; default 127.0.0.1 and any free port. */
  readonly listen?: { readonly address?: string; readonly port?: number };
  /** The address by which the virtual internet sees all clients; default 203.0.113.10. */
  readonly publicAddress?: string;
  /** The same for IPv6; default 2001:db8:203::10. `null`: this provider carries no IPv6. */
  readonly publicAddressV6?: string | null;
  /** Makes keys, ports and faults repeatable. The keys are then no secret. */
  readonly seed?: number;
  /** The server's private key in base64; a new one by default. */
  readonly privateKey?: string;
  /** Of the tunnel, in bytes; default 1420. */
  readonly mtu?: number;
  /** Forces one crypto backend; by default the fastest that passes its self-test. */
  readonly crypto?: CryptoName;
}

export interface SandboxHostOptions {
  /** A name that the sandbox's DNS gives the host's addresses. */
  readonly name?: string;
  /** Default: the next free ones of 198.51.100.0/24 and 2001:db8:198::/64. */
  readonly addresses?: readonly string[];
  /** Of its link, in bytes; default that of the tunnel. A larger one makes the router send "packet too big". */
  readonly mtu?: number;
}

/** A client as `addClient` returns it. */
export interface SandboxClient {
  /** A complete WireGuard configuration, private key included: for any client that reads `.conf` files. */
  readonly conf: string;
  /** Inside the tunnel. */
  readonly addresses: readonly string[];
  /** Base64. */
  readonly publicKey: string;
  stats(): SandboxClientStats;
  /** The server forgets the client: what it still sends is dropped. */
  remove(): void;
}

/** Everything countable at one moment. Plain data. */
export interface SandboxStats {
  readonly endpoint: string;
  readonly exitAddresses: readonly string[];
  readonly clients: readonly SandboxClientStats[];
  readonly hosts: number;
  /** Sessions of the address translation. */
  readonly sessions: number;
  readonly link: { readonly toServer: LinkCounts; readonly toClients: LinkCounts };
  /** By who dropped and why; reasons that never occurred are absent. */
  readonly drops: Readonly<Record<'wireguard' | 'router' | 'nat' | 'sandbox', Readonly<Record<string, number>>>>;
}
