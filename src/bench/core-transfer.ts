/**
 * What a transfer in memory costs the client: it is handed a recorded train of datagrams and its work on them is timed, and so are, some
 * thousands of packets at a time, the AEAD calls that the work consists of, on packets of the same lengths.
 */

import { TRANSPORT_HEADER_LENGTH } from '../core/base/burst.ts';
import { type AeadKey, type Crypto, TAG_LENGTH } from '../core/base/crypto.ts';
import { type CoreClient, PortBurst, type Step } from './core-client.ts';
import { BURST_DATAGRAMS, FULL_BYTES } from './core-ends.ts';
import { Recording, type Work } from './core-recording.ts';
import { spreadOf } from './statistics.ts';
import { elapsedNs, startTime } from './stopwatch.ts';

/** Per full packet that was moved: medians of samples that nothing interrupted, if there are such. */
export interface Cost {
  /** All of the client's work. */
  readonly totalNs: number;
  readonly openNs: number;
  readonly sealNs: number;
  /** Datagrams the other way. */
  readonly answers: number;
}

const SAMPLE_PACKETS = 256;
/** Between two looks at the AEAD alone: its packets would else fill the caches. */
const ROUND_PACKETS = 2048;
/** Each piece that is timed takes about a tenth of that; one that took longer had lost the processor to somebody else. */
const INTERRUPTED_NS = 1e6;

export class CoreTransfer implements Disposable {
  readonly #recording: Recording;
  readonly #download: boolean;
  /** Of the same cost as those of the session. */
  readonly #key: AeadKey;
  readonly #packets: PortBurst;

  /** Records a transfer of so many stream bytes. */
  constructor(crypto: Crypto, work: Work, bytes: number) {
    this.#recording = new Recording(crypto, work, bytes);
    this.#download = work.direction === 'download';
    this.#key = crypto.aeadKey(new Uint8Array(32).fill(7));
    this.#packets = new PortBurst(crypto, BURST_DATAGRAMS);
  }

  /** Lets a new client do it, and says what that cost. */
  measure(): Cost {
    const { opening, moving, received } = this.#recording;
    using client = this.#recording.client();
    for (const step of opening) client.take(step);
    const work = new Samples(SAMPLE_PACKETS);
    const open = new Samples(ROUND_PACKETS);
    const seal = new Samples(ROUND_PACKETS);
    const answers = new Samples(SAMPLE_PACKETS);
    let round = new Round();
    for (const [index, step] of moving.entries()) {
      client.take(step);
      const moved = round.add(step, client, this.#download);
      answers.add(this.#download ? client.sent.length : step.datagrams.length, 0, moved);
      work.add(client.workNs, client.longestNs, moved);
      if (round.packets < ROUND_PACKETS && index < moving.length - 1) continue;
      this.#time(open, round, round.opened, (slab, at, length, counter) =>
        this.#key.open(slab, at, length + TAG_LENGTH, counter, 0),
      );
      this.#time(seal, round, round.sealed, (slab, at, length, counter) =>
        this.#key.seal(slab, at, length, counter, 0),
      );
      round = new Round();
    }
    if (client.end.received !== received)
      throw new Error(`the client received ${client.end.received} bytes, the recorded one ${received}`);
    return { totalNs: work.median, openNs: open.median, sealNs: seal.median, answers: answers.median };
  }

  [Symbol.dispose](): void {
    this.#key.wipe();
    this.#packets[Symbol.dispose]();
  }

  /** AEAD calls for transport messages of these lengths, some at a time, that were sealed before. */
  #time(samples: Samples, { packets }: Round, lengths: readonly number[], call: AeadCall): void {
    const { slab, slotSize } = this.#packets;
    let total = 0;
    let longest = 0;
    for (let first = 0; first < lengths.length; first += BURST_DATAGRAMS) {
      const count = Math.min(BURST_DATAGRAMS, lengths.length - first);
      const each = (handle: AeadCall): number => {
        const start = startTime();
        for (let i = 0; i < count; i++) {
          const text = lengths[first + i]! - TRANSPORT_HEADER_LENGTH - TAG_LENGTH;
          handle(slab, i * slotSize + TRANSPORT_HEADER_LENGTH, text, i);
        }
        return elapsedNs(start);
      };
      each((bytes, at, length, counter) => this.#key.seal(bytes, at, length, counter, 0));
      const ns = each(call);
      total += ns;
      longest = Math.max(longest, ns);
    }
    samples.add(total, longest, packets);
  }
}

type AeadCall = (slab: Uint8Array, offset: number, length: number, counter: number) => void;

/** Some thousands of packets, and what was opened and sealed for them. */
class Round {
  packets = 0;
  readonly opened: number[] = [];
  readonly sealed: number[] = [];

  /** Returns the full packets of the step. */
  add({ datagrams }: Step, { sent }: CoreClient, download: boolean): number {
    const before = this.packets;
    for (const { length } of datagrams) this.#count(this.opened, length, download);
    for (const length of sent) this.#count(this.sealed, length, !download);
    return this.packets - before;
  }

  #count(lengths: number[], length: number, moves: boolean): void {
    lengths.push(length);
    if (moves && length > FULL_BYTES) this.packets++;
  }
}

/** Times (or what else is counted) per packet, each over at least so many packets. */
class Samples {
  readonly #size: number;
  readonly #whole: number[] = [];
  readonly #interrupted: number[] = [];
  #ns = 0;
  #longestNs = 0;
  #packets = 0;

  constructor(packets: number) {
    this.#size = packets;
  }

  /** Of those that nothing interrupted, if there are such; of what there is, if that is less than a sample. */
  get median(): number {
    if (this.#whole.length + this.#interrupted.length === 0) return this.#ns / this.#packets;
    return spreadOf(this.#whole.length > 0 ? this.#whole : this.#interrupted).median;
  }

  add(ns: number, longestNs: number, packets: number): void {
    this.#ns += ns;
    this.#longestNs = Math.max(this.#longestNs, longestNs);
    this.#packets += packets;
    if (this.#packets < this.#size) return;
    (this.#longestNs < INTERRUPTED_NS ? this.#whole : this.#interrupted).push(this.#ns / this.#packets);
    this.#ns = this.#longestNs = this.#packets = 0;
  }
}
