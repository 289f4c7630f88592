/** The stack's own addresses, which of them speaks to whom, and which addresses may stand in a packet at all. */

import type { IpAddress } from '../base/address.ts';
import { isAllZero } from '../base/bytes.ts';

export class LocalAddresses {
  #addresses: readonly IpAddress[];

  constructor(addresses: readonly IpAddress[]) {
    this.#addresses = addresses;
  }

  set(addresses: readonly IpAddress[]): void {
    this.#addresses = addresses;
  }

  /** Which of ours stands at `offset`; `undefined` if none. Called per packet. */
  at(bytes: Uint8Array, offset: number, family: 4 | 6): IpAddress | undefined {
    for (let i = 0; i < this.#addresses.length; i++) {
      const address = this.#addresses[i]!;
      if (address.family === family && equalAt(address.bytes, bytes, offset)) return address;
    }
    return undefined;
  }

  includes(address: IpAddress): boolean {
    return this.at(address.bytes, 0, address.family) !== undefined;
  }

  /**
   * The address to send from: of ours in that family, the one that shares most leading bits with `remote` (RFC 6724 §5, rule 8).
   * `undefined` if there is none, and for a remote that nothing can be sent to: not unicast, loopback, or one of ours.
   */
  sourceFor(remote: IpAddress): IpAddress | undefined {
    if (!isUnicast(remote.bytes, 0, remote.family) || this.includes(remote)) return undefined;
    let best: IpAddress | undefined;
    let bestBits = -1;
    for (const address of this.#addresses) {
      if (address.family !== remote.family) continue;
      const bits = commonBits(address.bytes, remote.bytes);
      if (bits > bestBits) {
        best = address;
        bestBits = bits;
      }
    }
    return best;
  }
}

/**
 * True for an address that one host on a network can have: not unspecified, loopback, multicast, broadcast or reserved (RFC 1122
 * §3.2.1.3, RFC 4291 §2.5 to §2.7), nor an IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2), which never travels.
 */
export function isUnicast(bytes: Uint8Array, offset: number, family: 4 | 6): boolean {
  const first = bytes[offset]!;
  if (family === 4) return first !== 0 && first !== 127 && first < 224;
  if (first === 0xff) return false;
  if (first !== 0) return true;
  let bits = 0;
  for (let i = 1; i < 10; i++) bits |= bytes[offset + i]!;
  if (bits !== 0) return true;
  if (bytes[offset + 10] === 0xff && bytes[offset + 11] === 0xff) return false;
  for (let i = 10; i < 15; i++) bits |= bytes[offset + i]!;
  return bits !== 0 || bytes[offset + 15]! > 1;
}

/** True for 0.0.0.0 and ::, which mean "any address" to those who bind. */
export function isUnspecified(address: IpAddress): boolean {
  return isAllZero(address.bytes);
}

/** Compares a whole address with the bytes at `offset`. */
export function equalAt(address: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < address.length; i++) if (address[i] !== bytes[offset + i]) return false;
  return true;
}

function commonBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! ^ b[i]!;
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return 8 * a.length;
}
