/**
 * Whether connections can have survived, told by the exits that were seen: to the other side, a connection from another address is
 * another connection, so what was open before is dead.
 *
 * Providers with a pool of exits show now one, now another, while connections keep theirs. So an exit that was seen before counts as
 * a change only if the tunnel was down in between and came back elsewhere.
 */

import { type IpAddress, sameIp } from '../base/address.ts';

/** Larger pools look like changes now and then. */
const MAX_EXITS = 16;

export class ExitHistory {
  #seen: readonly IpAddress[] = [];
  #outage = false;

  /** The tunnel was down. */
  handleOutage(): void {
    this.#outage = true;
  }

  /** The exit is `address`. True if connections that were opened before this are dead. */
  observe(address: IpAddress): boolean {
    const known = this.#seen.some((seen) => sameIp(seen, address));
    const moved = !known && this.#seen.length > 0;
    if (moved && this.#outage) this.#seen = [];
    if (!known) this.#seen = [...this.#seen, address].slice(-MAX_EXITS);
    this.#outage = false;
    return moved;
  }
}
