/**
 * Notices that the host moved to another network or woke from sleep: what was known about routes and NATs is void then. Node has no
 * event for either, so the addresses are compared every few seconds, and time that the monotonic clock has lost was sleep.
 */

import { networkInterfaces } from 'node:os';
import { elapsedMs } from '../core/base/instant.ts';
import type { Clock } from './clock.ts';

const INTERVAL_MS = 3_000;
/** A look so late means that the host slept, or was stopped; a busy event loop is not as late. */
const SLEPT_MS = 30_000;

export class NetworkWatch {
  readonly #timer: NodeJS.Timeout;

  /** `onChange` may be called from the first interval on, until `close`. `addressesOf` is what a test may replace. */
  constructor(clock: Clock, onChange: () => void, addressesOf: () => string = hostAddresses) {
    let addresses = addressesOf();
    let lookedAt = clock.now();
    this.#timer = setInterval(() => {
      const now = clock.now();
      const slept = elapsedMs(lookedAt, now) > INTERVAL_MS + SLEPT_MS;
      const before = addresses;
      lookedAt = now;
      addresses = addressesOf();
      if (slept || addresses !== before) onChange();
    }, INTERVAL_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Every address that can have a route, in one text. IPv6 ones that are made anew each day count too: they may be in use. */
function hostAddresses(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((interfaces = []) =>
    interfaces.filter(({ internal }) => !internal).map(({ cidr, mac }) => `${cidr} ${mac}`),
  );
  return addresses.sort().join();
}
