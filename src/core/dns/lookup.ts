/** One query of an embedder: one or two questions, and how their outcomes become one result. */

import { after, type Instant } from '../base/instant.ts';
import type { ResolverErrorCode, ResolverResult } from './messages.ts';
import type { Outcome } from './question.ts';

/** With addresses of one family in hand, how long the other is waited for (as the resolution delay of RFC 8305 §3, more patient). */
const OTHER_FAMILY_MS = 300;

/** From best to worst: what the servers said of the name outranks that they could not tell. */
const RANK: readonly ResolverErrorCode[] = ['ENODATA', 'ENOTFOUND', 'EREFUSED', 'EFORMERR', 'ESERVFAIL', 'ETIMEOUT'];

export class Lookup {
  readonly query: number;
  /** Keys of the questions still open. */
  readonly waitingFor: Set<string> = new Set();
  readonly #outcomes: Map<4 | 6, Outcome> = new Map();
  #patienceEndsAt: Instant | undefined;

  constructor(query: number) {
    this.query = query;
  }

  /** When to go without the question that is still open. */
  get deadline(): Instant | undefined {
    return this.#patienceEndsAt;
  }

  wait(key: string): void {
    this.waitingFor.add(key);
  }

  take(family: 4 | 6, outcome: Outcome, now: Instant): void {
    this.#outcomes.set(family, outcome);
    if (outcome.kind === 'addresses') this.#patienceEndsAt = after(now, OTHER_FAMILY_MS);
  }

  /** IPv4 first: few providers carry IPv6 well, and whoever tries both at once does not mind. */
  result(): ResolverResult {
    const outcomes = ([4, 6] as const).map((family) => this.#outcomes.get(family)).filter((outcome) => !!outcome);
    const addresses = outcomes.flatMap((outcome) =>
      outcome.kind === 'addresses'
        ? outcome.addresses.map((address) => ({ address, ttlSeconds: outcome.ttlSeconds }))
        : [],
    );
    if (addresses.length > 0) return { kind: 'addresses', addresses };
    const codes = outcomes.map((outcome) => (outcome.kind === 'addresses' ? 'ENODATA' : outcome.code));
    return { kind: 'failed', code: RANK.find((code) => codes.includes(code)) ?? 'ETIMEOUT' };
  }
}
