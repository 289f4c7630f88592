/**
 * How much a connection has outstanding, at most, in a round trip. A congestion window says how much it might have; where the peer, the
 * application or this machine sets the pace, that is many times what is of use.
 */

import { seqGe } from './sequence.ts';

export class Flight {
  /** In the round trip before, and in this one. */
  #before = 0;
  #now = 0;
  /** The round trip is over when this is acknowledged. */
  #end = 0;

  /** Bytes. */
  get peak(): number {
    return Math.max(this.#before, this.#now);
  }

  /** Nothing before `next` counts. */
  begin(next: number): void {
    this.#end = next;
  }

  /** Something was sent, and so much is outstanding now. */
  onSent(outstanding: number): void {
    if (outstanding > this.#now) this.#now = outstanding;
  }

  /** `acknowledgement` leaves so much outstanding; `next` is what will be sent next. */
  onAck(acknowledgement: number, outstanding: number, next: number): void {
    if (!seqGe(acknowledgement, this.#end)) return;
    this.#before = this.#now;
    this.#now = outstanding;
    this.#end = next;
  }
}
