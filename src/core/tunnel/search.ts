/**
 * The search for a server that answers, from `start` on and whenever the link is lost, and what the way there tells: that the host has
 * no route, that another device uses the same key.
 */

import type { Random } from '../base/crypto.ts';
import { elapsedMs, type Instant } from '../base/instant.ts';
import type { Fault, LinkFacts } from '../guard/guard.ts';
import { KeySharing } from '../guard/key-sharing.ts';
import { explain } from '../guard/reasons.ts';
import { Reconnect, type ReconnectOutput } from '../guard/reconnect.ts';
import { KEEPALIVE_TIMEOUT, REKEY_TIMEOUT } from '../wireguard/constants.ts';

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

/** For so long initiations are unanswered until a fresh look-up is worth its while: two, since one may get lost. */
const UNANSWERED_MS = 2 * REKEY_TIMEOUT;

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

  /**
   * After each turn of the device. Time counts and not attempts: traffic on a session that is due for another asks for a handshake
   * with every packet, and each time a new series of attempts begins.
   */
  handleLink({ initiationUnansweredSince, dataUnansweredSince }: LinkFacts, now: Instant): void {
    if (initiationUnansweredSince === undefined) return;
    // Where content had been unanswered for longer than an answer takes (§6.5), the lost initiation is not the first sign.
    const silent =
      dataUnansweredSince !== undefined && initiationUnansweredSince - dataUnansweredSince > KEEPALIVE_TIMEOUT;
    if (elapsedMs(initiationUnansweredSince, now) >= (silent ? REKEY_TIMEOUT : UNANSWERED_MS)) this.handleSilence(now);
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
