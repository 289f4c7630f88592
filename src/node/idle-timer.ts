/** The timer behind a socket's `setTimeout`: fires once after a time without `touch`, and again only after the next `touch`. */

import { nodeError, validateFunction, validateNumber } from './node-errors.ts';

const LONGEST_MS = 2 ** 31 - 1;

export class IdleTimer {
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** Starts over with `delayMs`; 0 stops. Throws ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE, as node:net does. */
  set(delayMs: number, listener?: unknown): void {
    validateNumber(delayMs, 'msecs');
    if (!(delayMs >= 0 && Number.isFinite(delayMs)))
      throw nodeError(RangeError, 'ERR_OUT_OF_RANGE', `The value of "msecs" is out of range. Received ${delayMs}`);
    this.stop();
    if (listener !== undefined) validateFunction(listener, 'callback');
    if (delayMs === 0) return;
    this.#timer = setTimeout(this.#onIdle, Math.min(delayMs, LONGEST_MS));
    this.#timer.unref();
  }

  touch(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
