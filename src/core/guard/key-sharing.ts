/**
 * Recognises that another device uses the same key (a phone with the same .conf, a second instance). The server knows one session for a
 * key, so each of the two cuts off the other: our session goes silent, a new handshake succeeds at once, and so on, while a
 * session of one's own lives for two minutes. A dead server does not look like that: it does not answer.
 */

import { elapsedMs, type Instant } from '../base/instant.ts';

/** Handshakes follow one another after 120 s if nothing is wrong; sooner than this, something was. */
const SHORT_LIFE_MS = 60_000;
/** Sessions in a row that lived so short, until it is said. One or two are a bad line. */
const SHORT_LIVES = 4;

export class KeySharing {
  #handshakeAt: Instant | undefined;
  #shortLives = 0;

  /** Whether it looks like a second holder of the key. Ends with the first session that lives long. */
  get suspected(): boolean {
    return this.#shortLives >= SHORT_LIVES;
  }

  /** A handshake completed that this side asked for because of age or silence. */
  handleHandshake(now: Instant): void {
    const short = this.#handshakeAt !== undefined && elapsedMs(this.#handshakeAt, now) < SHORT_LIFE_MS;
    this.#shortLives = short ? this.#shortLives + 1 : 0;
    this.#handshakeAt = now;
  }

  /** The next handshake has another cause: a change of network, server or key, a wake from sleep, a person. */
  handleDisturbance(): void {
    this.#handshakeAt = undefined;
  }
}
