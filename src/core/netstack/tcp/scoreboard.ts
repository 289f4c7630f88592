/**
 * What is outstanding, and what acknowledgements say of it (RFC 6675 §3): each call to `take` settles one acknowledgement and leaves
 * in `delivered`, `oldestRttMs` and `newestRttMs` what it told.
 */

import type { Instant } from '../../base/instant.ts';
import type { TcpSegment } from '../../wire/tcp.ts';
import type { Rack } from './rack.ts';
import { SequenceRanges } from './ranges.ts';
import type { RttEstimator } from './rtt.ts';
import { seqDiff, seqGe, seqGt, seqLe, seqLt } from './sequence.ts';
import { RETRANSMITTED, SACKED, TransmitQueue } from './transmit-queue.ts';

/** Blocks kept apart; what a peer reports beyond them is taken for missing and sent again. */
const MAX_RANGES = 4096;
/** A sample is never 0, which means none. */
const MIN_RTT_MS = 0.001;

export class Scoreboard {
  readonly queue: TransmitQueue = new TransmitQueue();
  /** Bytes that the last acknowledgement reported for the first time. */
  delivered = 0;
  /** RTT of the oldest and the newest segment among them that was sent only once; 0 if there is none. */
  oldestRttMs = 0;
  newestRttMs = 0;
  readonly #ranges: SequenceRanges = new SequenceRanges(MAX_RANGES);
  readonly #rack: Rack;
  readonly #rtt: RttEstimator;
  #echoSentAt = Number.NaN;
  #now = 0;

  constructor(rack: Rack, rtt: RttEstimator) {
    this.#rack = rack;
    this.#rtt = rtt;
  }

  /** Settles an acknowledgement. `echoSentAt`: when we sent the timestamp it echoes, or NaN. */
  take(segment: TcpSegment, next: number, withBlocks: boolean, echoSentAt: number, now: Instant): void {
    this.delivered = 0;
    this.oldestRttMs = this.newestRttMs = 0;
    this.#echoSentAt = echoSentAt;
    this.#now = now;
    const una = segment.acknowledgement;
    this.#takeCumulative(una);
    if (!withBlocks) return;
    for (let i = 0; i < segment.sackBlocks; i++) {
      const start = segment.sackStart[i]!;
      const end = segment.sackEnd[i]!;
      // Only what is outstanding can be reported; anything else is stale or forged.
      if (seqLt(start, una) || seqLt(next, end) || seqLe(end, start)) continue;
      this.#takeBlock(start, end);
    }
  }

  /** The peer dropped what it had reported (RFC 2018 §8): all of it is lost. */
  forgetReports(): void {
    this.#ranges.clear();
    this.queue.forgetSacked();
  }

  clear(): void {
    this.#ranges.clear();
    this.queue.clear();
  }

  #takeCumulative(una: number): void {
    const queue = this.queue;
    while (queue.count > 0) {
      const slot = queue.slot(0);
      if (seqGt(queue.end(slot), una)) {
        this.#takePart(slot, una);
        break;
      }
      this.#deliver(slot);
      queue.shift();
    }
    if (this.#ranges.count > 0) this.#ranges.removeBelow(una);
  }

  #takePart(slot: number, una: number): void {
    const part = seqDiff(una, this.queue.sequence(slot));
    if (part <= 0) return;
    if ((this.queue.flags(slot) & SACKED) === 0) this.delivered += part;
    this.queue.trimFirst(part);
  }

  /** Walks only what the block adds to the ranges, so a block repeated a thousand times costs nothing. */
  #takeBlock(start: number, end: number): void {
    const ranges = this.#ranges;
    for (let at = ranges.nextMissing(start); seqGt(end, at); at = ranges.nextMissing(at)) {
      const held = ranges.nextHeld(at, end);
      const to = seqLt(held, end) ? held : end;
      if (!ranges.add(at, to)) return;
      this.#markReported(at, to);
      at = to;
    }
  }

  #markReported(from: number, to: number): void {
    const queue = this.queue;
    for (let i = queue.indexOf(from); i < queue.count; i++) {
      const slot = queue.slot(i);
      const sequence = queue.sequence(slot);
      if (seqGe(sequence, to)) return;
      if ((queue.flags(slot) & SACKED) !== 0) continue;
      // A segment counts when all of it is reported.
      if (seqLt(this.#ranges.nextMissing(sequence), queue.end(slot))) continue;
      this.#deliver(slot);
      queue.markSacked(slot);
    }
  }

  #deliver(slot: number): void {
    const queue = this.queue;
    const flags = queue.flags(slot);
    if ((flags & SACKED) !== 0) return;
    const sentAt = queue.sentAt(slot);
    this.delivered += queue.length(slot);
    if ((flags & RETRANSMITTED) === 0) {
      const rttMs = Math.max(this.#now - sentAt, MIN_RTT_MS);
      if (this.oldestRttMs === 0) this.oldestRttMs = rttMs;
      this.newestRttMs = rttMs;
    }
    this.#rack.onDelivered(queue, slot, this.#echoSentAt < Math.floor(sentAt), this.#rtt, this.#now);
  }
}
