/**
 * The stub resolver: names to addresses through the tunnel's DNS servers (RFC 1035, RFC 1123 §6.1.3), with a bounded cache that
 * keeps to TTLs, negative answers included (RFC 2308). Equal questions are asked once. It opens no socket: `open` outputs ask for
 * one. A name is never given to the host's resolver; without a server the answer is ENODNS, at once.
 */

import type { IpAddress } from '../base/address.ts';
import { sameIp } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { DNS_PORT, TYPE_A, TYPE_AAAA } from '../wire/dns.ts';
import { DnsCache } from './cache.ts';
import { parseHostName } from './host-name.ts';
import { Lookup } from './lookup.ts';
import type {
  DnsDrop,
  ExchangeId,
  ResolverErrorCode,
  ResolverOutput,
  ResolverQuery,
  ResolverResult,
} from './messages.ts';
import { type Outcome, Question, type QuestionHost } from './question.ts';

/** Questions in flight; more are refused, so that a flood of names cannot take all sockets. */
const MAX_QUESTIONS = 512;
const CACHE_CAPACITY = 1024;

export interface ResolverOptions {
  /** Asked in this order, the one that answered last first. */
  readonly servers: readonly IpAddress[];
  readonly random: Random;
  /** The families that a query for both asks for: those in which the host has an address. Default both. */
  readonly families?: readonly (4 | 6)[];
  /** Told of every reply that was not taken. */
  readonly count: (reason: DnsDrop) => void;
}

export class Resolver {
  readonly #count: (reason: DnsDrop) => void;
  #families: readonly (4 | 6)[];
  readonly #host: QuestionHost;
  readonly #cache: DnsCache = new DnsCache(CACHE_CAPACITY);
  readonly #questions: Map<string, { readonly question: Question; readonly family: 4 | 6 }> = new Map();
  readonly #lookups: Map<number, Lookup> = new Map();
  readonly #exchanges: Map<ExchangeId, Question> = new Map();
  readonly #outputs: Queue<ResolverOutput> = new Queue();
  #lastExchange: ExchangeId = 0;
  /** `'unknown'` after anything that may have moved it. */
  #deadline: Instant | undefined | 'unknown';

  constructor(options: ResolverOptions) {
    this.#families = options.families ?? [4, 6];
    this.#count = options.count;
    this.#host = this.#hostOf(options);
  }

