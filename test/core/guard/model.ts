/**
 * What the killswitch, the forwarded port and the torrent clients must be at any moment, told by somebody who sees only what happens
 * outside of them: what passes on the wire, what the gateway says, what persons do, what the clients are told. It shares no code with
 * the real ones and no structure; it throws where they do what they must not.
 */

import type { ClientOrder, GuardReason } from '../../../src/core/guard/policy.ts';

const STALE_MS = 180_000;
const SILENT_MS = 30_000;
/** A WireGuard message without content. */
const KEEPALIVE_LENGTH = 32;
/** How long resuming may wait for the forwarded port. */
const PORT_WAIT_MS = 8_000;
/** A gateway that has lost its table has so long to be noticed after its first word: one round of questions. */
const ROUND_MS = 8_000;

interface Transfer {
  /** A person's last word, or what the client did when it was first seen. */
  wanted: boolean;
  /** A person let it run though the killswitch stood. */
  overridden: boolean;
  /** The killswitch owes it a resume. */
  owed: boolean;
}

interface Session {
  readonly index: number;
  readonly since: number;
}

/** What of WireGuard can be told from outside, by the indices in its messages. */
class Link {
  handshakeAt: number | undefined;
  receivedAt: number | undefined;
  /** When content was first sent with nothing received since. */
  contentSince: number | undefined;
  /** When the first initiation left that no handshake has followed. */
  unansweredSince: number | undefined;
  /** The index of the initiation that the next response must name. */
  asked: number | undefined;
  /** The session in use, the one before it, and one that we answered and nobody has used yet. */
  current: Session | undefined;
  previous: Session | undefined;
  offered: Session | undefined;
}

export class Model {
  readonly reasons: Set<GuardReason> = new Set(['starting']);
  readonly transfers: Map<string, Transfer> = new Map();
  killswitch = true;
  /** When the last initiation left. */
  initiatedAt = 0;
  #link = new Link();
  #freeSince: number | undefined;
  #order: ClientOrder = 'leave';
  #announced: number | undefined;
  /** `udp 50000`, and until when the gateway granted it. */
  readonly #granted: Map<string, number> = new Map();
  /** Protocols whose mapping the gateway has forgotten, and since when the tunnel’s end can know. */
  readonly #forgotten: Set<string> = new Set();
  #forgottenSince = 0;

  // What passes on the wire

  /** A WireGuard message has left: its type, its sender's index where it has one, its length. */
  left(type: number, index: number, length: number, now: number): void {
    const link = this.#link;
    if (type === 1) {
      link.asked = index;
      link.unansweredSince ??= now;
      this.initiatedAt = now;
    } else if (type === 2) {
      link.previous = undefined;
      link.offered = { index, since: now };
      link.receivedAt = now;
      link.contentSince = undefined;
    } else if (type === 4 && length > KEEPALIVE_LENGTH) link.contentSince ??= now;
  }

  /** One has arrived, by type and the receiver's index. Genuine only if it names what is ours. */
  arrived(type: number, index: number, now: number): void {
    const link = this.#link;
    const isFresh = (session: Session | undefined): boolean =>
      session?.index === index && now - session.since < STALE_MS;
    if (type === 2 && index === link.asked) {
      link.asked = undefined;
      this.#handshake({ index, since: now }, link.offered ?? link.current, now);
    } else if (type === 4 && isFresh(link.offered)) this.#handshake(link.offered!, link.current, now);
    else if (type !== 4 || !(isFresh(link.current) || isFresh(link.previous))) return;
    link.receivedAt = now;
    link.contentSince = undefined;
  }

