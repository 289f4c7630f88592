/**
 * When to acknowledge (RFC 5681 §4.2, RFC 9293 §3.8.6.3). At once: data out of order or filling a hole, a FIN, anything
 * unacceptable, the first segments of a connection, and the tail of what a sender pushed. Otherwise for every k segments, judged
 * once per burst, or when a short delay is over. k follows what the sender has in flight, so that it gets sixteen acknowledgements
 * per window where there are two segments for each: an acknowledgement costs us as much as receiving a segment, but what the sender
 * waits for it is added to its round trip, and a paced sender, or one behind a bottleneck, waits for all k segments to come.
 *
 * A sender in slow start may count acknowledgements: its window grows by two segments for each at most (RFC 3465 §2.3: macOS, FreeBSD),
 * or by one (RFC 5681 §3.1). So then there is one for every second segment, those of one burst each with a number of its own.
 */

import { type Instant, instant } from '../../base/instant.ts';
import { NEVER } from './timers.ts';
import type { Path, WindowTuning } from './window-tuning.ts';

/** Segments of a connection that are acknowledged without waiting, as slow start begins. */
const QUICK_SEGMENTS = 16;
const MIN_SEGMENTS_PER_ACK = 2;
const MAX_SEGMENTS_PER_ACK = 16;
const ACKS_PER_ROUND = 16;
/** No timer needs to be finer. */
const MIN_DELAY_MS = 1;

// V8 makes constants of a module's own, and looks imported ones up each time.
const NOTHING_PENDING = NEVER;

export class AckPolicy {
  /** Acknowledge at the end of this burst, whatever else. */
  immediate = false;
  /** Duplicate acknowledgements owed beyond one: a peer without SACK counts them. */
  duplicates = 0;
  /** `#until` is in force. */
  #delayed = false;
  #segments = 0;
  #bytes = 0;
  #seen = 0;
  #pushed = false;
  /** Length of the longest segment that is pending. */
  #longest = 0;
  #everySecond = true;
  readonly #stretches: boolean;
  #until: Instant = NEVER;

  /** `stretches` as in `TcpSettings.stretchAcks`. */
  constructor(stretches: boolean) {
    this.#stretches = stretches;
  }

  get pending(): boolean {
    return this.#segments > 0;
  }

  /** When what is pending must be acknowledged; NEVER if nothing is. */
  get deadline(): Instant {
    return this.#delayed ? this.#until : NOTHING_PENDING;
  }

  /** True, once, if the deadline has come. */
  expires(now: Instant): boolean {
    if (!this.#delayed || this.#until > now) return false;
    this.#delayed = false;
    return true;
  }

  /** A segment of `length` bytes arrived in order. */
  onSegment(length: number, pushed: boolean): void {
    this.#segments++;
    this.#bytes += length;
    this.#pushed = pushed;
    if (length > this.#longest) this.#longest = length;
    if (this.#seen < QUICK_SEGMENTS) this.#seen++;
  }

  /** At the end of a burst: true if an acknowledgement is due now; otherwise `deadline` is set if one is due later. */
  due(tuning: WindowTuning, path: Path, mss: number, maxDelayMs: number, now: Instant): boolean {
    if (this.immediate) return true;
    if (this.#segments === 0) return false;
    this.#everySecond = !this.#stretches || tuning.growing;
    if (this.#seen < QUICK_SEGMENTS || this.#pushed) return true;
    const inFlightShare = this.#everySecond ? 0 : tuning.arrivedLastRound / (ACKS_PER_ROUND * mss);
    const k = Math.min(MAX_SEGMENTS_PER_ACK, Math.max(MIN_SEGMENTS_PER_ACK, inFlightShare));
    if (this.#segments >= k || this.#bytes >= k * mss) return true;
    if (!this.#delayed) {
      const { rttMs: rtt } = path;
      const delay = rtt === 0 ? maxDelayMs : Math.min(maxDelayMs, rtt / 8);
      this.#until = instant(now + Math.max(MIN_DELAY_MS, delay));
      this.#delayed = true;
    }
    return false;
  }

  /** The number of the acknowledgement to send, where `acknowledged` was the last and all before `next` has arrived. */
  numberAfter(acknowledged: number, next: number): number {
    const two = 2 * this.#longest;
    const one = !this.#everySecond || this.immediate || two === 0 || ((next - acknowledged) | 0) <= two;
    return one ? next : (acknowledged + two) | 0;
  }

  /** A segment that acknowledges all went out. */
  onSent(): void {
    this.immediate = false;
    this.#segments = 0;
    this.#bytes = 0;
    this.#longest = 0;
    this.#pushed = false;
    this.#delayed = false;
  }
}
