/** Memory that system calls read and write by its address, as tables of the structures of `recvmmsg(2)`, `cmsg(3)` and `poll(2)`. */

import type { Libc } from './ffi.ts';

/** Where a pointer is kept: two words, the lower one first. */
const WORD_RANGE = 2 ** 32;

/** The address is valid as long as this object is: whoever passes it to a system call keeps the object, not the number. */
export class NativeMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly address: number;

  constructor(libc: Libc, bytes: number) {
    // An array with a buffer of its own does not lie on V8’s heap, where it would be moved.
    const buffer = new ArrayBuffer(bytes);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.address = libc.addressOf(this.bytes);
  }

  setPointer(offset: number, address: number): void {
    this.words[offset >> 2] = address % WORD_RANGE;
    this.words[(offset >> 2) + 1] = address / WORD_RANGE;
  }
}
