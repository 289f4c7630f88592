/** Every mapping that the gateway may still hold for us, announced or not: what must be given back in the end. */

import { after, type Instant } from '../base/instant.ts';
import type { NatPmpProtocol } from '../wire/natpmp.ts';
import type { Grant, Obsolete } from './round.ts';

/** A grant, and when it ends. */
export interface HeldGrant extends Grant {
  readonly expiresAt: Instant;
}

/** A gateway that grants more is not believed: what is not renewed must end some time. In seconds. */
const LONGEST_LEASE_SECONDS = 7_200;

export class Grants {
  readonly #held: Map<string, HeldGrant> = new Map();

  /** Replaces an earlier grant for the same request. `from`: when the gateway was asked. */
  add(grant: Grant, from: Instant): void {
    const seconds = Math.min(grant.seconds, LONGEST_LEASE_SECONDS);
    this.#held.set(keyOf(grant), { ...grant, seconds, expiresAt: after(from, seconds * 1000) });
  }

  of(protocol: NatPmpProtocol, internalPort: number): HeldGrant | undefined {
    return this.#held.get(keyOf({ protocol, internalPort }));
  }

  remove(obsolete: Obsolete): void {
    this.#held.delete(keyOf(obsolete));
  }

  clear(): void {
    this.#held.clear();
  }

  /** Those in force, UDP first as they were made. */
  inForce(now: Instant): readonly HeldGrant[] {
    return [...this.#held.values()].filter(({ expiresAt }) => expiresAt > now);
  }
}

function keyOf({ protocol, internalPort }: Obsolete): string {
  return `${protocol} ${internalPort}`;
}
