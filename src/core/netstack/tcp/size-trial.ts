/**
 * Larger segments again, after a path was taken for narrow (RFC 4821 §7, RFC 1191 §6.3): from time to time one segment of data is as
 * large as the path is not known to refuse. Once it is acknowledged, all are as large; if it is lost, it goes again in pieces, and the
 * next trial waits twice as long.
 */

import { after, type Instant } from '../../base/instant.ts';
import type { Connection } from './connection.ts';
import type { LossRecovery } from './recovery.ts';
import { seqGe } from './sequence.ts';
import { NONE } from './transmit-queue.ts';

/** After an outage, which looks like a black hole, the next trial should come soon. */
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 600_000;

export class SizeTrial {
  #at: Instant;
  #waitMs: number = FIRST_WAIT_MS;
  #outstanding = false;
  #end = 0;

  /** `delayMs`: after a packet-too-big as long as that is believed. */
  constructor(now: Instant, delayMs: number = FIRST_WAIT_MS) {
    this.#at = after(now, delayMs);
  }

  /** Payload to try with the next segment of data; 0 for none. */
  nextSize(c: Connection, now: Instant): number {
    if (this.#outstanding || now < this.#at || c.sender.recovery.phase !== 'open') return 0;
    const size = c.largestPayload();
    return size > c.sender.mss ? size : 0;
  }

  /** A segment larger than the others was sent; it ends at `end`. */
  onSent(end: number): void {
    this.#outstanding = true;
    this.#end = end;
  }

  /** True if that segment is what will be sent again next. */
  goesAgain(recovery: LossRecovery): boolean {
    if (!this.#outstanding) return false;
    const { queue, probe } = recovery;
    const lost = queue.nextLost();
    const slot = lost === NONE && probe.due ? recovery.lastSegment() : lost;
    return slot !== NONE && queue.end(slot) === this.#end;
  }

  /** True if everything up to `acknowledgement` shows that the path carries it. */
  succeeded(acknowledgement: number): boolean {
    return this.#outstanding && seqGe(acknowledgement, this.#end);
  }

  /** It is to be sent again, and will be in pieces. */
  fail(now: Instant): void {
    this.#outstanding = false;
    this.#waitMs = Math.min(LONGEST_WAIT_MS, 2 * this.#waitMs);
    this.#at = after(now, this.#waitMs);
  }

  /** The path was found to be narrower still. */
  restart(now: Instant, delayMs: number = this.#waitMs): void {
    this.#outstanding = false;
    this.#at = after(now, delayMs);
  }
}
