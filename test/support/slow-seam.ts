/**
 * An engine behind a seam that is slow on purpose: commands and events arrive later, in order, a few at a time, and bytes arrive
 * in other pieces than they were sent. What runs over it makes no use of an engine that happens to answer at once.
 */

import type { SocketCommand, SocketEvent } from '../../src/core/netstack/messages.ts';
import type { EnginePort } from '../../src/node/engine.ts';

export interface SlowSeamOptions {
  readonly seed: number;
  /** Longest wait before the next few messages pass, in milliseconds. */
  readonly delayMs?: number;
}

export class SlowSeam implements EnginePort {
  onEvent: (event: SocketEvent) => void = () => {};
  readonly #commands: SlowQueue<SocketCommand>;
  readonly #lent = new Set<number>();

  constructor(inner: EnginePort, { seed, delayMs = 2 }: SlowSeamOptions) {
    const random = numbers(seed);
    this.#commands = new SlowQueue(random, delayMs, (command) => inner.post(command));
    const events = new SlowQueue<SocketEvent>(random, delayMs, (event) => this.#tell(event));
    inner.onEvent = (event) => {
      for (const part of event.kind === 'tcp-data' ? split(event, random) : [event]) events.push(part);
    };
  }

  lend(socket: number, lent: boolean): void {
    if (lent) this.#lent.add(socket);
    else this.#lent.delete(socket);
  }

  /** What was lent is overwritten: each part is a copy. */
  #tell(event: SocketEvent): void {
    this.onEvent(event);
    if (event.kind === 'tcp-data' && this.#lent.has(event.socket)) event.bytes.fill(0xee);
  }

  post(command: SocketCommand): void {
    if (command.kind === 'udp-send') this.#commands.push({ ...command, bytes: Uint8Array.from(command.bytes) });
    else if (command.kind !== 'tcp-write') this.#commands.push(command);
    else
      for (const part of split({ ...command, bytes: Uint8Array.from(command.bytes) }, this.#commands.random))
        this.#commands.push(part);
  }
}

class SlowQueue<T> {
  readonly random: () => number;
  readonly #delayMs: number;
  readonly #pass: (item: T) => void;
  #items: T[] = [];
  #scheduled = false;

  constructor(random: () => number, delayMs: number, pass: (item: T) => void) {
    this.random = random;
    this.#delayMs = delayMs;
    this.#pass = pass;
  }

  push(item: T): void {
    this.#items.push(item);
    if (!this.#scheduled) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    const delay = this.random() * this.#delayMs;
    if (delay < 0.5) setImmediate(() => this.#run());
    else setTimeout(() => this.#run(), delay);
  }

  #run(): void {
    const some = this.#items.splice(0, 1 + Math.floor(this.random() * 16));
    for (const item of some) this.#pass(item);
    this.#scheduled = false;
    if (this.#items.length > 0) this.#schedule();
  }
}

/** One message of bytes as up to four. */
function split<T extends { readonly bytes: Uint8Array }>(message: T, random: () => number): T[] {
  const cuts = [0, random(), random(), random(), 1]
    .map((part) => Math.floor(part * message.bytes.length))
    .sort((a, b) => a - b);
  const parts = cuts.slice(1).map((end, i) => ({ ...message, bytes: message.bytes.slice(cuts[i], end) }));
  return parts.filter(({ bytes }) => bytes.length > 0);
}

/** mulberry32. */
function numbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
