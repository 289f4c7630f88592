/** The measured end of a transfer in memory: what the driver of a tunnel does with bursts of datagrams, and how long that takes. */

import type { Endpoint } from '../core/base/address.ts';
import { Burst } from '../core/base/burst.ts';
import type { Crypto } from '../core/base/crypto.ts';
import type { Instant } from '../core/base/instant.ts';
import { BURST_DATAGRAMS, type End, SLOT_BYTES, TRAIN_DATAGRAMS, type Train } from './core-ends.ts';
import { elapsedNs, startTime } from './stopwatch.ts';

/** What comes at one moment. */
export interface Step {
  readonly now: Instant;
  readonly datagrams: readonly Uint8Array[];
}

/** A burst in memory such as UDP ports have: the AEAD's own, if it has some. */
export class PortBurst extends Burst implements Disposable {
  readonly #crypto: Crypto;

  constructor(crypto: Crypto, datagrams: number) {
    const bytes = datagrams * SLOT_BYTES;
    super(datagrams, SLOT_BYTES, crypto.allocate?.(bytes) ?? new Uint8Array(bytes));
    this.#crypto = crypto;
  }

  [Symbol.dispose](): void {
    this.#crypto.release?.(this.slab);
  }
}

export class CoreClient implements Disposable {
  readonly end: End;
  /** In the last step: all of its work, and the longest piece. */
  workNs = 0;
  longestNs = 0;
  /** The lengths of the datagrams that it sent in the last step. */
  sent: number[] = [];
  readonly #server: Endpoint;
  readonly #received: PortBurst;
  readonly #transmit: PortBurst;

  /** `burst` is how many datagrams it is handed at once, by `server`. */
  constructor(end: End, crypto: Crypto, burst: number, server: Endpoint) {
    this.end = end;
    this.#server = server;
    this.#received = new PortBurst(crypto, burst);
    this.#transmit = new PortBurst(crypto, BURST_DATAGRAMS);
  }

  /** Takes what has come, burst by burst, writes what it may, and sends: into `out`, if somebody wants it. */
  take({ now, datagrams }: Step, out?: Train): void {
    const burst = this.#received;
    this.workNs = this.longestNs = 0;
    this.sent = [];
    for (let at = 0; at < datagrams.length; ) {
      while (!burst.full && at < datagrams.length) burst.append(datagrams[at++]!, this.#server);
      this.#turn(now, out);
      burst.clear();
    }
    // Each turn fills a burst at most, and one more follows.
    while (this.sent.length <= TRAIN_DATAGRAMS - 2 * BURST_DATAGRAMS && this.end.write(now)) this.#turn(now, out);
    this.#turn(now, out);
  }

  [Symbol.dispose](): void {
    this.end.machine.close();
    this.#received[Symbol.dispose]();
    this.#transmit[Symbol.dispose]();
  }

  /** Only what the driver does is timed. */
  #turn(now: Instant, out: Train | undefined): void {
    const start = startTime();
    if (this.#received.count > 0) this.end.handle(this.#received, now);
    this.end.handleTimeout(now);
    this.#transmit.clear();
    this.end.machine.transmit(this.#transmit, now);
    const ns = elapsedNs(start);
    this.workNs += ns;
    if (ns > this.longestNs) this.longestNs = ns;
    for (let i = 0; i < this.#transmit.count; i++) this.sent.push(this.#transmit.lengths[i]!);
    out?.append(this.#transmit);
  }
}
