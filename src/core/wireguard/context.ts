/** What the parts of one device share. */

import type { Endpoint } from '../base/address.ts';
import { sameEndpoint } from '../base/address.ts';
import type { Crypto, Random } from '../base/crypto.ts';
import type { DropCounter } from '../base/drops.ts';
import type { AllowedIps } from './allowed-ips.ts';
import type { IndexTable } from './index-table.ts';
import type { OutputQueue, WireGuardDrop } from './outputs.ts';
import type { IndexOwner, Peer } from './peer.ts';

export interface DeviceContext {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly mtu: number;
  readonly timestamp: () => Uint8Array | undefined;
  readonly drops: DropCounter<WireGuardDrop>;
  readonly outputs: OutputQueue;
  readonly indices: IndexTable<IndexOwner>;
  readonly routes: AllowedIps<Peer>;
  /** By public key, as `peerKey` writes it. */
  readonly peers: Map<string, Peer>;
}

/** The source of an authenticated message becomes the peer's endpoint (whitepaper §2.1), unless it is pinned. */
export function learnEndpoint(context: DeviceContext, peer: Peer, source: Endpoint | undefined): void {
  if (source === undefined || source === peer.endpoint || peer.pinned) return;
  if (peer.endpoint && sameEndpoint(peer.endpoint, source)) return;
  peer.endpoint = source;
  context.outputs.push({ kind: 'endpoint-changed', peer, endpoint: source });
}

/** A public key as a map key. */
export function peerKey(publicKey: Uint8Array): string {
  return String.fromCharCode(...publicKey);
}
