/** What the acts of the demo share: saying what happens, waiting for it with a limit, and cleaning up behind them. */

import { SluiceError } from '../../core/base/errors.ts';
import type { Reporter } from '../progress/reporter.ts';

export const ACTS = [
  'provider',
  'swarm',
  'tunnel',
  'port',
  'download',
  'leak',
  'cut',
  'recovery',
  'verification',
] as const;

const POLL_MS = 20;

export class Stage {
  readonly reporter: Reporter;
  /** Aborted by Ctrl-C, and when the play is over. */
  readonly stop: AbortSignal;
  readonly #interrupted: AbortSignal;
  readonly #over = new AbortController();
  readonly #closers: (() => Promise<void>)[] = [];
  #failure: Error | undefined;

  constructor(reporter: Reporter, interrupted: AbortSignal) {
    this.reporter = reporter;
    this.#interrupted = interrupted;
    this.stop = AbortSignal.any([interrupted, this.#over.signal]);
  }

  /** The next act begins. */
  announce(act: (typeof ACTS)[number], text: string): void {
    this.reporter.note(`${ACTS.indexOf(act) + 1}/${ACTS.length}  ${text}`);
    this.reporter.event('act', { act, text });
  }

  /** What an act has shown: a sentence for people, and the facts for scripts. */
  tell(text: string, name: string, facts: Readonly<Record<string, unknown>>): void {
    this.reporter.note(`     ${text}`);
    this.reporter.event(name, facts);
  }

  /** Something that goes on beside the acts has failed: whoever waits stops waiting. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  /** Resolves with the seconds until the condition held. Throws ERR_DEMO, naming `what`, if it does not within the limit. */
  async until(what: string, limitSeconds: number, condition: () => boolean): Promise<number> {
    const startedAt = performance.now();
    for (;;) {
      this.#check();
      const seconds = (performance.now() - startedAt) / 1000;
      if (condition()) return seconds;
      if (seconds > limitSeconds) throw fault(`${what} within ${limitSeconds} seconds.`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Throws ERR_DEMO if what must hold does not. */
  expect(what: string, holds: boolean): void {
    if (!holds) throw fault(`${what}.`);
  }

  async rest(seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1000;
    await this.until('', Number.POSITIVE_INFINITY, () => performance.now() >= until);
  }

  /** Run by `clean`, last first. */
  later(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }

  async clean(): Promise<void> {
    this.#over.abort();
    for (const closer of this.#closers.splice(0).reverse()) await closer();
  }

  #check(): void {
    this.#interrupted.throwIfAborted();
    if (this.#failure) throw this.#failure;
  }
}

function fault(expected: string): SluiceError {
  return new SluiceError('ERR_DEMO', `The demo expected that ${expected}`);
}
