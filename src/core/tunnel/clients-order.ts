/**
 * What torrent clients are told, and when. They pause at once. They resume once the forwarded port is known again, so that they
 * announce the right one, but no later than eight seconds after traffic may flow: a gateway that is slow must not keep downloads waiting.
 */

import { after, type Instant } from '../base/instant.ts';
import type { ClientOrder } from '../guard/policy.ts';

export const RESUME_WAIT_MS = 8_000;

export class ClientsOrder {
  #order: ClientOrder = 'leave';
  /** Since when `run` waits for the port. */
  #resumeAt: Instant | undefined;
  #told: ClientOrder = 'leave';

  /** The guard's word, and whether a port is being acquired. To be called after every change of either. */
  handle(order: ClientOrder, acquiring: boolean, now: Instant): void {
    if (order !== 'run') this.#resumeAt = undefined;
    else if (this.#order !== 'run') {
      this.#resumeAt ??= after(now, RESUME_WAIT_MS);
      if (acquiring && this.#resumeAt > now) return;
      this.#resumeAt = undefined;
    }
    this.#order = order;
  }

  nextTimeout(): Instant | undefined {
    return this.#resumeAt;
  }

  /** The order, if it is another than last time. */
  nextOutput(): ClientOrder | undefined {
    if (this.#order === this.#told) return undefined;
    this.#told = this.#order;
    return this.#order;
  }
}
