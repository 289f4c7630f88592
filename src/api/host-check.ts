/**
 * The Host check: a web page of a stranger can make its own name resolve to 127.0.0.1 and have the visitor's browser ask this API
 * (DNS rebinding). The browser then still says that name in Host, so only names that nobody else can own are answered.
 */

import { formatIp, parseIp } from '../core/base/address.ts';

export type HostVerdict = 'allowed' | 'foreign' | 'malformed';

/**
 * Judges the Host header of a request (RFC 9110 §7.2). Allowed are `localhost`, loopback addresses, and the address that the connection
 * came to; any port, since tunnels and proxies change it.
 */
export function checkHost(header: string, localAddress: string | undefined): HostVerdict {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([\w.~%!$&'()*+,;=-]+))(?::(\d{0,5}))?$/.exec(header);
  if (!match || Number(match[3] ?? 0) > 65_535) return 'malformed';
  const [, bracketed, plain = ''] = match;
  const address = parseIp(bracketed ?? plain);
  if (bracketed !== undefined && address?.family !== 6) return 'malformed';
  if (address) {
    const text = formatIp(address);
    return isLoopback(text) || text === unmapped(localAddress) ? 'allowed' : 'foreign';
  }
  // One dot at the end makes a name absolute, and is no part of it (RFC 1034 §3.1).
  return plain.replace(/\.$/, '').toLowerCase() === 'localhost' ? 'allowed' : 'foreign';
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** A dual-stack listener sees IPv4 callers as `::ffff:192.0.2.1`. */
function unmapped(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/, '');
}
