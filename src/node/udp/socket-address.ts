/** `sockaddr_in` and `sockaddr_in6` (ip(7), ipv6(7)) to endpoints and back. */

import { type Endpoint, parseIp } from '../../core/base/address.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Of a `sockaddr_in6`, the larger one. */
export const MAX_SOCKET_ADDRESS_LENGTH = 28;

const PORT = 2;
const V4_ADDRESS = 4;
const V6_ADDRESS = 8;

export function encodeSocketAddress({ address, port }: Endpoint): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? 16 : MAX_SOCKET_ADDRESS_LENGTH);
  bytes[0] = address.family === 4 ? AF_INET : AF_INET6;
  bytes[PORT] = port >>> 8;
  bytes[PORT + 1] = port & 0xff;
  bytes.set(address.bytes, address.family === 4 ? V4_ADDRESS : V6_ADDRESS);
  return bytes;
}

/** Undefined for another family. */
export function decodeSocketAddress(bytes: Uint8Array, offset: number): Endpoint | undefined {
  const family = bytes[offset]! | (bytes[offset + 1]! << 8);
  const port = (bytes[offset + PORT]! << 8) | bytes[offset + PORT + 1]!;
  const part = (from: number, length: number): Uint8Array => bytes.slice(offset + from, offset + from + length);
  if (family === AF_INET) return { address: { family: 4, bytes: part(V4_ADDRESS, 4) }, port };
  if (family === AF_INET6) return { address: { family: 6, bytes: part(V6_ADDRESS, 16) }, port };
  return undefined;
}

/** Sources remembered, so that each of them is one object. */
const MAX_SOURCES = 1024;

/** The endpoints that datagrams came from: the same object for the same source, and quickly so for the one before. */
export class Sources {
  readonly #known: Map<string, Endpoint> = new Map();
  readonly #lastBytes: Uint8Array = new Uint8Array(MAX_SOCKET_ADDRESS_LENGTH);
  #lastLength = 0;
  #lastText = '';
  #last: Endpoint | undefined;

  /** The source whose socket address lies at `offset`. */
  ofSocketAddress(bytes: Uint8Array, offset: number): Endpoint | undefined {
    if (this.#isLast(bytes, offset)) return this.#last;
    const endpoint = decodeSocketAddress(bytes, offset);
    if (!endpoint) return undefined;
    this.#last = this.#remember(endpoint);
    this.#lastText = '';
    this.#lastLength = endpoint.address.family === 4 ? V4_ADDRESS + 4 : V6_ADDRESS + 16;
    for (let i = 0; i < this.#lastLength; i++) this.#lastBytes[i] = bytes[offset + i]!;
    return this.#last;
  }

  /** The source as node:dgram tells it. */
  ofText(address: string, port: number): Endpoint | undefined {
    if (this.#lastText === address && this.#last?.port === port) return this.#last;
    const parsed = parseIp(withoutZone(address));
    if (!parsed) return undefined;
    this.#last = this.#remember({ address: parsed, port });
    this.#lastText = address;
    this.#lastLength = 0;
    return this.#last;
  }

  #remember(endpoint: Endpoint): Endpoint {
    const key = `${endpoint.port} ${endpoint.address.bytes.join('.')}`;
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#known.size >= MAX_SOURCES) this.#known.clear();
    this.#known.set(key, endpoint);
    return endpoint;
  }

  #isLast(bytes: Uint8Array, offset: number): boolean {
    for (let i = 0; i < this.#lastLength; i++) if (this.#lastBytes[i] !== bytes[offset + i]) return false;
    return this.#lastLength > 0;
  }
}

/** `fe80::1%eth0` without its interface. */
export function withoutZone(address: string): string {
  const at = address.indexOf('%');
  return at < 0 ? address : address.slice(0, at);
}
