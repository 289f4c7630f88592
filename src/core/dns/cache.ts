/** Answers remembered for as long as their TTLs allow, the least recently used giving way. */

import { after, elapsedMs, type Instant } from '../base/instant.ts';
import type { Answer } from './answer.ts';

/** What can be remembered: that a name has these addresses, or that it has none (RFC 2308). */
export type CachedAnswer = Extract<Answer, { readonly kind: 'addresses' | 'absent' }>;

/** RFC 8767 §4 advises an upper limit; a day is long for a tunnel whose exit may move. */
const MAX_TTL_SECONDS = 86_400;
/** RFC 2308 §5: one to three hours "is sensible". */
const MAX_ABSENT_TTL_SECONDS = 3_600;

interface Entry {
  readonly answer: CachedAnswer;
  readonly expiresAt: Instant;
}

export class DnsCache {
  readonly #capacity: number;
  /** In order of use, the oldest first. */
  readonly #entries: Map<string, Entry> = new Map();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The answer with what is left of its TTL, in whole seconds; `undefined` if there is none or it is stale. */
  find(key: string, now: Instant): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (now >= entry.expiresAt) return undefined;
    this.#entries.set(key, entry);
    return { ...entry.answer, ttlSeconds: Math.floor(elapsedMs(now, entry.expiresAt) / 1000) };
  }

  /** An answer with TTL 0 is not kept (RFC 1035 §3.2.1). */
  store(key: string, answer: CachedAnswer, now: Instant): void {
    const limit = answer.kind === 'addresses' ? MAX_TTL_SECONDS : MAX_ABSENT_TTL_SECONDS;
    const seconds = Math.min(answer.ttlSeconds, limit);
    this.#entries.delete(key);
    if (seconds <= 0) return;
    this.#entries.set(key, { answer, expiresAt: after(now, seconds * 1000) });
    if (this.#entries.size > this.#capacity) this.#entries.delete(this.#entries.keys().next().value!);
  }

  clear(): void {
    this.#entries.clear();
  }
}
