/**
 * TIME-WAIT (RFC 9293 §3.6.1) as rows of numbers: what is needed to acknowledge a FIN that comes again, and to tell a new connection
 * from an old duplicate (RFC 6191). A flood of short connections costs 90 bytes each, up to a limit, beyond which the oldest go.
 */

import { type Instant, instant } from '../../base/instant.ts';
import { ACK, FIN, RST, SYN, type TcpSegment } from '../../wire/tcp.ts';
import type { PortHold } from '../ports.ts';
import { seqGe, seqGt } from './sequence.ts';
import { NEVER } from './timers.ts';
import { TUPLE_WORDS, TupleTable } from './tuple.ts';

const NONE = -1;
const INITIAL_CAPACITY = 16;

/** Columns of a row, behind the tuple. */
const SEND_NEXT = TUPLE_WORDS;
const RECEIVE_NEXT = TUPLE_WORDS + 1;
const TIMESTAMP_RECENT = TUPLE_WORDS + 2;
const CLOCK_OFFSET = TUPLE_WORDS + 3;
const WINDOW = TUPLE_WORDS + 4;
const OLDER = TUPLE_WORDS + 5;
const NEWER = TUPLE_WORDS + 6;
const COLUMNS = TUPLE_WORDS + 7;

/** `ignore`: nothing is answered. `acknowledge`: the row's own ACK is. `reopen`: the row is gone, the SYN opens a new connection. */
export type TimeWaitVerdict = 'ignore' | 'acknowledge' | 'reopen';

export interface TimeWaitRow {
  readonly sendNext: number;
  readonly receiveNext: number;
  readonly window: number;
  /** Absent if the connection had no timestamps. */
  readonly timestamps: { readonly recent: number; readonly clockOffset: number } | undefined;
}

export class TimeWaitTable {
  readonly #limit: number;
  readonly #durationMs: number;
  readonly #releasePort: (hold: PortHold) => void;
  readonly #index: TupleTable;
  #rows: Int32Array = new Int32Array(0);
  #expiries: Float64Array = new Float64Array(0);
  #holds: (PortHold | undefined)[] = [];
  #withTimestamps: Uint8Array = new Uint8Array(0);
  #free: number[] = [];
  #oldest: number = NONE;
  #newest: number = NONE;

  constructor(limit: number, durationMs: number, seed: number, releasePort: (hold: PortHold) => void) {
    this.#limit = limit;
    this.#durationMs = durationMs;
    this.#releasePort = releasePort;
    this.#index = new TupleTable(seed);
  }

  get size(): number {
    return this.#index.size;
  }

  /** When the oldest row expires. */
  get next(): Instant {
    return this.#oldest === NONE ? NEVER : instant(this.#expiries[this.#oldest]!);
  }

  has(tuple: Int32Array): boolean {
    return this.#index.get(tuple) >= 0;
  }

  add(tuple: Int32Array, row: TimeWaitRow, hold: PortHold | undefined, now: Instant): void {
    if (this.size >= this.#limit) this.#drop(this.#oldest);
    const slot = this.#take();
    const at = slot * COLUMNS;
    this.#rows.set(tuple, at);
    this.#rows[at + SEND_NEXT] = row.sendNext;
    this.#rows[at + RECEIVE_NEXT] = row.receiveNext;
    this.#rows[at + WINDOW] = row.window;
    this.#rows[at + TIMESTAMP_RECENT] = row.timestamps?.recent ?? 0;
    this.#rows[at + CLOCK_OFFSET] = row.timestamps?.clockOffset ?? 0;
    this.#withTimestamps[slot] = row.timestamps ? 1 : 0;
    this.#holds[slot] = hold;
    this.#index.set(tuple, slot);
    this.#append(slot, now);
  }

  /** What to do about a segment for `tuple`, which is in the table. */
  handle(tuple: Int32Array, segment: TcpSegment, now: Instant): TimeWaitVerdict {
    const slot = this.#index.get(tuple);
    const at = slot * COLUMNS;
    if ((segment.flags & RST) !== 0) {
      // RFC 9293 §3.10.7.4, not RFC 1337 §3: behind a NAT that gives this port to another host, that host's SYN is acknowledged, and
      // only its reset makes way for the next one. Exact, as in RFC 5961 §3.2; timestamps do what RFC 1337 wanted.
      if (segment.sequence === this.#rows[at + RECEIVE_NEXT]!) this.#drop(slot);
      return 'ignore';
    }
    if ((segment.flags & (SYN | ACK)) === SYN) {
      const newer =
        this.#withTimestamps[slot] === 1 && segment.hasTimestamps
          ? seqGt(segment.timestampValue, this.#rows[at + TIMESTAMP_RECENT]!)
          : seqGe(segment.sequence, this.#rows[at + RECEIVE_NEXT]!);
      if (!newer) return 'acknowledge';
      this.#drop(slot);
      return 'reopen';
    }
    if ((segment.flags & FIN) !== 0) {
      this.#unlink(slot);
      this.#append(slot, now);
    }
    return segment.length > 0 ? 'acknowledge' : 'ignore';
  }

  row(tuple: Int32Array): TimeWaitRow {
    const slot = this.#index.get(tuple);
    const at = slot * COLUMNS;
    const recent = this.#rows[at + TIMESTAMP_RECENT]!;
    const clockOffset = this.#rows[at + CLOCK_OFFSET]!;
    return {
      sendNext: this.#rows[at + SEND_NEXT]!,
      receiveNext: this.#rows[at + RECEIVE_NEXT]!,
      window: this.#rows[at + WINDOW]!,
      timestamps: this.#withTimestamps[slot] === 1 ? { recent, clockOffset } : undefined,
    };
  }

  remove(tuple: Int32Array): void {
    const slot = this.#index.get(tuple);
    if (slot >= 0) this.#drop(slot);
  }

  expire(now: Instant): void {
    while (this.#oldest !== NONE && this.#expiries[this.#oldest]! <= now) this.#drop(this.#oldest);
  }

  clear(): void {
    while (this.#oldest !== NONE) this.#drop(this.#oldest);
  }

  #append(slot: number, now: Instant): void {
    const at = slot * COLUMNS;
    this.#expiries[slot] = now + this.#durationMs;
    this.#rows[at + OLDER] = this.#newest;
    this.#rows[at + NEWER] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#rows[this.#newest * COLUMNS + NEWER] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const older = this.#rows[slot * COLUMNS + OLDER]!;
    const newer = this.#rows[slot * COLUMNS + NEWER]!;
    if (older === NONE) this.#oldest = newer;
    else this.#rows[older * COLUMNS + NEWER] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#rows[newer * COLUMNS + OLDER] = older;
  }

  #drop(slot: number): void {
    this.#unlink(slot);
    this.#index.delete(this.#rows.subarray(slot * COLUMNS, slot * COLUMNS + TUPLE_WORDS));
    const hold = this.#holds[slot];
    this.#holds[slot] = undefined;
    if (hold) this.#releasePort(hold);
    this.#free.push(slot);
  }

  #take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const slot = this.#holds.length;
    this.#holds.push(undefined);
    if (slot < this.#expiries.length) return slot;
    const capacity = Math.max(INITIAL_CAPACITY, 2 * this.#expiries.length);
    const rows = new Int32Array(capacity * COLUMNS);
    const expiries = new Float64Array(capacity);
    const withTimestamps = new Uint8Array(capacity);
    rows.set(this.#rows);
    expiries.set(this.#expiries);
    withTimestamps.set(this.#withTimestamps);
    this.#rows = rows;
    this.#expiries = expiries;
    this.#withTimestamps = withTimestamps;
    return slot;
  }
}
