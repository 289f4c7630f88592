/**
 * What a resolver is asked for: a literal address, a name for the DNS, or a name that the DNS must not see.
 *
 * Letters, digits, hyphens and underscores are allowed anywhere in a label: stricter rules would refuse names that exist. Names
 * in other scripts arrive in their ASCII form (RFC 5890), as `URL` makes it. Names of one label are asked as they are; there is no
 * search list.
 */

import { type IpAddress, parseIp } from '../base/address.ts';

export type HostName =
  | { readonly kind: 'literal'; readonly address: IpAddress }
  /** Lower case, without the final dot. */
  | { readonly kind: 'name'; readonly name: string }
  /** Belongs to another system than the DNS, or is known not to exist. */
  | { readonly kind: 'reserved' }
  | { readonly kind: 'invalid' };

/**
 * Never asked: `localhost` (RFC 6761 §6.3; a tunnel has no loopback), `invalid` (§6.4), `local` (multicast DNS, RFC 6762 §3: the
 * host's own network must not show in the tunnel's DNS) and `onion` (RFC 7686 §2).
 */
const RESERVED = new Set(['localhost', 'invalid', 'local', 'onion']);

export function parseHostName(text: string): HostName {
  const address = parseIp(text);
  if (address) return { kind: 'literal', address };
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  const labels = name.split('.');
  if (name.length > 253 || !labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label))) return { kind: 'invalid' };
  const top = labels.at(-1)!;
  // A last label of digits is a malformed address (RFC 1123 §2.1), which the DNS need not see.
  if (/^\d+$/.test(top)) return { kind: 'invalid' };
  return RESERVED.has(top) ? { kind: 'reserved' } : { kind: 'name', name };
}
