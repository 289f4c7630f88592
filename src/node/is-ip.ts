/** `isIP` and its kin with node:net's meaning: an IPv6 address may name a zone. Here so that node:net is not needed. */

import { parseIp } from '../core/base/address.ts';

export function isIP(text: string): 0 | 4 | 6 {
  const [address, zone] = splitZone(String(text));
  const parsed = parseIp(address);
  if (!parsed || (zone !== undefined && (parsed.family === 4 || !/^[\w.~-]+$/.test(zone)))) return 0;
  return parsed.family;
}

export function isIPv4(text: string): boolean {
  return isIP(text) === 4;
}

export function isIPv6(text: string): boolean {
  return isIP(text) === 6;
}

function splitZone(text: string): [address: string, zone?: string] {
  const at = text.indexOf('%');
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
