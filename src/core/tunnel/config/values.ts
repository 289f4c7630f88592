/** The values of a `.conf` other than keys: text to value, once, with the unit in the name of what comes out. */

import { type IpAddress, type Prefix, parseIp, parsePrefix, prefix } from '../../base/address.ts';
import { fault, shown } from './fault.ts';
import type { Entry } from './lines.ts';

/** An address of the tunnel's own end with the length of its network: host bits are kept. */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly bits: number;
}

/** A server as the file names it: a literal address (IPv6 without brackets) or a host name. */
export interface EndpointText {
  readonly host: string;
  readonly port: number;
}

/** One item of `Address`: `10.2.0.2/32`, `fd00::2/128`, or an address alone. Throws `ERR_CONFIG_ADDRESS`. */
export function readAddress(entry: Entry): InterfaceAddress {
  const network = readPrefix(entry);
  const address = parseIp(entry.value.split('/')[0]!)!;
  return { address, bits: network.bits };
}

/** One item of `AllowedIPs`, host bits cleared. Throws `ERR_CONFIG_ADDRESS`. */
export function readPrefix({ key, value, place }: Entry): Prefix {
  const parsed = parsePrefix(value);
  if (parsed) return parsed;
  const [addressText = '', bitsText] = split(value, '/');
  const address = parseIp(addressText.trim());
  const tolerated = address && bitsText !== undefined && parsePrefix(`${addressText.trim()}/${bitsText.trim()}`);
  if (tolerated) return tolerated;
  throw fault('ERR_CONFIG_ADDRESS', place, `${key}: ${shown(value)} ${prefixComplaint(addressText, bitsText)}.`);
}

/** One item of `DNS`: the address of a server, or a search domain. Throws `ERR_CONFIG_VALUE`. */
export function readDns({ key, value, place }: Entry): IpAddress | string {
  const address = parseIp(value);
  if (address) return address;
  if (isHostName(value)) return value.toLowerCase();
  throw fault(
    'ERR_CONFIG_VALUE',
    place,
    `${key}: ${shown(value)} is neither an IP address nor a domain; expected something like 10.2.0.1 or example.com.`,
    'Use the address of a DNS server alone, without port, prefix length or URL.',
  );
}

/** `host:port`, `[IPv6]:port`. Throws `ERR_CONFIG_ENDPOINT`. */
export function readEndpoint({ key, value, place }: Entry): EndpointText {
  const wrong = (what: string, hint?: string): Error => fault('ERR_CONFIG_ENDPOINT', place, `${key} ${what}.`, hint);
  if (value === '') throw wrong('is empty; expected the server’s address and port');
  if (value.includes('://')) throw wrong(`${shown(value)} is a URL; expected address and port alone`);
  if (parseIp(value)?.family === 6)
    throw wrong(`${shown(value)} needs brackets and a port`, `Write it as [${value}]:51820, if 51820 is the port.`);
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(value);
  if (!match) {
    const loose = /^\[[^\]]*\]$|^[^:[\]]+$/.test(value);
    throw wrong(
      loose ? `${shown(value)} has no port; expected one after a colon` : `${shown(value)} is not address and port`,
    );
  }
  const bracketed = match[1]?.trim();
  const host = bracketed ?? match[2]!.trim();
  const port = toInteger(match[3]!.trim());
  if (port === undefined || port < 1 || port > 65535)
    throw wrong(`${shown(value)} has no valid port; expected a number from 1 to 65535`);
  if (bracketed !== undefined ? parseIp(host)?.family !== 6 : !parseIp(host) && !isHostName(host))
    throw wrong(
      `${shown(value)} has no valid ${bracketed === undefined ? 'address or host name' : 'IPv6 address in its brackets'}`,
    );
  return { host, port };
}

/** A whole number within bounds, both included. Throws `ERR_CONFIG_VALUE`. */
export function readInteger({ key, value, place }: Entry, lowest: number, highest: number): number {
  const number = toInteger(value);
  if (number !== undefined && number >= lowest && number <= highest) return number;
  const complaint = value === '' ? 'is empty' : `is ${shown(value)}`;
  throw fault('ERR_CONFIG_VALUE', place, `${key} ${complaint}; expected a whole number from ${lowest} to ${highest}.`);
}

/** `off` or seconds. Throws `ERR_CONFIG_VALUE`. */
export function readKeepaliveSeconds(entry: Entry): number {
  return entry.value.toLowerCase() === 'off' ? 0 : readInteger(entry, 0, 65535);
}

function toInteger(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function prefixComplaint(addressText: string, bitsText: string | undefined): string {
  const address = parseIp(addressText.trim());
  if (!address) return 'has no valid IP address before the “/”, if any; expected something like 10.2.0.2/32';
  const size = address.bytes.length * 8;
  const mask = parseIp(bitsText ?? '');
  const bits = mask && address.family === mask.family ? maskBits(mask) : undefined;
  if (bits !== undefined) return `has a netmask; expected /${bits} instead`;
  return `has no valid length after the “/”; expected a whole number from 0 to ${size}`;
}

function maskBits(mask: IpAddress): number | undefined {
  const ones = { family: mask.family, bytes: mask.bytes.map(() => 255) };
  for (let bits = 0; bits <= mask.bytes.length * 8; bits++)
    if (prefix(ones, bits).address.bytes.every((byte, i) => byte === mask.bytes[i])) return bits;
  return undefined;
}

/** RFC 1123 §2.1, plus underscores as some networks use them; a name whose last label is a number is a mistyped address. */
function isHostName(text: string): boolean {
  const name = text.endsWith('.') ? text.slice(0, -1) : text;
  if (name.length < 1 || name.length > 253) return false;
  const labels = name.split('.');
  return (
    labels.every((label) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1)!)
  );
}

function split(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
