/**
 * The `onread` option of node:net: what is received goes into memory of the user's, again and again into the same, instead of a new
 * `Buffer` for each piece. At a gigabit per second that spares the collector of garbage most of its work.
 */

export interface OnReadOptions {
  /** Where received bytes go, or what says before each piece where it is to go. */
  readonly buffer: Uint8Array | (() => Uint8Array);
  /** So many bytes are in `buffer` now. `false` pauses the socket until `resume`. */
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean | undefined | void;
}

export class UserBuffer {
  readonly #callback: OnReadOptions['callback'];
  readonly #generate: (() => unknown) | undefined;
  #buffer: Uint8Array;

  /** `undefined` for what is no such option: node:net takes no offence at it either. */
  static from(option: unknown): UserBuffer | undefined {
    if (typeof option !== 'object' || option === null) return undefined;
    const { buffer, callback } = option as { readonly buffer?: unknown; readonly callback?: unknown };
    if (typeof callback !== 'function') return undefined;
    const generate = typeof buffer === 'function' ? (buffer as () => unknown) : undefined;
    const first = generate ? generate() : buffer;
    return isRoom(first) ? new UserBuffer(first, generate, callback as OnReadOptions['callback']) : undefined;
  }

  private constructor(buffer: Uint8Array, generate: (() => unknown) | undefined, callback: OnReadOptions['callback']) {
    this.#buffer = buffer;
    this.#generate = generate;
    this.#callback = callback;
  }

  /** The most that one piece may have. */
  get length(): number {
    return this.#buffer.length;
  }

  /** Takes one piece. False: no more until the user asks for it. */
  handle(socket: object, piece: Uint8Array): boolean {
    const buffer = this.#buffer;
    buffer.set(piece);
    const more = this.#callback.call(socket, piece.length, buffer) !== false;
    const next = this.#generate?.();
    if (isRoom(next)) this.#buffer = next;
    return more;
  }
}

function isRoom(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length > 0;
}