  #handshake(session: Session, before: Session | undefined, now: number): void {
    const link = this.#link;
    link.previous = before;
    link.current = session;
    link.offered = undefined;
    link.handshakeAt = now;
    link.unansweredSince = undefined;
    this.reasons.delete('starting');
    this.reasons.delete('stale');
    this.settle(now);
  }

  /** Time has passed, and whatever was due has been done. */
  settle(now: number): void {
    const { handshakeAt, receivedAt, contentSince, unansweredSince } = this.#link;
    const aged = handshakeAt !== undefined && handshakeAt + STALE_MS <= now;
    // Content alone proves nothing, since some needs no answer; an initiation always does.
    const quietSince =
      unansweredSince === undefined ? now : Math.min(contentSince ?? now, Math.max(unansweredSince, receivedAt ?? 0));
    if ((aged || quietSince + SILENT_MS <= now) && !this.reasons.has('user')) this.reasons.add('stale');
    this.#freeSince = this.reasons.size > 0 ? undefined : (this.#freeSince ?? now);
    // While resuming waits for the port, what starts is paused as before.
    const waits = this.reasons.size === 0 && this.#order === 'pause';
    if (this.#paused || waits)
      for (const transfer of this.transfers.values()) if (transfer.wanted && !transfer.overridden) transfer.owed = true;
  }

  // What persons and probes do

  /** Another server or key is tried. */
  identity(now: number): void {
    this.reasons.add('starting');
    this.#link = new Link();
    this.#granted.clear();
    this.#forgotten.clear();
    this.settle(now);
  }

  leak(now: number): void {
    this.reasons.add('leak');
    this.settle(now);
  }

  leakEnds(now: number): void {
    this.reasons.delete('leak');
    this.settle(now);
  }

  /** The session ends with it. */
  off(now: number): void {
    this.reasons.add('user');
    this.#link = new Link();
    this.settle(now);
  }

  /** On again, a handshake is needed, however well the old session is. */
  on(now: number): void {
    if (!this.reasons.delete('user')) return;
    this.reasons.add('starting');
    this.#link.handshakeAt = undefined;
    this.settle(now);
  }

  switchKillswitch(on: boolean, now: number): void {
    this.killswitch = on;
    this.settle(now);
  }

  add(id: string, running: boolean, now: number): void {
    this.transfers.set(id, { wanted: running, overridden: false, owed: false });
    this.settle(now);
  }

  remove(id: string): void {
    this.transfers.delete(id);
  }

  /** By way of us. */
  person(id: string, wish: 'pause' | 'resume', now: number): void {
    const resumed = wish === 'resume';
    this.transfers.set(id, { wanted: resumed, overridden: resumed && this.#order !== 'run', owed: false });
    this.settle(now);
  }

  /**
   * In the client itself. Who resumes what the killswitch has paused is a person; what starts otherwise may have been started by the
   * client, and is paused.
   */
  seen(id: string, running: boolean, now: number): void {
    const before = this.transfers.get(id)!;
    const overridden = before.overridden || (running && before.owed && this.#order !== 'run');
    this.transfers.set(id, { wanted: running, overridden, owed: false });
    this.settle(now);
  }

  /**
   * The process ended and another one began, with what was on disk; overrides are forgotten. `owed`: transfers with a marker that have
   * not been given back yet. `freed`: with a marker, but a person has let them run since.
   */
  restart(leaking: boolean, owed: ReadonlySet<string>, freed: ReadonlySet<string>, now: number): void {
    this.#link = new Link();
    this.reasons.delete('stale');
    this.reasons.add('starting');
    if (leaking) this.reasons.add('leak');
    else this.reasons.delete('leak');
    this.#order = 'leave';
    this.#announced = undefined;
    this.#granted.clear();
    this.#forgotten.clear();
    for (const [id, transfer] of this.transfers) {
      transfer.overridden = freed.has(id);
      transfer.owed = owed.has(id);
    }
    this.settle(now);
  }

  /** A person's last word was lost with the process: what the killswitch had paused, it resumes. */
  unhear(id: string): void {
    const transfer = this.transfers.get(id);
    if (transfer) transfer.wanted = true;
  }

  // What the clients are told

  get #paused(): boolean {
    const { reasons } = this;
    return this.killswitch && (reasons.has('stale') || reasons.has('leak') || reasons.has('user'));
  }

  /** What the clients shall do, apart from the wait for a port. */
  get order(): ClientOrder {
    return this.reasons.size === 0 ? 'run' : this.#paused ? 'pause' : 'leave';
  }

  ordered(order: ClientOrder): void {
    if (order === 'run' && this.reasons.size > 0) throw new Error(`resume with ${[...this.reasons].join()} set`);
    this.#order = order;
    if (order === 'run') for (const transfer of this.transfers.values()) transfer.overridden = false;
  }

  /** A client is told to pause or resume a transfer; `saved`: those whose marker is on disk. */
  commanded(kind: 'pause' | 'resume', id: string, saved: ReadonlySet<string>): void {
    const transfer = this.transfers.get(id);
    if (kind === 'resume' && this.reasons.size > 0)
      throw new Error(`resume of ${id} with ${[...this.reasons].join()} set`);
    if (!transfer?.owed) throw new Error(`${kind} of ${id}, which is not the killswitch’s to touch`);
    if (!saved.has(id)) throw new Error(`${kind} of ${id}, whose marker is not on disk`);
  }

  /** A client has done what the killswitch told it. */
  obeyed(kind: 'pause' | 'resume', id: string): void {
    const transfer = this.transfers.get(id);
    if (kind === 'resume' && transfer) transfer.owed = false;
  }

  // What the gateway says and what is announced

  granted(protocol: string, port: number, seconds: number, now: number): void {
    this.#granted.set(`${protocol} ${port}`, now + 1_000 * seconds);
    this.#forgotten.delete(protocol);
  }

  /** The gateway has lost its table; the tunnel's end can know when it hears from it next. */
  tableLost(): void {
    for (const protocol of ['udp', 'tcp']) this.#forgotten.add(protocol);
    this.#forgottenSince = Number.POSITIVE_INFINITY;
  }

  /** The gateway's answer has arrived, whatever it says. */
  gatewayHeard(now: number): void {
    this.#forgottenSince = Math.min(this.#forgottenSince, now);
  }

  announced(port: number | undefined): void {
    this.#announced = port;
  }

  /** That what is announced is in force, for both protocols, as far as can be known inside; `served`: what listeners are told. */
  checkPort(served: readonly number[], now: number): void {
    const port = this.#announced;
    if (port === undefined) return;
    if (!served.includes(port)) throw new Error(`port ${port} is announced and not served`);
    for (const protocol of ['udp', 'tcp']) {
      const until = this.#granted.get(`${protocol} ${port}`);
      if (until === undefined) throw new Error(`port ${port} is announced and was never granted for ${protocol}`);
      if (now >= until) throw new Error(`stale port ${port} announced: its lease ended ${now - until} ms ago`);
    }
    if (this.#forgotten.size > 0 && now > this.#forgottenSince + ROUND_MS)
      throw new Error(`stale port ${port} announced: the gateway has forgotten it`);
  }

  /** Whether the guard that says this is where it must be. Only after `settle`. */
  check(reasons: readonly GuardReason[], mayFlow: boolean, now: number): void {
    const [is, must] = [[...reasons].sort().join(), [...this.reasons].sort().join()];
    if (is !== must) throw new Error(`the guard has [${is}], must have [${must}]`);
    const closed = this.reasons.has('starting') || this.reasons.has('user');
    if (mayFlow !== (this.reasons.size === 0 || (!this.killswitch && !closed)))
      throw new Error(`traffic ${mayFlow ? 'may' : 'may not'} flow with [${must}]`);
    if (this.#order === this.order) return;
    const waiting = this.order === 'run' && now - this.#freeSince! < PORT_WAIT_MS;
    if (!waiting) throw new Error(`clients are told to ${this.#order}, must be told to ${this.order}`);
  }

  /** Whether a transfer runs when every command has arrived. */
  runs(id: string): boolean {
    const { wanted, owed } = this.transfers.get(id)!;
    return wanted && !owed;
  }
}
