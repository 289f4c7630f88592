/**
 * Pieces of one memory that never grows: growing would move it, and leave every view of it empty. What is given back is handed out
 * again for the same number of bytes, which is how ports ask for slabs. When nothing is left, ordinary memory takes its place: the
 * AEAD then copies.
 */

const ALIGNMENT = 64;

export class Arena {
  readonly #memory: ArrayBuffer;
  #next: number;
  readonly #lent: Map<Uint8Array, number> = new Map();
  readonly #returned: Map<number, number[]> = new Map();

  /** Of `memory` from `start` on. */
  constructor(memory: ArrayBuffer, start: number) {
    this.#memory = memory;
    this.#next = aligned(start);
  }

  /** `bytes` zeros. */
  allocate(bytes: number): Uint8Array {
    const offset = this.#returned.get(bytes)?.pop() ?? this.#cut(bytes);
    if (offset === undefined) return new Uint8Array(bytes);
    const piece = new Uint8Array(this.#memory, offset, bytes);
    this.#lent.set(piece, offset);
    return piece;
  }

  /** Takes back, and wipes, a piece that `allocate` handed out; anything else is left alone. */
  release(piece: Uint8Array): void {
    const offset = this.#lent.get(piece);
    if (offset === undefined) return;
    this.#lent.delete(piece);
    piece.fill(0);
    const places = this.#returned.get(piece.length);
    if (places) places.push(offset);
    else this.#returned.set(piece.length, [offset]);
  }

  #cut(bytes: number): number | undefined {
    const offset = this.#next;
    const end = aligned(offset + bytes);
    if (end > this.#memory.byteLength) return undefined;
    this.#next = end;
    return offset;
  }
}

function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}
