/**
 * When somebody outside is asked whether the forwarded port leads here, and what is known by the answers: another thing than holding a
 * lease. Asked after each mapping; again, less and less often, as long as nobody has got through, since a listener may come later.
 *
 * Drain `nextOutput` after every call, then arm one timer for `nextTimeout`.
 */

import { after, type Instant } from '../base/instant.ts';

export type Reachable = 'open' | 'closed' | 'unknown';

/** Ask whether `port` of the exit can be reached, then call `handleAnswer` with the number. */
export interface ReachabilityOutput {
  readonly port: number;
  readonly number: number;
}

const FIRST_RETRY_MS = 15_000;
const LAST_RETRY_MS = 15 * 60_000;

export class Reachability {
  #port: number | undefined;
  #reachable: Reachable = 'unknown';
  #lastNumber = 0;
  #attempts = 0;
  #due = false;
  #retryAt: Instant | undefined;

  get reachable(): Reachable {
    return this.#reachable;
  }

  /** The port is this one now, or none. The same one mapped anew is asked for anew. */
  handlePort(port: number | undefined): void {
    this.#port = port;
    this.#reachable = 'unknown';
    this.#attempts = 0;
    this.#due = port !== undefined;
    this.#retryAt = undefined;
    // An answer about the port of before comes too late.
    this.#lastNumber++;
  }

  /** The end of a check. Every check must end; who asks has a time limit. */
  handleAnswer(number: number, reachable: Reachable, now: Instant): void {
    if (number !== this.#lastNumber) return;
    this.#reachable = reachable;
    if (reachable === 'open') return;
    this.#retryAt = after(now, Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#attempts - 1, 10)));
  }

  handleTimeout(now: Instant): void {
    if (this.#retryAt === undefined || this.#retryAt > now) return;
    this.#retryAt = undefined;
    this.#due = true;
  }

  nextTimeout(): Instant | undefined {
    return this.#retryAt;
  }

  nextOutput(): ReachabilityOutput | undefined {
    if (!this.#due || this.#port === undefined) return undefined;
    this.#due = false;
    this.#attempts++;
    return { port: this.#port, number: ++this.#lastNumber };
  }
}

/**
 * What a checker's answer says: `open`, `true` or `1`, and their opposites, as text, or in JSON as `reachable`, `open` or `status`.
 * Anything else is no answer.
 */
export function readCheckAnswer(text: string): Reachable {
  const word = text.trim();
  if (!word.startsWith('{')) return verdictOf(word);
  try {
    const answer = JSON.parse(word) as Readonly<Record<string, unknown>>;
    const said = answer['reachable'] ?? answer['open'] ?? answer['status'];
    return typeof said === 'boolean' || typeof said === 'string' || typeof said === 'number'
      ? verdictOf(String(said))
      : 'unknown';
  } catch {
    return 'unknown';
  }
}

function verdictOf(word: string): Reachable {
  if (/^(open|true|1|yes)$/i.test(word)) return 'open';
  return /^(closed|false|0|no)$/i.test(word) ? 'closed' : 'unknown';
}
