/**
 * Torrent clients follow the killswitch: every transfer that runs when it engages is marked and paused, and exactly the marked ones
 * resume when it releases. A person's word in between wins: paused by hand stays paused, resumed by hand stays as it is.
 *
 * A marker is written before the pause is sent and removed after the resume has succeeded, so a process that ends between the two
 * forgets nothing. A command that fails is sent again; it never counts as done. Several clients share one policy if their transfers'
 * ids differ.
 *
 * Drain `nextOutput` after every call, in order, then arm one timer for `nextTimeout`.
 */

import { after, earliest, type Instant } from '../base/instant.ts';
import { COMMAND_TIMEOUT_MS, retryDelay } from './client-commands.ts';
import { isRecord, parsed } from './memory.ts';
import type { ClientOrder } from './policy.ts';

/** `pausing` and `resuming` until the client has done it. */
export type MarkerPhase = 'pausing' | 'paused' | 'resuming';

/** The transfers marked `paused_by_killswitch`. */
export type Markers = ReadonlyMap<string, MarkerPhase>;

export type ClientOutput =
  /** Write this to the state folder before the outputs behind it are acted on. */
  | { readonly kind: 'remember'; readonly markers: Markers }
  /** Tell the client, then call `handleDone` with the number. Commands for one transfer keep their order. */
  | { readonly kind: 'pause' | 'resume'; readonly transfer: string; readonly number: number };

interface Command {
  readonly kind: 'pause' | 'resume';
  /** Tells the answer from a late one to an earlier command, which has been given up. */
  readonly number: number;
}

interface Transfer {
  /** As the client last said; `undefined` before it has. Downloading, seeding and queued are running. */
  running: boolean | undefined;
  /** Resumed by a person against the killswitch: left alone until it releases. */
  overridden: boolean;
  command: Command | undefined;
  failures: number;
  /** When the command is given up, or after a failure sent again. */
  deadline: Instant | undefined;
}

export class ClientPolicy {
  readonly #transfers: Map<string, Transfer> = new Map();
  readonly #markers: Map<string, MarkerPhase>;
  /** Not yet taken by `nextOutput`. */
  readonly #commands: Map<string, Command> = new Map();
  #lastNumber = 0;
  #order: ClientOrder = 'leave';
  #unsaved = false;

  /** `markers`: those of before the restart. Nothing is done before `handleOrder`. */
  constructor(markers: Markers = new Map()) {
    this.#markers = new Map(markers);
  }

  get markers(): Markers {
    return this.#markers;
  }

