/**
 * One name and type being asked for: which server when, over UDP and, if the answer does not fit, over TCP (RFC 7766). Servers are
 * asked in turn, each given a little time; earlier tries stay open, since over a slow tunnel the answer to the first may
 * come after the second was sent.
 */

import type { IpAddress } from '../base/address.ts';
import { concat, u16be } from '../base/bytes.ts';
import type { Random } from '../base/crypto.ts';
import { after, type Instant } from '../base/instant.ts';
import { randomU32 } from '../base/random.ts';
import { type DnsMessage, type DnsQuestion, decodeMessage, encodeQuery, RCODE_FORMAT_ERROR } from '../wire/dns.ts';
import { type Answer, readAnswer } from './answer.ts';
import type { DnsDrop, ExchangeId, ResolverErrorCode } from './messages.ts';

/** How long a server has before the next is asked; the second round gives twice as long, and so on. */
const TRY_MS = 2_000;
/** A try over TCP needs a round trip more, and may lose a SYN. */
const TCP_TRY_MS = 4_000;
/** The whole question, however many servers and aliases. */
export const QUESTION_MS = 10_000;
const LENGTH_PREFIX = 2;

/** Everything but an alias: those are followed here. */
export type Outcome = Exclude<Answer, { readonly kind: 'alias' }>;

export interface QuestionHost {
  readonly random: Random;
  servers: readonly IpAddress[];
  /** Index of the server that answered last: it is asked first. */
  preferredServer: number;
  open(question: Question, transport: 'udp' | 'tcp', server: IpAddress, bytes: Uint8Array): ExchangeId;
  close(exchange: ExchangeId): void;
  finish(question: Question, outcome: Outcome, now: Instant): void;
  count(reason: DnsDrop): void;
}

interface Exchange {
  readonly transport: 'udp' | 'tcp';
  readonly serverIndex: number;
  readonly id: number;
  /** Bytes of the TCP stream so far. */
  received: Uint8Array;
}

export class Question {
  readonly key: string;
  readonly #host: QuestionHost;
  readonly #deadline: Instant;
  readonly #exchanges: Map<ExchangeId, Exchange> = new Map();
  /** The name asked for now: an alias of the first one, after some. */
  #asked: DnsQuestion;
  #aliases = 0;
  #ttlSeconds = Number.POSITIVE_INFINITY;
  #firstServer: number;
  #tries = 0;
  #nextTryAt: Instant;
  /** Servers that said they cannot tell; when all have, waiting is of no use. */
  readonly #failed: Set<number> = new Set();
  #failure: ResolverErrorCode = 'ETIMEOUT';

  constructor(host: QuestionHost, key: string, asked: DnsQuestion, now: Instant) {
    this.key = key;
    this.#host = host;
    this.#asked = asked;
    this.#deadline = after(now, QUESTION_MS);
    this.#nextTryAt = now;
    this.#firstServer = host.preferredServer;
  }

  /** Sends the first query. To be called once, when `open` can be answered. */
  start(now: Instant): void {
    this.#tryNext(now);
  }

