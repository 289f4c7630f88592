/**
 * Who holds which local port: one allocator for TCP, UDP and whatever else comes to share the addresses of a stack.
 *
 * A hold without `remote` is a listener or a bound UDP socket and keeps others off its port; a hold with one is a connection and
 * keeps off only connections to the same remote, so that one port serves many (RFC 6056 §2.2: an instance is the five-tuple).
 */

import { type IpAddress, sameIp } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { randomU32 } from '../base/random.ts';

/** Ephemeral ports, the same range as Linux (RFC 6056 §3.2 asks for a large one). */
export const EPHEMERAL_FIRST = 32768;
export const EPHEMERAL_LAST = 60999;

export type PortProtocol = 'tcp' | 'udp';

export interface PortClaim {
  /** Absent: both families. */
  readonly family?: 4 | 6;
  /** Absent: every address of the family. */
  readonly address?: IpAddress;
  /** The other end of a connection. */
  readonly remote?: { readonly address: IpAddress; readonly port: number };
  /** Two holds that both share may stand on one port (SO_REUSEADDR of UDP). */
  readonly shared?: boolean;
}

/** A port taken. Give the same object back to `release`. */
export interface PortHold extends PortClaim {
  readonly protocol: PortProtocol;
  readonly port: number;
}

export class PortAllocator {
  readonly #random: Random;
  readonly #holds: Record<PortProtocol, Map<number, PortHold[]>> = { tcp: new Map(), udp: new Map() };

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * Takes `port`, or for 0 a random ephemeral one that nobody holds for this claim (RFC 6056 §3.3.1). `undefined` if it is taken or
   * if all are: EADDRINUSE to the embedder.
   */
  allocate(protocol: PortProtocol, port: number, claim: PortClaim = {}): PortHold | undefined {
    if (port !== 0) return this.#free(protocol, port, claim, false) ? this.#take(protocol, port, claim) : undefined;
    const count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1;
    const start = randomU32(this.#random) % count;
    for (let i = 0; i < count; i++) {
      const candidate = EPHEMERAL_FIRST + ((start + i) % count);
      if (this.#free(protocol, candidate, claim, true)) return this.#take(protocol, candidate, claim);
    }
    return undefined;
  }

  release(hold: PortHold): void {
    const holds = this.#holds[hold.protocol];
    const left = holds.get(hold.port)?.filter((other) => other !== hold);
    if (left && left.length > 0) holds.set(hold.port, left);
    else holds.delete(hold.port);
  }

  /** True if anyone holds the port. */
  held(protocol: PortProtocol, port: number): boolean {
    return this.#holds[protocol].has(port);
  }

  /**
   * An ephemeral connection keeps clear of listeners too, whereas one that asks for a listener's port by number gets it: torrent
   * clients dial from the port they listen on.
   */
  #free(protocol: PortProtocol, port: number, claim: PortClaim, ephemeral: boolean): boolean {
    const holds = this.#holds[protocol].get(port);
    return !holds?.some((hold) => overlap(hold, claim) && conflict(hold, claim, ephemeral));
  }

  #take(protocol: PortProtocol, port: number, claim: PortClaim): PortHold {
    const hold = { ...claim, protocol, port };
    const holds = this.#holds[protocol].get(port);
    if (holds) holds.push(hold);
    else this.#holds[protocol].set(port, [hold]);
    return hold;
  }
}

function overlap(a: PortClaim, b: PortClaim): boolean {
  const familyA = a.address?.family ?? a.family;
  const familyB = b.address?.family ?? b.family;
  if (familyA !== undefined && familyB !== undefined && familyA !== familyB) return false;
  return !a.address || !b.address || sameIp(a.address, b.address);
}

function conflict(a: PortClaim, b: PortClaim, ephemeral: boolean): boolean {
  if (a.remote && b.remote) return a.remote.port === b.remote.port && sameIp(a.remote.address, b.remote.address);
  if (a.remote || b.remote) return ephemeral;
  return !(a.shared && b.shared);
}
