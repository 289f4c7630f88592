/** Wakes the other thread, once for everything that it has not looked at yet. */

import type { MessagePort } from 'node:worker_threads';

export class Bell {
  readonly #signals: Int32Array;
  readonly #own: number;
  readonly #others: number;
  readonly #port: MessagePort;

  /** `own` and `others` are the words of the two sides in `signals`. */
  constructor(port: MessagePort, signals: SharedArrayBuffer, own: number, others: number) {
    this.#port = port;
    this.#signals = new Int32Array(signals);
    this.#own = own;
    this.#others = others;
  }

  ring(): void {
    if (Atomics.exchange(this.#signals, this.#others, 1) === 0) this.#port.postMessage(0);
  }

  /** Before looking: what comes from now on rings again. */
  hush(): void {
    Atomics.store(this.#signals, this.#own, 0);
  }
}
