/**
 * Wakes the other thread, once for everything that it has not looked at yet. Each side has a word: 0 if it is to be woken, 1 if it was, or
 * is about to look by itself.
 */
export class Bell {
  readonly #signals: Int32Array;
  readonly #own: number;
  readonly #others: number;
  readonly #knock: () => void;

  /** `own` and `others` are the words of the two sides in `signals`; `knock` wakes the other one. */
  constructor(signals: SharedArrayBuffer, own: number, others: number, knock: () => void) {
    this.#signals = new Int32Array(signals);
    this.#own = own;
    this.#others = others;
    this.#knock = knock;
  }

  ring(): void {
    if (Atomics.exchange(this.#signals, this.#others, 1) === 0) this.#knock();
  }

  /** Whoever has something to show from now on wakes this side. Look after, since somebody may have shown it just before. */
  doze(): void {
    Atomics.store(this.#signals, this.#own, 0);
  }

  /** Nobody needs to wake this side: it looks by itself before it dozes again. */
  watch(): void {
    Atomics.store(this.#signals, this.#own, 1);
  }
}
