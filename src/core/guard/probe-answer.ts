/** What a "what is my address" server says, as an address or as the reason why it says nothing. Never throws on bytes. */

import { type IpAddress, parseIp } from '../base/address.ts';
import { isRecord, parsed } from './memory.ts';
import { isPublic } from './public-address.ts';

/** More than an address and its description need; longer bodies are not read. */
export const PROBE_ANSWER_LIMIT = 4_096;

/** Why an answer tells nothing. Each is `unknown`, never `ok`. */
export type ProbeAnswerFault =
  | 'empty'
  | 'too-long'
  /** A captive portal, a block page, an error in words. */
  | 'not-an-address'
  /** An address that is no exit: 0.0.0.0 of a blocking resolver, private, loopback. */
  | 'not-public'
  /** A good address of the other family: the probe of this one went another way. */
  | 'wrong-family';

/** Why there is no answer at all. */
export type ProbeRequestFault =
  /** The server's name has no address of the family, or cannot be looked up. */
  | 'no-name'
  /** No connection, or it ended early. */
  | 'no-connection'
  /** The server could not prove who it is. */
  | 'not-verified'
  | 'timeout'
  /** Another status than 200: a redirect, a captive portal, an error. */
  | 'not-200'
  /** Compressed, though nobody asked for that. */
  | 'encoded';

export type ProbeFault = ProbeAnswerFault | ProbeRequestFault;

export type ProbeAnswer =
  | { readonly kind: 'address'; readonly address: IpAddress }
  | { readonly kind: 'unknown'; readonly why: ProbeAnswerFault };

/** Under these names, in this order, JSON answers of known servers have the address. */
const NAMES: readonly string[] = ['ip', 'ip_address', 'ipAddress', 'ip_addr', 'address', 'query', 'origin', 'your_ip'];

/** Reads the body of an answer to a probe over `family`: an address alone, a JSON string, or a JSON object that has one. */
export function parseProbeAnswer(body: Uint8Array, family: 4 | 6): ProbeAnswer {
  if (body.length > PROBE_ANSWER_LIMIT) return { kind: 'unknown', why: 'too-long' };
  const text = latin1(body).trim();
  if (text === '') return { kind: 'unknown', why: 'empty' };
  const address = addressIn(text);
  if (!address) return { kind: 'unknown', why: 'not-an-address' };
  if (!isPublic(address)) return { kind: 'unknown', why: 'not-public' };
  return address.family === family ? { kind: 'address', address } : { kind: 'unknown', why: 'wrong-family' };
}

function addressIn(text: string): IpAddress | undefined {
  const bare = parseIp(text);
  if (bare) return bare;
  const value = parsed(text);
  if (typeof value === 'string') return parseIp(value);
  if (!isRecord(value)) return undefined;
  const name = NAMES.find((candidate) => typeof value[candidate] === 'string');
  return name === undefined ? undefined : parseIp(value[name] as string);
}

/** One character for each byte: addresses and the signs of JSON are ASCII, and what stands between them is not looked at. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
