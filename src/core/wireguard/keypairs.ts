/**
 * The up to three sessions of a peer (whitepaper §6.3): packets are received on all of them and sent on `current` alone.
 *
 *     initiator, response received      new → current;  previous ← next if one was pending, else the old current
 *     responder, response sent          new → next;     old next and previous go
 *     first packet received on next     next → current → previous
 */

import type { Keypair } from './keypair.ts';

export class Keypairs {
  previous: Keypair | undefined;
  current: Keypair | undefined;
  /** A session that this side answered, until the initiator has proven that it has the keys. */
  next: Keypair | undefined;
  readonly #drop: (keypair: Keypair) => void;

  /** `drop` is called with each keypair that left, to release its index and wipe it. */
  constructor(drop: (keypair: Keypair) => void) {
    this.#drop = drop;
  }

  addInitiated(keypair: Keypair): void {
    const { previous, current, next } = this;
    this.previous = next ?? current;
    this.current = keypair;
    this.next = undefined;
    if (previous) this.#drop(previous);
    if (next && current) this.#drop(current);
  }

  addResponded(keypair: Keypair): void {
    const { previous, next } = this;
    this.previous = undefined;
    this.next = keypair;
    if (previous) this.#drop(previous);
    if (next) this.#drop(next);
  }

  /** To be called for each authenticated packet. True if it was the first on `next`, which now is `current`. */
  confirm(keypair: Keypair): boolean {
    if (keypair !== this.next) return false;
    const { previous } = this;
    this.previous = this.current;
    this.current = keypair;
    this.next = undefined;
    if (previous) this.#drop(previous);
    return true;
  }

  clear(): void {
    const { previous, current, next } = this;
    this.previous = undefined;
    this.current = undefined;
    this.next = undefined;
    if (previous) this.#drop(previous);
    if (current) this.#drop(current);
    if (next) this.#drop(next);
  }
}
