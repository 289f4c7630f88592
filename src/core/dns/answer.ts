/** What a DNS message says about one question. */

import type { IpAddress } from '../base/address.ts';

import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  RCODE_FORMAT_ERROR,
  RCODE_NAME_ERROR,
  RCODE_OK,
  RCODE_REFUSED,
  TYPE_A,
} from '../wire/dns.ts';
import type { ResolverErrorCode } from './messages.ts';

/** Aliases followed for one name, in one message or over several. */
export const MAX_ALIASES = 8;

export type Answer =
  | { readonly kind: 'addresses'; readonly addresses: readonly IpAddress[]; readonly ttlSeconds: number }
  /** The name is another's alias, about which the message says nothing. `aliases`: how many were followed to come here. */
  | { readonly kind: 'alias'; readonly target: string; readonly ttlSeconds: number; readonly aliases: number }
  /** It does not exist; `ttlSeconds` is 0 if the message does not say for how long (RFC 2308 §5). */
  | { readonly kind: 'absent'; readonly code: 'ENOTFOUND' | 'ENODATA'; readonly ttlSeconds: number }
  /** The server cannot tell; another one may. */
  | { readonly kind: 'failure'; readonly code: ResolverErrorCode };

/** Reads a reply, whose id and question are those of the query. `aliases`: followed already to come to this question. */
export function readAnswer(message: DnsMessage, question: DnsQuestion, aliases: number): Answer {
  const { rcode, answers } = message;
  if (rcode !== RCODE_OK && rcode !== RCODE_NAME_ERROR) return { kind: 'failure', code: failureCode(rcode) };
  const family = question.type === TYPE_A ? 4 : 6;
  let name = question.name;
  let ttlSeconds = Number.POSITIVE_INFINITY;
  for (;;) {
    const here = answers.filter((record) => record.name === name);
    const addresses = here.filter((record) => record.kind === 'address' && record.address.family === family);
    if (addresses.length > 0) return addressesOf(addresses, ttlSeconds);
    const alias = here.find((record) => record.kind === 'alias');
    if (alias?.kind !== 'alias') break;
    if (++aliases > MAX_ALIASES) return { kind: 'failure', code: 'ESERVFAIL' };
    name = alias.target;
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds);
  }
  const authority = message.authorities.find((record) => record.kind === 'authority');
  if (rcode === RCODE_OK && name !== question.name && !authority)
    return { kind: 'alias', target: name, ttlSeconds, aliases };
  const code = rcode === RCODE_NAME_ERROR ? 'ENOTFOUND' : 'ENODATA';
  if (authority?.kind !== 'authority') return { kind: 'absent', code, ttlSeconds: 0 };
  return { kind: 'absent', code, ttlSeconds: Math.min(ttlSeconds, authority.ttlSeconds, authority.minimumSeconds) };
}

function addressesOf(records: readonly DnsRecord[], ttlSeconds: number): Answer {
  const addresses: IpAddress[] = [];
  for (const record of records) {
    if (record.kind === 'address') addresses.push(record.address);
    ttlSeconds = Math.min(ttlSeconds, record.ttlSeconds);
  }
  return { kind: 'addresses', addresses, ttlSeconds };
}

function failureCode(rcode: number): ResolverErrorCode {
  if (rcode === RCODE_REFUSED) return 'EREFUSED';
  return rcode === RCODE_FORMAT_ERROR ? 'EFORMERR' : 'ESERVFAIL';
}
