/**
 * One probe of one family: which server to ask next, and what the answers together mean. One answer alone never makes a leak and never
 * teaches an exit; a second server has to agree, or the same one again if there is no other.
 */

import type { IpAddress } from '../base/address.ts';
import { type EgressJudgement, sameExitNetwork } from './egress.ts';
import type { ProbeAnswer } from './probe-answer.ts';

export type ProbeStep =
  /** Ask the server with this index in the list of URLs, at once. */
  | { readonly kind: 'ask'; readonly url: number }
  /** The exit is expected. */
  | { readonly kind: 'ok'; readonly observed: IpAddress }
  /** Two answers agree on an exit where none was expected so far: `Egress.learn` it if the guard is not engaged, and it is `ok`. */
  | { readonly kind: 'learn'; readonly observed: IpAddress }
  /** Confirmed: neither answer is an expected exit. */
  | { readonly kind: 'leak'; readonly observed: IpAddress }
  /** No answer, or answers that contradict each other. */
  | { readonly kind: 'unknown'; readonly observed: IpAddress | undefined };

export class ProbeRound {
  readonly #urls: number;
  readonly #judge: (observed: IpAddress) => EgressJudgement;
  #asked = 0;
  #first: { readonly observed: IpAddress; readonly url: number } | undefined;

  /** `urls`: how many servers there are, one at least. */
  constructor(urls: number, judge: (observed: IpAddress) => EgressJudgement) {
    if (urls < 1) throw new RangeError(`"urls" expected 1 or more, got ${urls}`);
    this.#urls = urls;
    this.#judge = judge;
  }

  /** The first server to ask. */
  start(): ProbeStep {
    return { kind: 'ask', url: this.#asked++ };
  }

  /** The answer of the server asked last; a failed request is `undefined`. */
  handleAnswer(answer: ProbeAnswer | undefined): ProbeStep {
    if (answer?.kind !== 'address') return this.#another();
    const observed = answer.address;
    if (this.#first) return this.#conclude(this.#first.observed, observed);
    if (this.#judge(observed) === 'ok') return { kind: 'ok', observed };
    this.#first = { observed, url: this.#asked - 1 };
    return this.#another();
  }

  /** The next server of the list; behind the last, if there is something to confirm, once more the one that said it. */
  #another(): ProbeStep {
    const next = this.#asked++;
    if (next < this.#urls) return { kind: 'ask', url: next };
    if (this.#first && next === this.#urls) return { kind: 'ask', url: this.#first.url };
    return { kind: 'unknown', observed: this.#first?.observed };
  }

  /** Both answers by what is expected now: the gateway, or a person, may have said more since the first. */
  #conclude(first: IpAddress, second: IpAddress): ProbeStep {
    const [one, two] = [this.#judge(first), this.#judge(second)];
    if (one !== two) return { kind: 'unknown', observed: first };
    if (one === 'mismatch') return { kind: 'leak', observed: first };
    if (one === 'ok') return { kind: 'ok', observed: second };
    return { kind: sameExitNetwork(first, second) ? 'learn' : 'unknown', observed: first };
  }
}