  /** The transfers whose latest command failed, or was never answered. */
  get failing(): readonly string[] {
    return [...this.#transfers].flatMap(([id, { failures }]) => (failures > 0 ? [id] : []));
  }

  /** The guard's `policy.clients`. */
  handleOrder(order: ClientOrder, now: Instant): void {
    this.#order = order;
    for (const [id, transfer] of this.#transfers) {
      if (order === 'run') transfer.overridden = false;
      this.#follow(id, transfer, now);
    }
  }

  /** What the client says of a transfer: at the start, when it is added, when it changes, or on a poll. */
  handleTransfer(id: string, running: boolean, now: Instant): void {
    const transfer = this.#transfer(id);
    transfer.running = running;
    // While a command is under way, what the client says may be from before it.
    if (transfer.command) return;
    const phase = this.#markers.get(id);
    if (phase === 'pausing' && !running) this.#mark(id, 'paused');
    else if (phase === 'resuming' && running) this.#unmark(id);
    else if (phase === 'paused' && running) this.#releaseTo(id, transfer);
    this.#follow(id, transfer, now);
  }

  /**
   * The client has just got this transfer, for the first time or, if it keeps none itself, again after a restart: one that runs was
   * started by its owner as every other, and not against the killswitch. A marker of one that does not run stays.
   */
  handleAdded(id: string, running: boolean, now: Instant): void {
    if (running && !this.#transfers.has(id)) this.#unmark(id);
    this.handleTransfer(id, running, now);
  }

  /** A person paused or resumed it, here or in the client. The caller sees that the client does so. */
  handlePerson(id: string, wish: 'pause' | 'resume', now: Instant): void {
    const transfer = this.#transfer(id);
    transfer.running = wish === 'resume';
    if (this.#commands.delete(id)) transfer.command = undefined;
    if (wish === 'resume') this.#releaseTo(id, transfer);
    else {
      transfer.overridden = false;
      this.#unmark(id);
    }
    this.#follow(id, transfer, now);
  }

  /** The transfer is gone from the client. */
  handleRemoved(id: string): void {
    this.#transfers.delete(id);
    this.#commands.delete(id);
    this.#unmark(id);
  }

  /** Nothing is known of the transfer any more, since its client has left. The marker stays, for when it comes back. */
  forget(id: string): void {
    this.#transfers.delete(id);
    this.#commands.delete(id);
  }

  /** The command with this number succeeded or failed. */
  handleDone(id: string, number: number, succeeded: boolean, now: Instant): void {
    const transfer = this.#transfers.get(id);
    const command = transfer?.command;
    if (!transfer || command?.number !== number) return;
    transfer.command = undefined;
    transfer.failures = succeeded ? 0 : transfer.failures + 1;
    transfer.deadline = succeeded ? undefined : after(now, retryDelay(transfer.failures));
    const phase = this.#markers.get(id);
    if (succeeded && phase) {
      transfer.running = command.kind === 'resume';
      if (command.kind === 'pause' && phase === 'pausing') this.#mark(id, 'paused');
      if (command.kind === 'resume' && phase === 'resuming') this.#unmark(id);
    }
    this.#follow(id, transfer, now);
  }

  handleTimeout(now: Instant): void {
    for (const [id, transfer] of this.#transfers) {
      if (transfer.deadline === undefined || transfer.deadline > now) continue;
      if (transfer.command) this.handleDone(id, transfer.command.number, false, now);
      else {
        transfer.deadline = undefined;
        this.#follow(id, transfer, now);
      }
    }
  }

  nextTimeout(): Instant | undefined {
    let next: Instant | undefined;
    for (const { deadline } of this.#transfers.values()) next = earliest(next, deadline);
    return next;
  }

  nextOutput(): ClientOutput | undefined {
    if (this.#unsaved) {
      this.#unsaved = false;
      return { kind: 'remember', markers: new Map(this.#markers) };
    }
    for (const [transfer, command] of this.#commands) {
      this.#commands.delete(transfer);
      return { ...command, transfer };
    }
    return undefined;
  }

  #transfer(id: string): Transfer {
    let transfer = this.#transfers.get(id);
    if (!transfer) {
      transfer = { running: undefined, overridden: false, command: undefined, failures: 0, deadline: undefined };
      this.#transfers.set(id, transfer);
    }
    return transfer;
  }

  /** Brings marker and command of one transfer to what the order wants. */
  #follow(id: string, transfer: Transfer, now: Instant): void {
    const phase = this.#markers.get(id);
    if (this.#order === 'pause') {
      if (phase === 'resuming' || (!phase && transfer.running && !transfer.overridden)) this.#mark(id, 'pausing');
    } else if (this.#order === 'run' && phase) this.#mark(id, 'resuming');
    // A resume that was not sent yet must not be: a reason stands again.
    if (this.#order !== 'run' && this.#commands.get(id)?.kind === 'resume') {
      this.#commands.delete(id);
      transfer.command = undefined;
    }
    // Another direction starts at once, however long the last one has to wait after its failures.
    if (this.#markers.get(id) !== phase && !transfer.command) transfer.deadline = undefined;
    this.#send(id, transfer, now);
  }

  #send(id: string, transfer: Transfer, now: Instant): void {
    if (transfer.command) return;
    const phase = this.#markers.get(id);
    const pause = phase === 'pausing' && this.#order === 'pause';
    const resume = phase === 'resuming' && this.#order === 'run';
    if (!pause && !resume) {
      transfer.failures = 0;
      transfer.deadline = undefined;
    } else if (transfer.deadline === undefined) {
      transfer.command = { kind: pause ? 'pause' : 'resume', number: ++this.#lastNumber };
      transfer.deadline = after(now, COMMAND_TIMEOUT_MS);
      this.#commands.set(id, transfer.command);
    }
  }

  /** A person lets it run. Until the killswitch releases, it is not paused again. */
  #releaseTo(id: string, transfer: Transfer): void {
    transfer.overridden = this.#order !== 'run';
    this.#unmark(id);
  }

  #mark(id: string, phase: MarkerPhase): void {
    if (this.#markers.get(id) === phase) return;
    this.#markers.set(id, phase);
    this.#unsaved = true;
  }

  #unmark(id: string): void {
    if (this.#markers.delete(id)) this.#unsaved = true;
  }
}

/** For a file of the state folder. */
export function serialiseMarkers(markers: Markers): string {
  return JSON.stringify({ version: 1, paused: [...markers] });
}

/** What `serialiseMarkers` made; no markers if it is not that: then paused transfers stay paused until a person resumes them. */
export function restoreMarkers(text: string | undefined): Markers {
  const markers = new Map<string, MarkerPhase>();
  const value = text === undefined ? undefined : parsed(text);
  if (!isRecord(value) || value['version'] !== 1 || !Array.isArray(value['paused'])) return markers;
  for (const entry of value['paused'] as unknown[]) {
    if (!Array.isArray(entry)) continue;
    const [id, phase] = entry as unknown[];
    if (typeof id === 'string' && (phase === 'pausing' || phase === 'paused' || phase === 'resuming'))
      markers.set(id, phase);
  }
  return markers;
}
