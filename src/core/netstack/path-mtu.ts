/**
 * What is known of paths narrower than the tunnel (RFC 1191, RFC 8201). Only TCP lowers it, after checking that the message quotes
 * a segment in flight (RFC 5927 §7.2); the UDP side sends whatever fits the tunnel and leaves the rest to its applications.
 */

import type { IpAddress } from '../base/address.ts';
import { toHex } from '../base/bytes.ts';
import { after, type Instant } from '../base/instant.ts';
import { IPV6_MINIMUM_MTU } from '../wire/ipv6.ts';

/** How long a lower value is believed before the path is tried again (RFC 1191 §6.3 recommends 10 minutes). */
export const PATH_MTU_LIFETIME_MS = 600_000;

/**
 * Below these nothing is believed: every IPv6 link carries 1280, and an IPv4 host that reassembles takes 576. Old routers tell
 * 0; they get the floor (RFC 1191 §5).
 */
const IPV4_FLOOR = 576;

/** Destinations remembered; the oldest gives way. */
const MAX_PATHS = 256;

interface Path {
  readonly mtu: number;
  readonly expiresAt: Instant;
}

export class PathMtu {
  #mtu: number;
  readonly #paths: Map<string, Path> = new Map();

  /** `mtu`: of the tunnel itself. */
  constructor(mtu: number) {
    this.#mtu = mtu;
  }

  get tunnelMtu(): number {
    return this.#mtu;
  }

  /** The tunnel's MTU changed; lower values of single paths stay. */
  setTunnelMtu(mtu: number): void {
    this.#mtu = mtu;
  }

  /** The largest IP packet for `remote`, in bytes. */
  mtuFor(remote: IpAddress, now: Instant): number {
    if (this.#paths.size === 0) return this.#mtu;
    const key = toHex(remote.bytes);
    const path = this.#paths.get(key);
    if (!path) return this.#mtu;
    if (now < path.expiresAt) return Math.min(path.mtu, this.#mtu);
    this.#paths.delete(key);
    return this.#mtu;
  }

  /** Believes a validated packet-too-big. False if it says nothing new: a path never widens by such a message (RFC 8201 §4). */
  lower(remote: IpAddress, mtu: number, now: Instant): boolean {
    const floor = remote.family === 4 ? IPV4_FLOOR : IPV6_MINIMUM_MTU;
    const believed = Math.max(mtu, floor);
    if (believed >= this.mtuFor(remote, now)) return false;
    const key = toHex(remote.bytes);
    this.#paths.delete(key);
    this.#paths.set(key, { mtu: believed, expiresAt: after(now, PATH_MTU_LIFETIME_MS) });
    if (this.#paths.size > MAX_PATHS) for (const oldest of this.#paths.keys()) return this.#paths.delete(oldest);
    return true;
  }

  clear(): void {
    this.#paths.clear();
  }
}
