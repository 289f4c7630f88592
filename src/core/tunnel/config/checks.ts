/** What no section can get wrong alone: keys that belong to the other side, peers that share a key, a file without a server. */

import { compareBytes } from '../../base/bytes.ts';
import { fault } from './fault.ts';
import { type Key, type Section, single } from './lines.ts';
import type { ConfigWarning, WireGuardPeerConfig } from './model.ts';

/** Keys that are right one by one but cannot be right together. Throws `ERR_CONFIG_KEY`. */
export function checkKeys(
  privateKey: Uint8Array,
  peers: readonly WireGuardPeerConfig[],
  sections: readonly Section[],
  derivePublicKey: ((privateKey: Uint8Array) => Uint8Array) | undefined,
): void {
  const ownPublicKey = derivePublicKey?.(privateKey);
  for (const [index, { publicKey, presharedKey }] of peers.entries()) {
    const section = sections[index]!;
    const wrong = (key: Key, message: string, hint: string): Error =>
      fault('ERR_CONFIG_KEY', single(section, key)?.place ?? section.place, message, hint);
    if (same(publicKey, privateKey))
      throw wrong(
        'PublicKey',
        'PublicKey is the same as PrivateKey; expected your private key above and the server’s public key here.',
        'Take both from your provider again: PrivateKey is yours, PublicKey is the server’s.',
      );
    if (ownPublicKey && same(publicKey, ownPublicKey))
      throw wrong(
        'PublicKey',
        'PublicKey is your own public key, it belongs to the PrivateKey above; expected the server’s.',
        'Take the server’s public key from your provider.',
      );
    if (presharedKey && (same(presharedKey, publicKey) || same(presharedKey, privateKey)))
      throw wrong(
        'PresharedKey',
        `PresharedKey is the same as ${same(presharedKey, publicKey) ? 'PublicKey' : 'PrivateKey'}; expected a secret of its own.`,
        'Take it from your provider, or remove the line if there is none.',
      );
    const twin = peers.findIndex((peer) => same(peer.publicKey, publicKey));
    if (twin < index)
      throw wrong(
        'PublicKey',
        `this [Peer] has the same PublicKey as the one in line ${sections[twin]!.place.line}; expected another, since the key is what tells peers apart.`,
        'Keep one of the two.',
      );
  }
}

/** A peer without an endpoint waits to be called; somebody has to be callable. Throws `ERR_CONFIG_ENDPOINT`. */
export function checkEndpoints(
  peers: readonly WireGuardPeerConfig[],
  sections: readonly Section[],
  warnings: ConfigWarning[],
): void {
  if (peers.every((peer) => !peer.endpoint))
    throw fault(
      'ERR_CONFIG_ENDPOINT',
      sections[0]!.place,
      'there is no Endpoint under [Peer]; expected the server’s address and port.',
    );
  for (const [index, peer] of peers.entries())
    if (!peer.endpoint)
      warnings.push({
        line: sections[index]!.place.line,
        message: 'This [Peer] has no Endpoint, so it cannot be called first.',
      });
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, b) === 0;
}
