/** What a `.conf` says, as values. Made by `parseWireGuardConfig`, or by hand. */

import type { IpAddress, Prefix } from '../../base/address.ts';
import type { EndpointText, InterfaceAddress } from './values.ts';

export interface WireGuardConfig {
  readonly privateKey: Uint8Array;
  /** This end's addresses inside the tunnel, host bits kept; at least one. */
  readonly addresses: readonly InterfaceAddress[];
  readonly dns: readonly IpAddress[];
  readonly searchDomains: readonly string[];
  readonly mtu?: number;
  readonly listenPort?: number;
  /** At least one, and at least one with an endpoint. */
  readonly peers: readonly WireGuardPeerConfig[];
  /** Comments above the first [Peer], in order, without `#`; providers write their settings there. Keys in them are removed. */
  readonly comments: readonly string[];
  readonly warnings: readonly ConfigWarning[];
}

export interface WireGuardPeerConfig {
  readonly publicKey: Uint8Array;
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: EndpointText;
  /** At least one. */
  readonly allowedIps: readonly Prefix[];
  /** 0: off. Absent: the file does not say. */
  readonly persistentKeepaliveSeconds?: number;
  /** Comments of this section, such as the server's name. */
  readonly comments?: readonly string[];
}

export interface ConfigWarning {
  readonly line: number;
  readonly message: string;
}
