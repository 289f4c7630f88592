/**
 * Who was heard lately, by the words of plain packets: found without a hash that outsiders cannot foresee. Each tuple has one place, so
 * somebody who aims at it can only cause what a stranger does, a look into the table of all.
 */

import type { PlainTuple } from '../../wire/plain-packet.ts';

/** Of 200 connections, nine in ten have a place of their own. */
const PLACES = 2048;
/** Source, destination, ports; the value and one, 0 for a place that is free. */
const WORDS = 4;

export class RecentTuples {
  readonly #entries: Int32Array = new Int32Array(PLACES * WORDS);

  /** The value noted for the tuple, or -1 if there is none, or none any more. */
  get({ source, destination, ports }: PlainTuple): number {
    const entries = this.#entries;
    const at = placeOf(source, destination, ports);
    const known = entries[at + 2] === ports && entries[at] === source && entries[at + 1] === destination;
    return known ? entries[at + 3]! - 1 : -1;
  }

  /** Notes a small non-negative value, and returns its place for `forget`. */
  note({ source, destination, ports }: PlainTuple, value: number): number {
    const entries = this.#entries;
    const at = placeOf(source, destination, ports);
    entries[at] = source;
    entries[at + 1] = destination;
    entries[at + 2] = ports;
    entries[at + 3] = value + 1;
    return at;
  }

  /** The value stands for somebody else from now on; `place` is where it was noted last. */
  forget(place: number, value: number): void {
    if (this.#entries[place + 3] === value + 1) this.#entries[place + 3] = 0;
  }
}

/** Ports differ most in their low bytes, which stand high in the halves of the word. */
function placeOf(source: number, destination: number, ports: number): number {
  const mixed = Math.imul(ports ^ source ^ (destination << 7), 0x9e3779b1);
  return ((mixed >>> 15) & (PLACES - 1)) * WORDS;
}