  /** `resolved` follows, always exactly once. */
  handleQuery({ query, name, family }: ResolverQuery, now: Instant): void {
    const host = parseHostName(name);
    if (host.kind === 'literal') this.#resolveLiteral(query, host.address, family);
    else if (host.kind === 'invalid') this.#fail(query, 'EBADNAME');
    else if (host.kind === 'reserved') this.#fail(query, 'ENOTFOUND');
    else if (this.#host.servers.length === 0) this.#fail(query, 'ENODNS');
    else this.#look(query, host.name, family === 0 ? this.#families : [family], now);
  }

  /** The query ends with ECANCELLED, unless it has ended already. */
  handleCancel(query: number): void {
    const lookup = this.#lookups.get(query);
    if (!lookup) return;
    this.#end(lookup, { kind: 'failed', code: 'ECANCELLED' });
    for (const key of lookup.waitingFor) this.#dropIfUnwanted(key);
  }

  /** A datagram that came in on the socket of `exchange`. Nothing in it throws. */
  handleReply(
    exchange: ExchangeId,
    bytes: Uint8Array,
    from: { readonly address: IpAddress; readonly port: number },
    now: Instant,
  ): void {
    const question = this.#exchanges.get(exchange);
    const server = question?.serverOf(exchange);
    this.#deadline = 'unknown';
    if (question && server && from.port === DNS_PORT && sameIp(server, from.address))
      question.handleReply(exchange, bytes, now);
    else this.#count('dns-unmatched');
  }

  /** Stream bytes of a TCP exchange, in order. */
  handleStream(exchange: ExchangeId, bytes: Uint8Array, now: Instant): void {
    this.#deadline = 'unknown';
    this.#exchanges.get(exchange)?.handleStream(exchange, bytes, now);
  }

  /** The exchange's socket ended, or was never opened, other than by `close`. */
  handleClosed(exchange: ExchangeId, now: Instant): void {
    const question = this.#exchanges.get(exchange);
    this.#deadline = 'unknown';
    this.#exchanges.delete(exchange);
    question?.handleClosed(exchange, now);
  }

  handleTimeout(now: Instant): void {
    const deadline = this.nextTimeout();
    if (deadline === undefined || deadline > now) return;
    this.#deadline = 'unknown';
    for (const { question } of [...this.#questions.values()]) if (question.deadline <= now) question.handleTimeout(now);
    for (const lookup of [...this.#lookups.values()])
      if (lookup.deadline !== undefined && lookup.deadline <= now) this.#end(lookup, lookup.result());
  }

  nextTimeout(): Instant | undefined {
    if (this.#deadline !== 'unknown') return this.#deadline;
    let deadline: Instant | undefined;
    for (const { question } of this.#questions.values()) deadline = earliest(deadline, question.deadline);
    for (const lookup of this.#lookups.values()) deadline = earliest(deadline, lookup.deadline);
    this.#deadline = deadline;
    return deadline;
  }

  nextOutput(): ResolverOutput | undefined {
    return this.#outputs.shift();
  }

  /** Other servers, and other families of our own, from now on. What the former ones were asked fails; their answers are forgotten. */
  setServers(servers: readonly IpAddress[], families: readonly (4 | 6)[]): void {
    for (const lookup of [...this.#lookups.values()]) this.#end(lookup, { kind: 'failed', code: 'ETIMEOUT' });
    for (const key of [...this.#questions.keys()]) this.#dropIfUnwanted(key);
    this.#cache.clear();
    this.#families = families;
    this.#host.servers = servers;
    this.#host.preferredServer = 0;
  }

  /** Forgets all answers: they came from another exit. Questions in flight go on. */
  clearCache(): void {
    this.#cache.clear();
  }

  #resolveLiteral(query: number, address: IpAddress, family: 4 | 6 | 0): void {
    if (family !== 0 && family !== address.family) this.#fail(query, 'ENODATA');
    else this.#resolved(query, { kind: 'addresses', addresses: [{ address, ttlSeconds: 0 }] });
  }

  #look(query: number, name: string, families: readonly (4 | 6)[], now: Instant): void {
    this.#deadline = 'unknown';
    const lookup = new Lookup(query);
    const started: Question[] = [];
    this.#lookups.set(query, lookup);
    for (const family of families) {
      const key = `${family} ${name}`;
      const cached = this.#cache.find(key, now);
      if (cached) lookup.take(family, cached, now);
      else if (this.#questions.has(key)) lookup.wait(key);
      else if (this.#questions.size >= MAX_QUESTIONS) lookup.take(family, { kind: 'failure', code: 'EREFUSED' }, now);
      else {
        const asked = { name, type: family === 4 ? TYPE_A : TYPE_AAAA };
        const question = new Question(this.#host, key, asked, now);
        this.#questions.set(key, { question, family });
        lookup.wait(key);
        started.push(question);
      }
    }
    if (lookup.waitingFor.size === 0) this.#end(lookup, lookup.result());
    for (const question of started) question.start(now);
  }

  #finish(question: Question, outcome: Outcome, now: Instant): void {
    const { family } = this.#questions.get(question.key)!;
    this.#questions.delete(question.key);
    if (outcome.kind !== 'failure') this.#cache.store(question.key, outcome, now);
    for (const lookup of [...this.#lookups.values()]) {
      if (!lookup.waitingFor.delete(question.key)) continue;
      lookup.take(family, outcome, now);
      if (lookup.waitingFor.size === 0) this.#end(lookup, lookup.result());
    }
  }

  #dropIfUnwanted(key: string): void {
    for (const lookup of this.#lookups.values()) if (lookup.waitingFor.has(key)) return;
    this.#questions.get(key)?.question.abandon();
    this.#questions.delete(key);
  }

  #end(lookup: Lookup, result: ResolverResult): void {
    this.#deadline = 'unknown';
    this.#lookups.delete(lookup.query);
    this.#resolved(lookup.query, result);
  }

  #fail(query: number, code: ResolverErrorCode): void {
    this.#resolved(query, { kind: 'failed', code });
  }

  #resolved(query: number, result: ResolverResult): void {
    this.#outputs.push({ kind: 'resolved', query, result });
  }

  #hostOf({ servers, random }: ResolverOptions): QuestionHost {
    return {
      random,
      servers,
      preferredServer: 0,
      open: (question, transport, server, bytes) => {
        const exchange = ++this.#lastExchange;
        this.#exchanges.set(exchange, question);
        this.#outputs.push({ kind: 'open', exchange, transport, server, bytes });
        return exchange;
      },
      close: (exchange) => {
        this.#exchanges.delete(exchange);
        this.#outputs.push({ kind: 'close', exchange });
      },
      finish: (question, outcome, now) => this.#finish(question, outcome, now),
      count: (reason) => this.#count(reason),
    };
  }
}
