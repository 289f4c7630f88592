/** Which addresses an exit can have at all. */

import { type IpAddress, type Prefix, parsePrefix, prefixContains } from '../base/address.ts';

/**
 * Networks whose addresses never appear as a source on the public internet (RFC 6890). The documentation networks are not among them:
 * tests and the sandbox live there.
 */
const NOT_PUBLIC: readonly Prefix[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
  // Unspecified, loopback, IPv4-mapped and its kin.
  '::/8',
  // NAT64: an IPv4 address in disguise.
  '64:ff9b::/32',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
].map((text) => parsePrefix(text)!);

/** Whether `address` can be the exit of a VPN as the internet sees it. */
export function isPublic(address: IpAddress): boolean {
  return !NOT_PUBLIC.some((network) => prefixContains(network, address));
}
