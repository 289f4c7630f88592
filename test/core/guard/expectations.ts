/** What must hold over time in a `History`, beside what the model says of each moment: attempts, what is held, what stays. */

import type { History } from './history.ts';

/** A server that answers, or might, is tried at least so often. */
export const ATTEMPT_MS = 16_000;
/** The resolver is given so long to answer. */
export const LOOKUP_MS = 10_000;
/** What WireGuard adds to a pause between initiations, with room to spare. */
const JITTER_MS = 1_000;
/** The wait for the port, and a client that is asked again after failures. */
export const RESUME_MS = 45_000;
/** A gateway that refused for long is asked again after a minute and a fifth. */
export const MAPPED_MS = 90_000;

export class Expectations {
  readonly #history: History;
  /** When something happened last, a new process included. */
  #happenedAt = 0;
  /** Since when nothing has kept attempts from following one another. */
  #smoothSince = 0;
  /** Since when the killswitch has held transfers, with a client that obeys. */
  #heldSince = 0;
  /** Since when nothing is wrong at all. */
  /** Whether attempts were to be made when this was looked at last. */
  #attempting = false;
  #wellSince = 0;

  constructor(history: History) {
    this.#history = history;
  }

  /** Something happens: what follows from it takes its time. */
  restartClocks(): void {
    this.#happenedAt = this.#history.now;
  }

  /** The next attempt may take a little longer, or so much. */
  excuseAttempts(ms: number): void {
    this.#smoothSince = Math.max(this.#smoothSince, this.#history.now + ms);
  }

  /** At every moment at which anything was done. */
  check(): void {
    this.#checkAttempts();
    this.#checkHeld();
    if (!this.#isWell) this.#wellSince = this.#history.now;
  }

  /** A port that is lost has a cause. */
  checkLoss(): void {
    if (this.#history.now - Math.max(this.#wellSince, this.#happenedAt) > MAPPED_MS)
      throw new Error('the port is lost though nothing is wrong');
  }

  /** Whoever needs a handshake asks for one again and again, unless that would be in vain. */
  #checkAttempts(): void {
    const { model, names, world, process, now } = this.#history;
    const { reasons } = model;
    const wanted = (reasons.has('starting') || reasons.has('stale')) && !reasons.has('user');
    // While names cannot be looked up, the latest addresses are as good as any; of a fallback there may be none.
    const findable = names.resolver === 'answers' || (world.providers.length === 1 && process.known.size > 0);
    const possible = world.withoutRoute.size === 0 && findable && !Number.isNaN(world.wallOffsetMs);
    // While none is wanted, nothing need happen for hours, and nobody looks.
    if (!wanted || !possible || !this.#attempting) this.excuseAttempts(0);
    this.#attempting = wanted && possible;
    const limitMs = names.resolver === 'answers' ? ATTEMPT_MS : ATTEMPT_MS + LOOKUP_MS + JITTER_MS;
    const sinceMs = now - Math.max(model.initiatedAt, this.#smoothSince);
    if (sinceMs > limitMs) throw new Error(`no attempt for ${sinceMs} ms`);
  }

  /** What the killswitch holds is held, as soon as the client has obeyed, failures included. */
  #checkHeld(): void {
    const { model, clients, now } = this.#history;
    if (model.order !== 'pause' || clients.fails) this.#heldSince = now;
    if (now - Math.max(this.#heldSince, this.#happenedAt) < RESUME_MS) return;
    for (const [id, running] of clients.running)
      if (running && model.transfers.get(id)!.owed) throw new Error(`${id} runs though the killswitch holds it`);
  }

  get #isWell(): boolean {
    const { provider, switches, world, model } = this.#history;
    const { silent, loss } = provider.sandbox.faults;
    const gateway = !switches.silent && !switches.refuse && !switches.lie && switches.delayMs === 0;
    return gateway && !silent && loss === 0 && world.withoutRoute.size === 0 && model.reasons.size === 0;
  }
}
