/** Small pieces of memory cut from larger ones: an allocation for each datagram costs more than copying it. */

const SLAB_SIZE = 65_536;

export class Slab {
  #bytes: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** `length` bytes that nobody else has. They keep up to 64 KiB of their neighbours alive. */
  take(length: number): Uint8Array {
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(SLAB_SIZE, length));
      this.#used = 0;
    }
    const start = this.#used;
    this.#used = start + length;
    return this.#bytes.subarray(start, start + length);
  }
}
