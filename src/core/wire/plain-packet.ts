/**
 * Nearly every packet of a transfer is plain: IPv4 in one piece and without options, TCP with ACK, perhaps PSH, and no option but
 * timestamps as every stack aligns them (RFC 7323 appendix A). Its headers are 13 words, judged, read and written as such. What is
 * not plain is left to `ip-packet.ts` and `tcp.ts`, whose every check is made here too.
 */

import { fold, sum } from './checksum.ts';
import { DEFAULT_HOP_LIMIT, PROTOCOL_TCP } from './ip.ts';
import { ACK, PSH, TcpSegment } from './tcp.ts';
import { LITTLE_ENDIAN, type WordView, wordView } from './word-view.ts';

/** IP header, TCP header and timestamps. */
export const PLAIN_HEADERS_LENGTH = 52;

const TCP_OFFSET = 20;

/** Where the words of a packet stand behind its first. */
const WORD = {
  versionAndLength: 0,
  fragment: 1,
  protocolAndChecksum: 2,
  source: 3,
  destination: 4,
  ports: 5,
  sequence: 6,
  acknowledgement: 7,
  flagsAndWindow: 8,
  checksum: 9,
  option: 10,
  timestamp: 11,
  echo: 12,
} as const;

// Fields within words, as a little-endian processor sees them: the first byte of the packet is the lowest of the word.
const VERSION_4_NO_OPTIONS = 0x45;
const DONT_FRAGMENT = 0x0040_0000;
const ANY_FRAGMENT = 0xff3f_0000 | 0;
const NO_OPTION_BUT_TIMESTAMPS = 0x80 | (ACK << 8);
const ALIGNED_TIMESTAMPS = 0x0a08_0101;

// V8 makes constants of a module's own, and looks imported ones up each time.
const TCP = PROTOCOL_TCP;
const NO_FLAG_BUT_PSH = ~(PSH << 8) & 0xffff;
const WORDS_AS_SENT = LITTLE_ENDIAN;

const PROTOCOL_WORD = DEFAULT_HOP_LIMIT | (PROTOCOL_TCP << 8);

/** Index of the word at `offset`, or -1 where words do not begin, or have another order. */
const plainPlace = (base: number, offset: number): number =>
  WORDS_AS_SENT && ((base + offset) & 3) === 0 ? (base + offset) >>> 2 : -1;

const halves = (word: number): number => (word & 0xffff) + (word >>> 16);

const swap16 = (half: number): number => ((half & 0xff) << 8) | (half >>> 8);

/** A word of a packet as the number that it stands for, and back. */
export const swap32 = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** The words that tell connections apart, in the byte order of the host. */
export interface PlainTuple {
  source: number;
  destination: number;
  /** Of source and destination, as they stand in the packet. */
  ports: number;
}

/** What `parsePlain` fills, and nobody else: what all plain segments have in common is written once. */
export function plainSegment(): TcpSegment {
  const segment = new TcpSegment();
  segment.hasTimestamps = true;
  return segment;
}

/** Fills `tuple` as if the packet at `offset` were plain, which nobody has looked at. False if that is what it held. */
export function readTuple(view: WordView, offset: number, tuple: PlainTuple): boolean {
  const { words } = view;
  const at = plainPlace(view.base, offset);
  const ports = words[at + WORD.ports]!;
  const source = words[at + WORD.source]!;
  const destination = words[at + WORD.destination]!;
  if (at < 0 || (tuple.ports === ports && tuple.source === source && tuple.destination === destination)) return false;
  tuple.source = source;
  tuple.destination = destination;
  tuple.ports = ports;
  return true;
}

/**
 * Fills `segment` and `tuple`, always the same two, if the packet of `length` bytes at `offset` is plain, all of it belongs to it, and
 * its IP header is right. The TCP checksum is the caller's (`plainSumIsRight`).
 */
