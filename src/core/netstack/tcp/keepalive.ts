/** Keepalive (RFC 9293 §3.8.4): probes after an idle time, and an end if none is answered. A connection has one only if asked for. */

import { type Instant, instant } from '../../base/instant.ts';
import { NEVER } from './timers.ts';

export class KeepAlive {
  at: Instant = NEVER;
  readonly #idleMs: number;
  #probes = 0;
  #lastHeard: Instant;

  constructor(idleMs: number, now: Instant) {
    this.#idleMs = idleMs;
    this.#lastHeard = now;
  }

  /** Begins to watch a connection that is established. */
  start(now: Instant): void {
    this.#lastHeard = now;
    this.#probes = 0;
    this.at = instant(now + this.#idleMs);
  }

  /** The peer gave a sign of life. */
  heard(now: Instant): void {
    this.#lastHeard = now;
    this.#probes = 0;
  }

  /** The timer fired. `wait`: the peer was heard meanwhile; `probe`: ask it; `dead`: it did not answer `limit` times. */
  onTimeout(intervalMs: number, limit: number, now: Instant): 'wait' | 'probe' | 'dead' {
    const due = instant(this.#lastHeard + this.#idleMs);
    if (this.#probes === 0 && due > now) {
      this.at = due;
      return 'wait';
    }
    if (this.#probes >= limit) return 'dead';
    this.#probes++;
    this.at = instant(now + Math.min(this.#idleMs, intervalMs));
    return 'probe';
  }
}
