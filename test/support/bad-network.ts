/** A network that loses, delays, duplicates, reorders, corrupts and replays datagrams, as a seed decides. Time is a number. */

import { type Endpoint, formatEndpoint } from '../../src/core/base/address.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface Delivery {
  readonly at: number;
  readonly order: number;
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
  readonly to: Endpoint;
}

/** Probabilities from 0 to 1, times in milliseconds. */
export interface Faults {
  readonly loss: number;
  readonly delay: number;
  readonly jitter: number;
  readonly duplicate: number;
  readonly corrupt: number;
  /** For each datagram sent, the chance that one of any earlier time is delivered again. */
  readonly replay: number;
}

export const HEALTHY: Faults = { loss: 0, delay: 20, jitter: 0, duplicate: 0, corrupt: 0, replay: 0 };

/** Kept for replays; the oldest are thinned out, so that some of every time remain. */
const HISTORY = 2_000;

export class BadNetwork {
  faults: Faults = HEALTHY;
  /** Nothing gets through. */
  down = false;
  sent = 0;
  /** Whether a replay of this datagram may come from another port. */
  mayForgeSource: (datagram: Delivery) => boolean = () => true;
  readonly #random: SeededRandom;
  readonly #queue: Delivery[] = [];
  readonly #history: Delivery[] = [];
  #order = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  send(bytes: Uint8Array, from: Endpoint, to: Endpoint, now: number): void {
    this.sent++;
    const delivery = { at: now, order: 0, bytes, from, to };
    if (this.#history.length === HISTORY) this.#history.splice(this.#random.below(HISTORY), 1);
    this.#history.push(delivery);
    if (this.#random.chance(this.faults.replay)) this.#replay(now);
    if (this.down || this.#random.chance(this.faults.loss)) return;
    this.#schedule(delivery, now);
    if (this.#random.chance(this.faults.duplicate)) this.#schedule(delivery, now);
  }

  /** When the next datagram arrives. */
  next(): number | undefined {
    return this.#queue[0]?.at;
  }

  /** The datagram that arrives next. */
  take(): Delivery | undefined {
    return this.#queue.shift();
  }

  /** Loses what is on its way: a straggler of an old session would count as a sign of life. */
  dropInFlight(): void {
    this.#queue.length = 0;
  }

  #replay(now: number): void {
    const old = this.#history[this.#random.below(this.#history.length)]!;
    const from =
      this.mayForgeSource(old) && this.#random.chance(0.3)
        ? { ...old.from, port: 1 + this.#random.below(65_535) }
        : old.from;
    this.#schedule({ ...old, from }, now);
  }

  #schedule(delivery: Delivery, now: number): void {
    const { delay, jitter, corrupt } = this.faults;
    const at = now + delay + this.#random.below(jitter + 1);
    const bytes = Uint8Array.from(delivery.bytes);
    if (this.#random.chance(corrupt)) bytes[this.#random.below(bytes.length)]! ^= 1 << this.#random.below(8);
    let place = this.#queue.length;
    while (place > 0 && this.#queue[place - 1]!.at > at) place--;
    this.#queue.splice(place, 0, { ...delivery, at, bytes, order: this.#order++ });
  }
}

/** For traces. */
export function describeDelivery({ bytes, from, to }: Pick<Delivery, 'bytes' | 'from' | 'to'>): string {
  const kind = ['?', 'initiation', 'response', 'cookie', 'transport'][bytes[0]!] ?? '?';
  return `${kind} of ${bytes.length} bytes ${formatEndpoint(from)} to ${formatEndpoint(to)}`;
}
