/**
 * How large the receive window should be: dynamic right-sizing. Once per round trip the bytes that the reader took are counted, and
 * the window grows to twice that (so that a sender in slow start, which doubles per round trip, is never the slower for it), a
 * little more while the rate rises. The round-trip time of a pure receiver comes from timestamp echoes, or without timestamps from
 * the time a whole window takes to arrive (an upper bound). The same round trips tell whether the sender seems to be in slow start, which
 * `AckPolicy` asks.
 */

import { elapsedMs, type Instant, instant } from '../../base/instant.ts';
import { seqLt } from './sequence.ts';

const SPARE_SEGMENTS = 16;
/** A round trip that brings more than the best so far, by this factor, is a step of slow start. */
const GROWTH = 1.125;
/** One that brings less than this share of the best may be behind a pause or a timeout, where slow start begins anew. */
const RESTART = 1 / 8;
/** One round trip without growth may be chance. */
const STEADY_ROUNDS = 2;
/** A window that grows by single segments is large soon enough on a path so short. */
const SHORT_PATH_MS = 15;
/** A window grows at most by this factor at once. */
const MAX_STEP = 4;

/** What is known of a path besides. */
export interface Path {
  /** The sender's estimate in milliseconds, or the receiver's; 0 if there is none. */
  readonly rttMs: number;
}

export class WindowTuning {
  /** The echo that was measured last. Each counts once: the first segment with it is the tightest. */
  sampledEcho = 0;
  #arrived = 0;
  #consumed = 0;
  /** By our own estimate, the round trip does not end before: one number, where there would be three to look at. */
  #roundEnd: Instant;
  #roundStart: Instant;
  /** Estimate in milliseconds; 0 until something was measured. */
  rttMs = 0;
  /** Bytes that arrived in order during the last whole round trip: how much the sender has in flight. */
  arrivedLastRound = 0;
  /** The window that the last two round trips ask for, the larger of the two; 0 if none has ended. */
  wanted = 0;
  #wantedLastRound = 0;
  #consumedLastRound = 0;
  /** The most that arrived in a round trip of the present slow start, or of what followed it, and how many have come since. */
  #bestRound = 0;
  #steadyRounds = 0;
  /** The path's own round trip, without the queues of the moment; 0 until something was measured. */
  #leastRttMs = 0;
  #windowEdge = 0;
  #windowStart: Instant | undefined;

  constructor(now: Instant) {
    this.#roundStart = this.#roundEnd = now;
  }

  arrived(bytes: number): void {
    this.#arrived += bytes;
  }

  consumed(bytes: number): void {
    this.#consumed += bytes;
  }

  /** The sender seems to be in slow start, and takes many round trips for it if it gets few acknowledgements. */
  get growing(): boolean {
    return this.#leastRttMs >= SHORT_PATH_MS && this.#steadyRounds < STEADY_ROUNDS;
  }

  /** True if the reader has taken nothing for `idleMs`. */
  idle(idleMs: number, now: Instant): boolean {
    return this.#consumed === 0 && elapsedMs(this.#roundStart, now) > idleMs;
  }

  /** Data carried an echo of our clock of `echoAgeMs` ago, another than `sampledEcho`. */
  measureEcho(echo: number, echoAgeMs: number): void {
    this.sampledEcho = echo;
    // The clock ticks in milliseconds: 0 means less than one.
    this.#sample(Math.max(1, echoAgeMs));
  }

  /** Without timestamps: data in order has reached `next`, and the window now ends at `rightEdge`. */
  measureWindow(next: number, rightEdge: number, now: Instant): void {
    if (this.#windowStart !== undefined) {
      if (seqLt(next, this.#windowEdge)) return;
      this.#sample(Math.max(1, elapsedMs(this.#windowStart, now)));
    }
    this.#windowStart = now;
    this.#windowEdge = rightEdge;
  }

  /** True if a round trip has ended, and `wanted` is new. What `path` says serves until one was measured. */
  endRound(mss: number, path: Path, now: Instant): boolean {
    if (now < this.#roundEnd) return false;
    const rtt = this.rttMs || path.rttMs;
    const elapsed = elapsedMs(this.#roundStart, now);
    if (rtt === 0 || elapsed < rtt) return false;
    // A round may end late, since it ends with an arrival: what counts is bytes per round trip.
    const share = Math.min(1, rtt / elapsed);
    const consumed = elapsed < 2 * rtt ? this.#consumed : this.#consumed * share;
    const arrived = elapsed < 2 * rtt ? this.#arrived : this.#arrived * share;
    const steady = arrived <= GROWTH * this.#bestRound && arrived >= RESTART * this.#bestRound;
    this.#steadyRounds = steady ? this.#steadyRounds + 1 : 0;
    if (!steady) this.#bestRound = arrived;
    this.arrivedLastRound = arrived;
    const before = this.#consumedLastRound;
    this.#consumedLastRound = consumed;
    this.#consumed = 0;
    this.#arrived = 0;
    this.#roundStart = now;
    this.#roundEnd = instant(now + this.rttMs);
    let wanted = 2 * consumed + SPARE_SEGMENTS * mss;
    if (before > 0 && consumed > before) wanted *= Math.min(MAX_STEP, consumed / before);
    this.wanted = Math.floor(Math.max(wanted, this.#wantedLastRound));
    this.#wantedLastRound = wanted;
    return true;
  }

  #sample(rttMs: number): void {
    if (this.#leastRttMs === 0 || rttMs < this.#leastRttMs) this.#leastRttMs = rttMs;
    if (this.rttMs === 0 || rttMs < this.rttMs) this.rttMs = rttMs;
    // Rises slowly: a late echo may only mean that the sender paused.
    else this.rttMs += Math.min(rttMs - this.rttMs, this.rttMs) / 8;
    this.#roundEnd = instant(this.#roundStart + this.rttMs);
  }
}
