/**
 * The search for a server that answers, from `start` on and whenever the link is lost, and what the way there tells: that the host has
 * no route, that another device uses the same key.
 */

import type { Random } from '../base/crypto.ts';
import type { Instant } from '../base/instant.ts';
import type { Fault } from '../guard/guard.ts';
import { KeySharing } from '../guard/key-sharing.ts';
import { explain } from '../guard/reasons.ts';
import { Reconnect, type ReconnectOutput } from '../guard/reconnect.ts';

export interface SearchOptions {
  readonly random: Random;
  readonly configurations: number;
  /**
   * Whether handshakes are asked for as late as WireGuard itself would. Those asked for sooner follow one another closely and say nothing
   * about a second holder of the key.
   */
  readonly patient: boolean;
}

export type SearchOutput =
  | ReconnectOutput
  /** For the guard. */
  | { readonly kind: 'fault'; readonly fault: Fault | undefined };

/** The third initiation follows two without an answer. One may get lost, and a fresh look-up may lead to another server. */
const SEARCH_FROM_ATTEMPT = 3;

export class Search {
  /** For the answers to its outputs. */
  readonly reconnect: Reconnect;
  readonly #sharing: KeySharing = new KeySharing();
  readonly #patient: boolean;
  /** From `start` on, unless a person has switched the VPN off. */
  #active = false;
  #withoutRoute = false;

  constructor({ random, configurations, patient }: SearchOptions) {
    this.reconnect = new Reconnect({ random, configurations });
    this.#patient = patient;
  }

  /** Whether a second holder of the key is suspected. */
  get sharedKey(): boolean {
    return this.#sharing.suspected;
  }

  start(now: Instant): void {
    this.#active = true;
    this.#sharing.handleDisturbance();
    this.reconnect.start(now);
  }

  stop(): void {
    this.#active = false;
    this.#sharing.handleDisturbance();
    this.reconnect.stop();
  }

  /** A handshake with the exit. */
  handleConnected(now: Instant): void {
    if (this.#patient) this.#sharing.handleHandshake(now);
    if (this.#active) this.reconnect.handleConnected(now);
  }

  /** This initiation in a series goes out without an answer to those before it. */
  handleUnanswered(attempt: number, now: Instant): void {
    if (attempt >= SEARCH_FROM_ATTEMPT) this.handleSilence(now);
  }

  /** Nothing comes from the server any more. */
  handleSilence(now: Instant): void {
    if (this.#active) this.reconnect.start(now);
  }

  /** The host's addresses or routes changed, or it woke from sleep. */
  handleNetworkChange(now: Instant): void {
    this.#sharing.handleDisturbance();
    this.reconnect.handleNetworkChange(now);
  }

  handleTimeout(now: Instant): void {
    this.reconnect.handleTimeout(now);
  }

  nextTimeout(): Instant | undefined {
    return this.reconnect.nextTimeout();
  }

  nextOutput(): SearchOutput | undefined {
    const { withoutRoute } = this.reconnect;
    if (withoutRoute !== this.#withoutRoute) {
      this.#withoutRoute = withoutRoute;
      return { kind: 'fault', fault: withoutRoute ? { ...explain('no-route'), helpless: false } : undefined };
    }
    const output = this.reconnect.nextOutput();
    // The next handshake is of our own making.
    if (output) this.#sharing.handleDisturbance();
    return output;
  }
}
