/** IP addresses, prefixes and UDP endpoints as values. Text forms: dotted quad, and RFC 5952 for IPv6. */

import { u16be } from './bytes.ts';

/** An IPv4 (4 bytes) or IPv6 (16 bytes) address. Immutable by agreement: nobody writes into `bytes`. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

/** A network: `address` with its host bits cleared, and how many leading bits count. */
export interface Prefix {
  readonly address: IpAddress;
  readonly bits: number;
}

/** Where a UDP datagram comes from or goes to, outside the tunnel. Compare with `sameEndpoint`. */
export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** Copies the bytes of an address; their number (4 or 16) decides the family. */
export function ipFromBytes(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16) throw new RangeError(`"bytes" expected 4 or 16, got ${bytes.length}`);
  return { family: bytes.length === 4 ? 4 : 6, bytes: Uint8Array.from(bytes) };
}

/** Parses a literal address; `undefined` for names, zones (`%eth0`), leading zeros and everything else. */
export function parseIp(text: string): IpAddress | undefined {
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  return bytes && { family: bytes.length === 4 ? 4 : 6, bytes };
}

/** As `parseIp`, for literals in code and tests. Throws RangeError. */
export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (!address) throw new RangeError(`"text" expected an IP address, got ${JSON.stringify(text)}`);
  return address;
}

export function formatIp(address: IpAddress): string {
  return address.family === 4 ? Array.from(address.bytes).join('.') : formatIpv6(address.bytes);
}

export function sameIp(a: IpAddress, b: IpAddress): boolean {
  if (a.family !== b.family) return false;
  for (let i = 0; i < a.bytes.length; i++) if (a.bytes[i] !== b.bytes[i]) return false;
  return true;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a === b || (a.port === b.port && sameIp(a.address, b.address));
}

/** `192.0.2.1:51820` or `[2001:db8::1]:51820`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.family === 4 ? `${formatIp(address)}:${port}` : `[${formatIp(address)}]:${port}`;
}

/** Parses `address/bits`, or an address alone as a host prefix; host bits are cleared. `undefined` if malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!address) return undefined;
  const size = address.bytes.length * 8;
  const digits = slash < 0 ? String(size) : text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > size) return undefined;
  return prefix(address, Number(digits));
}

/** The network of `address` with `bits` leading bits. Throws RangeError if `bits` does not fit the family. */
export function prefix(address: IpAddress, bits: number): Prefix {
  const size = address.bytes.length * 8;
  if (!Number.isInteger(bits) || bits < 0 || bits > size)
    throw new RangeError(`"bits" expected 0 to ${size}, got ${bits}`);
  const masked = address.bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * i))));
  return { address: { family: address.family, bytes: masked }, bits };
}

export function formatPrefix({ address, bits }: Prefix): string {
  return `${formatIp(address)}/${bits}`;
}

export function prefixContains(network: Prefix, address: IpAddress): boolean {
  return network.address.family === address.family && sameIp(prefix(address, network.bits).address, network.address);
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groups(halves[0]!);
  const tail = halves.length === 2 ? groups(halves[1]!) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<number>(Math.max(0, missing)).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >>> 8, group & 255]));
}

/** The 16-bit groups of one side of `::`; a dotted quad may end it (RFC 4291 §2.2). */
function groups(text: string): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const quad = parts.at(-1)!.includes('.') ? parseIpv4(parts.pop()!) : new Uint8Array(0);
  if (!quad || !parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  const values = parts.map((part) => Number.parseInt(part, 16));
  return quad.length === 4 ? [...values, u16be(quad, 0), u16be(quad, 2)] : values;
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run (of two or more) of zero groups shortened, the first on a tie. */
function formatIpv6(bytes: Uint8Array): string {
  const values = Array.from({ length: 8 }, (_, i) => u16be(bytes, 2 * i));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && values[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: number[]): string => part.map((value) => value.toString(16)).join(':');
  if (best.length < 2) return text(values);
  return `${text(values.slice(0, best.start))}::${text(values.slice(best.start + best.length))}`;
}
