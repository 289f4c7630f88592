/**
 * What one torrent client is told about how peers reach it: the forwarded port, whenever it is another one, and once after each outage
 * that trackers and DHT should hear of it again. While transfers pause nothing is told, for nothing could be announced; a port that
 * came and went meanwhile is never told at all.
 *
 * Drain `nextOutput` after every call, then arm one timer for `nextTimeout`.
 */

import { after, elapsedMs, type Instant } from '../base/instant.ts';
import { COMMAND_TIMEOUT_MS, retryDelay } from './client-commands.ts';
import type { ClientOrder } from './policy.ts';

export type ClientPortOutput =
  /** Apply this port and announce it, if it is another one for the client too. `undefined`: none leads to it any more. */
  | { readonly kind: 'set-port'; readonly port: number | undefined; readonly number: number }
  /** Announce anew: the port is the same, but who knew of it may have forgotten, or know another address. */
  | { readonly kind: 'announce'; readonly number: number };

/** Whose announces could not leave for so long has given them up: tracker clients wait 10 s for a connection at most. */
const ANNOUNCE_PATIENCE_MS = 5_000;

interface Command {
  readonly output: ClientPortOutput;
  /** An outage began after it was sent: what it announced may not have arrived. */
  doubtful: boolean;
}

export class ClientPort {
  #order: ClientOrder;
  #port: number | undefined;
  /** What the client has applied, as far as it has said. */
  #told: number | undefined;
  #announceDue = false;
  #outage: boolean;
  /** Since when the order is not to run. */
  #heldSince: Instant;
  #command: Command | undefined;
  #unsent = false;
  #failures = 0;
  /** When the command is given up, or after a failure sent again. */
  #deadline: Instant | undefined;
  #lastNumber = 0;

  /** As things stand when the client comes. Drain `nextOutput` after. */
  constructor(order: ClientOrder, port: number | undefined, now: Instant) {
    this.#order = order;
    this.#port = port;
    this.#outage = order === 'pause';
    this.#heldSince = now;
    this.#follow(now);
  }

  /** The port that the client has applied; `undefined` also before the first. */
  get told(): number | undefined {
    return this.#told;
  }

  /** Whether the client has applied the port that is mapped now. */
  get applied(): boolean {
    return this.#port !== undefined && this.#told === this.#port;
  }

  /** Whether the latest command failed, or was never answered. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** The guard's `policy.clients`, with the port of the time after an outage already told. */
  handleOrder(order: ClientOrder, now: Instant): void {
    const ran = this.#order === 'run';
    this.#order = order;
    if (order === 'run') {
      if (!ran && (this.#outage || elapsedMs(this.#heldSince, now) > ANNOUNCE_PATIENCE_MS)) this.#announceDue = true;
      this.#outage = false;
    } else {
      if (ran) this.#heldSince = now;
      if (ran || order === 'pause') this.#outage = true;
      if (this.#outage && this.#command) this.#command.doubtful = true;
    }
    this.#follow(now);
  }

  /** The exit has another address, and trackers and DHT know the one of before. */
  handleMoved(now: Instant): void {
    this.#announceDue = true;
    this.#follow(now);
  }

  /** The port that is mapped now, if one is. */
  handlePort(port: number | undefined, now: Instant): void {
    // Another port does not wait for the patience of earlier failures.
    if (port !== this.#port && !this.#command) this.#deadline = undefined;
    this.#port = port;
    this.#follow(now);
  }

  /** The command with this number succeeded or failed. */
  handleDone(number: number, succeeded: boolean, now: Instant): void {
    const command = this.#command;
    if (command?.output.number !== number) return;
    this.#command = undefined;
    this.#failures = succeeded ? 0 : this.#failures + 1;
    this.#deadline = succeeded ? undefined : after(now, retryDelay(this.#failures));
    if (succeeded && command.output.kind === 'set-port') this.#told = command.output.port;
    if (succeeded && !command.doubtful) this.#announceDue = false;
    this.#follow(now);
  }

  handleTimeout(now: Instant): void {
    if (this.#deadline === undefined || this.#deadline > now) return;
    if (this.#command) {
      this.handleDone(this.#command.output.number, false, now);
      return;
    }
    this.#deadline = undefined;
    this.#follow(now);
  }

  nextTimeout(): Instant | undefined {
    return this.#deadline;
  }

  nextOutput(): ClientPortOutput | undefined {
    if (!this.#unsent) return undefined;
    this.#unsent = false;
    return this.#command?.output;
  }

  #follow(now: Instant): void {
    // What was not sent yet is decided anew; what was sent is waited for.
    if (this.#unsent) {
      this.#command = undefined;
      this.#deadline = undefined;
      this.#unsent = false;
    }
    if (this.#command) return;
    const portDue = this.#port !== this.#told;
    if (this.#order === 'pause' || (!portDue && !this.#announceDue)) {
      this.#failures = 0;
      this.#deadline = undefined;
    } else if (this.#deadline === undefined) {
      const number = ++this.#lastNumber;
      const output: ClientPortOutput = portDue
        ? { kind: 'set-port', port: this.#port, number }
        : { kind: 'announce', number };
      this.#command = { output, doubtful: false };
      this.#deadline = after(now, COMMAND_TIMEOUT_MS);
      this.#unsent = true;
    }
  }
}