  get deadline(): Instant {
    return this.#nextTryAt < this.#deadline ? this.#nextTryAt : this.#deadline;
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#deadline) this.#finish({ kind: 'failure', code: this.#failure }, now);
    else if (now >= this.#nextTryAt) this.#tryNext(now);
  }

  /** A datagram from the server that the exchange is with. */
  handleReply(exchangeId: ExchangeId, bytes: Uint8Array, now: Instant): void {
    const exchange = this.#exchanges.get(exchangeId)!;
    const message = decodeMessage(bytes);
    if (message && this.#belongs(message, exchange)) {
      this.#take(exchangeId, exchange, message, now);
      return;
    }
    this.#host.count(message ? 'dns-unmatched' : 'dns-malformed');
    // Nonsense under our id comes from the server itself: no use in waiting for it to make sense.
    if (!message && u16be(bytes, 0) === exchange.id) this.#giveUp(exchangeId, exchange, 'EFORMERR', now);
  }

  /** The next bytes of the exchange's stream: a length, then the message (RFC 1035 §4.2.2). */
  handleStream(exchangeId: ExchangeId, bytes: Uint8Array, now: Instant): void {
    const exchange = this.#exchanges.get(exchangeId)!;
    exchange.received = concat(exchange.received, bytes);
    const { received } = exchange;
    if (received.length < LENGTH_PREFIX) return;
    const end = LENGTH_PREFIX + u16be(received, 0);
    if (received.length < end) return;
    const message = decodeMessage(received.subarray(LENGTH_PREFIX, end));
    if (message && !message.truncated && this.#belongs(message, exchange)) {
      this.#take(exchangeId, exchange, message, now);
    } else {
      this.#host.count(message ? 'dns-unmatched' : 'dns-malformed');
      this.#giveUp(exchangeId, exchange, 'EFORMERR', now);
    }
  }

  /** The exchange's socket is gone, or could not be opened. */
  handleClosed(exchangeId: ExchangeId, now: Instant): void {
    const exchange = this.#exchanges.get(exchangeId)!;
    this.#exchanges.delete(exchangeId);
    this.#serverFailed(exchange.serverIndex, 'ETIMEOUT', now);
  }

  /** Nobody waits for it any more. */
  abandon(): void {
    for (const exchange of this.#exchanges.keys()) this.#host.close(exchange);
    this.#exchanges.clear();
  }

  serverOf(exchange: ExchangeId): IpAddress | undefined {
    const index = this.#exchanges.get(exchange)?.serverIndex;
    return index === undefined ? undefined : this.#host.servers[index];
  }

  #tryNext(now: Instant): void {
    const count = this.#host.servers.length;
    while (this.#failed.has(this.#serverOfTry())) this.#tries++;
    const round = Math.floor(this.#tries / count);
    const serverIndex = this.#serverOfTry();
    this.#tries++;
    this.#nextTryAt = after(now, TRY_MS * 2 ** round);
    this.#open('udp', serverIndex);
  }

  #serverOfTry(): number {
    return (this.#firstServer + this.#tries) % this.#host.servers.length;
  }

  #open(transport: 'udp' | 'tcp', serverIndex: number): void {
    const id = randomU32(this.#host.random) & 0xffff;
    const query = encodeQuery(id, this.#asked);
    const bytes = transport === 'udp' ? query : concat(Uint8Array.of(query.length >>> 8, query.length), query);
    const exchange = this.#host.open(this, transport, this.#host.servers[serverIndex]!, bytes);
    this.#exchanges.set(exchange, { transport, serverIndex, id, received: new Uint8Array(0) });
  }

  /** RFC 5452 §9.1: the id and the whole question; the server's address and our port are checked by who calls. */
  #belongs(message: DnsMessage, exchange: Exchange): boolean {
    const { name, type } = this.#asked;
    const { id, response, opcode, question, rcode } = message;
    if (id !== exchange.id || !response || opcode !== 0) return false;
    // A server that could not read the question does not repeat it.
    return question ? question.name === name && question.type === type : rcode === RCODE_FORMAT_ERROR;
  }

  #take(exchangeId: ExchangeId, exchange: Exchange, message: DnsMessage, now: Instant): void {
    if (message.truncated && exchange.transport === 'udp') {
      this.#close(exchangeId);
      this.#nextTryAt = after(now, TCP_TRY_MS);
      this.#open('tcp', exchange.serverIndex);
      return;
    }
    const answer = readAnswer(message, this.#asked, this.#aliases);
    if (answer.kind === 'failure') {
      this.#giveUp(exchangeId, exchange, answer.code, now);
      return;
    }
    this.#host.preferredServer = exchange.serverIndex;
    const ttlSeconds = Math.min(answer.ttlSeconds, this.#ttlSeconds);
    if (answer.kind === 'alias') {
      this.#ttlSeconds = ttlSeconds;
      this.#follow(answer.target, answer.aliases, exchange.serverIndex, now);
    } else this.#finish({ ...answer, ttlSeconds }, now);
  }

  #follow(target: string, aliases: number, serverIndex: number, now: Instant): void {
    this.abandon();
    this.#asked = { name: target, type: this.#asked.type };
    this.#aliases = aliases;
    this.#failed.clear();
    this.#tries = 0;
    this.#firstServer = serverIndex;
    this.#tryNext(now);
  }

  #giveUp(exchangeId: ExchangeId, exchange: Exchange, code: ResolverErrorCode, now: Instant): void {
    this.#close(exchangeId);
    this.#serverFailed(exchange.serverIndex, code, now);
  }

  /** Does not wait for the timeout; ends when every server has failed. */
  #serverFailed(serverIndex: number, code: ResolverErrorCode, now: Instant): void {
    if (code !== 'ETIMEOUT') this.#failure = code;
    this.#failed.add(serverIndex);
    if (this.#failed.size === this.#host.servers.length) this.#finish({ kind: 'failure', code: this.#failure }, now);
    else this.#tryNext(now);
  }

  #close(exchange: ExchangeId): void {
    this.#exchanges.delete(exchange);
    this.#host.close(exchange);
  }

  #finish(outcome: Outcome, now: Instant): void {
    this.abandon();
    this.#host.finish(this, outcome, now);
  }
}
