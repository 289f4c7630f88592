/**
 * The names of the virtual internet: an authoritative server (RFC 1035) for everything, so that a name it does not have does not
 * exist. Addresses and aliases; what an answer would not hold over UDP (512 bytes, §4.2.1) is truncated. Queries it cannot read
 * go unanswered. Switches make it misbehave.
 */

import { type IpAddress, ip, sameIp } from '../core/base/address.ts';
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  type DnsReply,
  decodeMessage,
  encodeName,
  encodeReply,
  RCODE_NAME_ERROR,
  RCODE_OK,
  RCODE_REFUSED,
  RCODE_SERVER_FAILURE,
  TYPE_A,
  TYPE_AAAA,
} from '../core/wire/dns.ts';

const HEADER_LENGTH = 12;
const MAX_UDP_LENGTH = 512;
const MAX_ALIASES = 8;
const LOG_LENGTH = 1000;
const DEFAULT_TTL_SECONDS = 60;
const NEGATIVE_TTL_SECONDS = 5;

interface Name {
  addresses: readonly IpAddress[];
  alias: string | undefined;
  ttlSeconds: number;
}

/** One query that was understood, for tests that ask who looked up what. */
export interface DnsQueryRecord {
  readonly name: string;
  readonly type: number;
  readonly over: 'udp' | 'tcp';
}

export class DnsZone {
  /** Answers nothing. */
  silent = false;
  /** Answers SERVFAIL to everything. */
  servfail = false;
  /** Truncates every answer over UDP, so that clients must come again over TCP (RFC 7766 §5). */
  truncate = false;
  /** Answers come this much later, in milliseconds. */
  delayMs = 0;
  readonly #names: Map<string, Name> = new Map();
  readonly #log: DnsQueryRecord[] = [];

  /** Gives a name these addresses; those it had are gone. Throws RangeError for what is no name or address. */
  set(name: string, addresses: readonly (IpAddress | string)[], ttlSeconds: number = DEFAULT_TTL_SECONDS): void {
    this.#names.set(canonical(name), { addresses: addresses.map(parsed), alias: undefined, ttlSeconds });
  }

  /** Adds addresses to those a name has. */
  add(name: string, addresses: readonly (IpAddress | string)[]): void {
    const held = this.#names.get(canonical(name));
    this.set(name, [...(held?.addresses ?? []), ...addresses], held?.ttlSeconds);
  }

  /** Makes a name an alias of another (CNAME), which need not exist. */
  alias(name: string, target: string, ttlSeconds: number = DEFAULT_TTL_SECONDS): void {
    this.#names.set(canonical(name), { addresses: [], alias: canonical(target), ttlSeconds });
  }

  /** Removes a name, or only these addresses of it. */
  delete(name: string, addresses?: readonly (IpAddress | string)[]): void {
    const held = this.#names.get(canonical(name));
    const left = held?.addresses.filter((address) => !addresses?.some((gone) => sameIp(parsed(gone), address))) ?? [];
    if (addresses && left.length > 0) this.set(name, left, held?.ttlSeconds);
    else this.#names.delete(canonical(name));
  }

  /** The latest queries, oldest first. */
  get log(): readonly DnsQueryRecord[] {
    return this.#log;
  }

  /** The reply to one query, or `undefined` if there is none. */
  answer(query: Uint8Array, over: 'udp' | 'tcp'): Uint8Array | undefined {
    const message = decodeMessage(query);
    if (!message || message.response || !message.question) return undefined;
    const { name, type } = message.question;
    this.#log.push({ name, type, over });
    if (this.#log.length > LOG_LENGTH) this.#log.shift();
    if (this.silent) return undefined;
    const reply = this.#encode(message, message.question, over);
    // The question as it came: some clients check the case of its letters.
    const end = HEADER_LENGTH + encodeName(name).length + 4;
    reply.set(query.subarray(HEADER_LENGTH, end), HEADER_LENGTH);
    return reply;
  }

  #encode({ id, opcode }: DnsMessage, question: DnsQuestion, over: 'udp' | 'tcp'): Uint8Array {
    if (opcode !== 0) return encodeReply({ id, question, rcode: RCODE_REFUSED });
    if (this.servfail) return encodeReply({ id, question, rcode: RCODE_SERVER_FAILURE });
    const bytes = encodeReply({ id, question, ...this.#lookup(question) });
    const truncated = over === 'udp' && (this.truncate || bytes.length > MAX_UDP_LENGTH);
    return truncated ? encodeReply({ id, question, truncated }) : bytes;
  }

  #lookup({ name, type }: DnsQuestion): Pick<DnsReply, 'rcode' | 'answers' | 'authorities'> {
    const answers: DnsRecord[] = [];
    let at = name;
    let entry = this.#names.get(at);
    for (let hops = 0; entry?.alias !== undefined && hops < MAX_ALIASES; hops++) {
      answers.push({ kind: 'alias', name: at, ttlSeconds: entry.ttlSeconds, target: entry.alias });
      at = entry.alias;
      entry = this.#names.get(at);
    }
    const { addresses = [], ttlSeconds = 0 } = entry ?? {};
    const family = type === TYPE_A ? 4 : type === TYPE_AAAA ? 6 : undefined;
    const found = addresses.filter((address) => address.family === family);
    for (const address of found) answers.push({ kind: 'address', name: at, ttlSeconds, address });
    // Behind an alias too, the code speaks of the last name (RFC 6604 §3).
    const rcode = entry ? RCODE_OK : RCODE_NAME_ERROR;
    return { rcode, answers, authorities: found.length > 0 ? [] : [startOfAuthority()] };
  }
}

/** What lets a resolver remember that something is not there (RFC 2308 §3). */
function startOfAuthority(): DnsRecord {
  return { kind: 'authority', name: '', ttlSeconds: NEGATIVE_TTL_SECONDS, minimumSeconds: NEGATIVE_TTL_SECONDS };
}

function parsed(address: IpAddress | string): IpAddress {
  return typeof address === 'string' ? ip(address) : address;
}

function canonical(name: string): string {
  const lower = name.toLowerCase().replace(/\.$/, '');
  encodeName(lower);
  return lower;
}
