/**
 * DNS messages (RFC 1035), as much as a stub resolver and a small authoritative zone need: one question, records of types A, AAAA,
 * CNAME and SOA; others are skipped. Classes other than IN, EDNS and DNSSEC are not supported. Decoding never throws and reads
 * each message once: compression pointers must point backwards, so that they cannot loop.
 */

import { type IpAddress, ipFromBytes } from '../base/address.ts';
import { concat, setU16be, setU32be, u16be, u32be } from '../base/bytes.ts';

export const DNS_PORT = 53;
export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_SOA = 6;
export const TYPE_AAAA = 28;

export const RCODE_OK = 0;
export const RCODE_FORMAT_ERROR = 1;
export const RCODE_SERVER_FAILURE = 2;
export const RCODE_NAME_ERROR = 3;
export const RCODE_REFUSED = 5;

const CLASS_IN = 1;
const HEADER_LENGTH = 12;
const MAX_NAME_LENGTH = 255;
const MAX_LABEL_LENGTH = 63;
/** Records read of each section; more than any answer that fits UDP has. What is behind them is not looked at. */
const MAX_RECORDS = 256;

const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const OPCODE_MASK = 0x7800;

export interface DnsQuestion {
  /** Lower case, without the final dot; '' is the root. */
  readonly name: string;
  readonly type: number;
}

export type DnsRecord =
  | { readonly kind: 'address'; readonly name: string; readonly ttlSeconds: number; readonly address: IpAddress }
  | { readonly kind: 'alias'; readonly name: string; readonly ttlSeconds: number; readonly target: string }
  /** `minimumSeconds`: how long the absence of a name may be remembered (RFC 2308 §4). */
  | { readonly kind: 'authority'; readonly name: string; readonly ttlSeconds: number; readonly minimumSeconds: number };

export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly rcode: number;
  /** Of class IN. `undefined` unless there is exactly one. */
  readonly question: DnsQuestion | undefined;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
}

/** A query with recursion desired. `name` must be encodable: see `encodeName`. */
export function encodeQuery(id: number, question: DnsQuestion): Uint8Array {
  return concat(header(id, FLAG_RECURSION_DESIRED, 1, 0, 0), encodeQuestion(question));
}

export interface DnsReply {
  readonly id: number;
  readonly question: DnsQuestion;
  readonly rcode?: number;
  readonly truncated?: boolean;
  readonly answers?: readonly DnsRecord[];
  readonly authorities?: readonly DnsRecord[];
}

/** An authoritative answer, without compression. */
export function encodeReply(reply: DnsReply): Uint8Array {
  const { answers = [], authorities = [], truncated = false, rcode = RCODE_OK } = reply;
  const flags = FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_DESIRED | FLAG_RECURSION_AVAILABLE | rcode;
  return concat(
    header(reply.id, truncated ? flags | FLAG_TRUNCATED : flags, 1, answers.length, authorities.length),
    encodeQuestion(reply.question),
    ...answers.map(encodeRecord),
    ...authorities.map(encodeRecord),
  );
}

/** The message in `bytes`, or `undefined` if it is malformed. A truncated message keeps the records that are whole. */
export function decodeMessage(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined;
  const flags = u16be(bytes, 2);
  const truncated = (flags & FLAG_TRUNCATED) !== 0;
  const cursor = { bytes, at: HEADER_LENGTH };
  const questions = u16be(bytes, 4);
  if (questions > 1) return undefined;
  const question = questions === 1 ? readQuestion(cursor) : undefined;
  if (questions === 1 && !question) return undefined;
  const answers: DnsRecord[] = [];
  const authorities: DnsRecord[] = [];
  const whole = readRecords(cursor, u16be(bytes, 6), answers) && readRecords(cursor, u16be(bytes, 8), authorities);
  if (!whole && !truncated) return undefined;
  return {
    id: u16be(bytes, 0),
    response: (flags & FLAG_RESPONSE) !== 0,
    opcode: (flags & OPCODE_MASK) >>> 11,
    truncated,
    recursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0,
    rcode: flags & 15,
    question: question === 'other-class' ? undefined : question,
    answers,
    authorities,
  };
}

/**
 * The labels of a name, each behind its length. Throws RangeError for a label of 0 or more than 63 bytes, a name of more than
 * 255 and characters that are not printable ASCII: names from outside are checked before.
 */
export function encodeName(name: string): Uint8Array {
  const labels = name === '' ? [] : name.split('.');
  const bytes = new Uint8Array(labels.reduce((length, label) => length + 1 + label.length, 1));
  let at = 0;
  for (const label of labels) {
    if (label.length === 0 || label.length > MAX_LABEL_LENGTH)
      throw new RangeError(`"name" expected labels of 1 to 63 bytes, got ${label.length}`);
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) {
      const code = label.charCodeAt(i);
      if (!printable(code)) throw new RangeError(`"name" expected printable ASCII, got character ${code}`);
      bytes[at++] = code;
    }
  }
  if (bytes.length > MAX_NAME_LENGTH) throw new RangeError(`"name" expected at most 255 bytes, got ${bytes.length}`);
  return bytes;
}

interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

function header(id: number, flags: number, questions: number, answers: number, authorities: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH);
  for (const [i, value] of [id, flags, questions, answers, authorities].entries()) setU16be(bytes, 2 * i, value);
  return bytes;
}

function encodeQuestion({ name, type }: DnsQuestion): Uint8Array {
  return concat(encodeName(name), Uint8Array.of(type >>> 8, type, 0, CLASS_IN));
}

function encodeRecord(record: DnsRecord): Uint8Array {
  const [type, data] = recordData(record);
  const fixed = new Uint8Array(10);
  setU16be(fixed, 0, type);
  setU16be(fixed, 2, CLASS_IN);
  setU32be(fixed, 4, record.ttlSeconds);
  setU16be(fixed, 8, data.length);
  return concat(encodeName(record.name), fixed, data);
}

function recordData(record: DnsRecord): readonly [number, Uint8Array] {
  if (record.kind === 'address') return [record.address.family === 4 ? TYPE_A : TYPE_AAAA, record.address.bytes];
  if (record.kind === 'alias') return [TYPE_CNAME, encodeName(record.target)];
  const numbers = new Uint8Array(20);
  setU32be(numbers, 16, record.minimumSeconds);
  return [TYPE_SOA, concat(encodeName(record.name), encodeName(''), numbers)];
}

function readQuestion(cursor: Cursor): DnsQuestion | 'other-class' | undefined {
  const name = readName(cursor);
  const { bytes, at } = cursor;
  if (name === undefined || at + 4 > bytes.length) return undefined;
  cursor.at += 4;
  return u16be(bytes, at + 2) === CLASS_IN ? { name, type: u16be(bytes, at) } : 'other-class';
}

/** False if the section is not whole. */
function readRecords(cursor: Cursor, count: number, into: DnsRecord[]): boolean {
  for (let i = 0; i < Math.min(count, MAX_RECORDS); i++) {
    const name = readName(cursor);
    const { bytes, at } = cursor;
    if (name === undefined || at + 10 > bytes.length) return false;
    const end = at + 10 + u16be(bytes, at + 8);
    if (end > bytes.length) return false;
    // A TTL with the high bit set is zero (RFC 2181 §8).
    const ttlSeconds = bytes[at + 4]! < 128 ? u32be(bytes, at + 4) : 0;
    cursor.at = at + 10;
    const record =
      u16be(bytes, at + 2) === CLASS_IN ? readData(cursor, u16be(bytes, at), name, ttlSeconds, end) : 'skip';
    if (record === undefined) return false;
    if (record !== 'skip') into.push(record);
    cursor.at = end;
  }
  return count <= MAX_RECORDS;
}

function readData(
  cursor: Cursor,
  type: number,
  name: string,
  ttlSeconds: number,
  end: number,
): DnsRecord | 'skip' | undefined {
  const { bytes, at } = cursor;
  if (type === TYPE_A || type === TYPE_AAAA) {
    if (end - at !== (type === TYPE_A ? 4 : 16)) return undefined;
    return { kind: 'address', name, ttlSeconds, address: ipFromBytes(bytes.subarray(at, end)) };
  }
  if (type === TYPE_CNAME) {
    const target = readName(cursor);
    return target === undefined || cursor.at !== end ? undefined : { kind: 'alias', name, ttlSeconds, target };
  }
  if (type === TYPE_SOA) {
    if (readName(cursor) === undefined || readName(cursor) === undefined || cursor.at + 20 !== end) return undefined;
    return { kind: 'authority', name, ttlSeconds, minimumSeconds: u32be(bytes, end - 4) };
  }
  return 'skip';
}

/** Moves the cursor behind the name. Bytes that are not printable ASCII, or are dots, make it malformed. */
function readName(cursor: Cursor): string | undefined {
  const { bytes } = cursor;
  let at = cursor.at;
  // Each pointer must lead before the piece that it stands in, hence none is followed twice.
  let pieceStart = at;
  let jumped = false;
  let length = 1;
  let name = '';
  for (;;) {
    const size = bytes[at];
    if (size === undefined) return undefined;
    if (size >= 0xc0) {
      const target = u16be(bytes, at) & 0x3fff;
      if (at + 2 > bytes.length || target >= pieceStart) return undefined;
      if (!jumped) cursor.at = at + 2;
      jumped = true;
      at = pieceStart = target;
      continue;
    }
    if (size > MAX_LABEL_LENGTH || at + 1 + size > bytes.length) return undefined;
    length += 1 + size;
    if (size === 0) break;
    if (length > MAX_NAME_LENGTH) return undefined;
    if (name !== '') name += '.';
    for (let i = at + 1; i <= at + size; i++) {
      const code = bytes[i]!;
      if (!printable(code)) return undefined;
      name += String.fromCharCode(code >= 0x41 && code <= 0x5a ? code | 0x20 : code);
    }
    at += 1 + size;
  }
  if (!jumped) cursor.at = at + 1;
  return name;
}

function printable(code: number): boolean {
  return code > 0x20 && code < 0x7f && code !== 0x2e;
}
