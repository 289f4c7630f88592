/** The port that is announced, and those before it whose leases still run. */

import { type IpAddress, sameIp } from '../base/address.ts';
import { earliest, type Instant } from '../base/instant.ts';
import type { ServedPort } from './messages.ts';
import type { MappingForm } from './round.ts';

export interface HeldPort extends ServedPort {
  readonly form: MappingForm;
  readonly externalAddress: IpAddress;
  /** As granted: the shorter of both protocols. */
  readonly leaseSeconds: number;
  readonly expiresAt: Instant;
  readonly renewAt: Instant;
}

export class HeldPorts {
  #current: HeldPort | undefined;
  #older: readonly HeldPort[] = [];
  /** The gateway may have forgotten the current port: it must not outlive a failed renewal. */
  doubtful = false;

  get current(): HeldPort | undefined {
    return this.#current;
  }

  /** Renews or replaces the current port. True if there is something to announce: another port or exit address. */
  take(next: HeldPort): boolean {
    const previous = this.#current;
    const moved = previous !== undefined && previous.port !== next.port && !this.doubtful;
    this.#older = (moved ? [...this.#older, previous] : this.#older).filter(({ port }) => port !== next.port);
    this.#current = next;
    this.doubtful = false;
    return previous?.port !== next.port || !sameIp(previous.externalAddress, next.externalAddress);
  }

  /** Ends what is over by now; true if the current port is. */
  expire(now: Instant): boolean {
    this.#older = this.#older.filter(({ expiresAt }) => expiresAt > now);
    if (this.#current === undefined || this.#current.expiresAt > now) return false;
    this.#current = undefined;
    return true;
  }

  clear(): void {
    this.#current = undefined;
    this.#older = [];
    this.doubtful = false;
  }

  nextTimeout(): Instant | undefined {
    return this.#older.reduce((first, { expiresAt }) => earliest(first, expiresAt), this.#current?.expiresAt);
  }

  /** The current one first. */
  served(): readonly ServedPort[] {
    const ports = this.#current ? [this.#current, ...this.#older] : this.#older;
    return ports.map(({ port, insidePort }) => ({ port, insidePort }));
  }
}