export function parsePlain(
  view: WordView,
  offset: number,
  length: number,
  segment: TcpSegment,
  tuple: PlainTuple,
): boolean {
  const { words } = view;
  const at = plainPlace(view.base, offset);
  if (at < 0 || length < PLAIN_HEADERS_LENGTH) return false;
  const first = words[at]!;
  const fragment = words[at + WORD.fragment]!;
  const protocol = words[at + WORD.protocolAndChecksum]!;
  const source = words[at + WORD.source]!;
  const destination = words[at + WORD.destination]!;
  const flags = words[at + WORD.flagsAndWindow]!;
  if ((first & 0xff) !== VERSION_4_NO_OPTIONS || swap16(first >>> 16) !== length) return false;
  if ((fragment & ANY_FRAGMENT) !== 0 || ((protocol >>> 8) & 0xff) !== TCP) return false;
  if ((flags & NO_FLAG_BUT_PSH) !== NO_OPTION_BUT_TIMESTAMPS) return false;
  if (words[at + WORD.option]! !== ALIGNED_TIMESTAMPS) return false;
  if (fold(halves(first) + halves(fragment) + halves(protocol) + halves(source) + halves(destination)) !== 0xffff)
    return false;
  const ports = words[at + WORD.ports]!;
  tuple.source = source;
  tuple.destination = destination;
  if (tuple.ports !== ports) {
    tuple.ports = ports;
    segment.sourcePort = swap16(ports & 0xffff);
    segment.destinationPort = swap16(ports >>> 16);
  }
  segment.sequence = swap32(words[at + WORD.sequence]!);
  segment.acknowledgement = swap32(words[at + WORD.acknowledgement]!);
  segment.flags = (flags >>> 8) & 0xff;
  segment.window = swap16(flags >>> 16);
  segment.payloadOffset = offset + PLAIN_HEADERS_LENGTH;
  segment.payloadLength = segment.length = length - PLAIN_HEADERS_LENGTH;
  segment.timestampValue = swap32(words[at + WORD.timestamp]!);
  segment.timestampEcho = swap32(words[at + WORD.echo]!);
  return true;
}

/** Whether the TCP checksum of a plain packet is right. The pseudo header's addresses stand before the segment. */
export function plainSumIsRight(view: WordView, offset: number, length: number): boolean {
  const start = offset + TCP_OFFSET - 8;
  const summed = length - TCP_OFFSET + 8;
  const initial = TCP + length - TCP_OFFSET;
  if (view.sum === undefined) return sum(view.bytes, start, summed, initial) === 0xffff;
  return fold(view.sum(view.base + start, summed) + initial) === 0xffff;
}

/** What all plain packets of one direction of a connection have in common. */
export class PlainHeaders {
  readonly #source: number;
  readonly #destination: number;
  /** As they stand in the packet. */
  readonly ports: number;
  /** Partial sums, in the byte order of the host, of all that does not change. */
  readonly #ipSum: number;
  readonly #tcpSum: number;

  constructor(source: Uint8Array, destination: Uint8Array, sourcePort: number, destinationPort: number) {
    this.#source = new Int32Array(Uint8Array.from(source).buffer)[0]!;
    this.#destination = new Int32Array(Uint8Array.from(destination).buffer)[0]!;
    this.ports = (swap16(destinationPort) << 16) | swap16(sourcePort);
    const addresses = halves(this.#source) + halves(this.#destination);
    this.#ipSum = addresses + VERSION_4_NO_OPTIONS + halves(DONT_FRAGMENT) + PROTOCOL_WORD;
    this.#tcpSum = addresses + swap16(PROTOCOL_TCP) + halves(this.ports) + halves(ALIGNED_TIMESTAMPS);
  }

  /**
   * Writes a plain packet around the `payloadLength` bytes that stand behind where its headers go; returns its length, or 0 if that is
   * no place for words. ACK is always among the flags.
   */
  write(
    bytes: Uint8Array,
    offset: number,
    sequence: number,
    acknowledgement: number,
    flags: number,
    window: number,
    timestamp: number,
    echo: number,
    payloadLength: number,
  ): number {
    const { words, base } = wordView(bytes);
    const at = plainPlace(base, offset);
    if (at < 0) return 0;
    const payload = payloadLength === 0 ? 0 : swap16(sum(bytes, offset + PLAIN_HEADERS_LENGTH, payloadLength));
    const length = PLAIN_HEADERS_LENGTH + payloadLength;
    const sequenceWord = swap32(sequence);
    const acknowledgementWord = swap32(acknowledgement);
    const flagsWord = NO_OPTION_BUT_TIMESTAMPS | (flags << 8) | (swap16(window) << 16);
    const timestampWord = swap32(timestamp);
    const echoWord = swap32(echo);
    const changing = halves(sequenceWord) + halves(acknowledgementWord) + halves(flagsWord) + halves(timestampWord);
    const total = this.#tcpSum + changing + halves(echoWord) + swap16(length - TCP_OFFSET) + payload;
    words[at] = VERSION_4_NO_OPTIONS | (swap16(length) << 16);
    words[at + WORD.fragment] = DONT_FRAGMENT;
    words[at + WORD.protocolAndChecksum] = PROTOCOL_WORD | (~fold(this.#ipSum + swap16(length)) << 16);
    words[at + WORD.source] = this.#source;
    words[at + WORD.destination] = this.#destination;
    words[at + WORD.ports] = this.ports;
    words[at + WORD.sequence] = sequenceWord;
    words[at + WORD.acknowledgement] = acknowledgementWord;
    words[at + WORD.flagsAndWindow] = flagsWord;
    words[at + WORD.checksum] = ~fold(total) & 0xffff;
    words[at + WORD.option] = ALIGNED_TIMESTAMPS;
    words[at + WORD.timestamp] = timestampWord;
    words[at + WORD.echo] = echoWord;
    return length;
  }
}
