/**
 * TCP segments (RFC 9293 §3.1) and the options this stack speaks: MSS, window scale, timestamps (RFC 7323), SACK (RFC 2018).
 * Sequence numbers, acknowledgements and timestamps are signed 32-bit integers, so that they stay small integers; compare them with
 * `(a - b) | 0`. The urgent pointer is ignored, as RFC 6093 advises.
 */

import { setU16be, setU32be, u16be } from '../base/bytes.ts';

export const TCP_HEADER_LENGTH = 20;

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

/** At most this many SACK blocks fit the 40 bytes of options (RFC 2018 §3). */
export const MAX_SACK_BLOCKS = 4;

const OPTION_END = 0;
const OPTION_NO_OPERATION = 1;
const OPTION_MSS = 2;
const OPTION_WINDOW_SCALE = 3;
const OPTION_SACK_PERMITTED = 4;
const OPTION_SACK = 5;
const OPTION_TIMESTAMPS = 8;

/** The bytes NOP, NOP, kind 8, length 10: how every stack aligns timestamps (RFC 7323 appendix A). */
const ALIGNED_TIMESTAMPS = 0x0101080a;

/** Length of NOP, NOP and the timestamps option. */
export const TIMESTAMPS_LENGTH = 12;

/** Largest window scale (RFC 7323 §2.3). */
const MAX_WINDOW_SCALE = 14;

/** One parsed segment. One object is reused for every packet; offsets are absolute in the bytes that were parsed. */
export class TcpSegment {
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgement = 0;
  flags = 0;
  /** As on the wire, unscaled. */
  window = 0;
  payloadOffset = 0;
  payloadLength = 0;
  /** Sequence space the segment takes: payload, plus one each for SYN and FIN (SEG.LEN of RFC 9293). */
  length = 0;
  hasTimestamps = false;
  timestampValue = 0;
  timestampEcho = 0;
  /** 0: no MSS option. */
  maximumSegmentSize = 0;
  /** -1: no window scale option. */
  windowScale = -1;
  sackPermitted = false;
  sackBlocks = 0;
  readonly sackStart: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  readonly sackEnd: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
}

/** Fills `segment` from the `length` bytes at `offset`; false if header or options do not fit them. The checksum is the caller's. */
export function parseTcp(bytes: Uint8Array, offset: number, length: number, segment: TcpSegment): boolean {
  if (length < TCP_HEADER_LENGTH) return false;
  const headerLength = (bytes[offset + 12]! >>> 4) * 4;
  if (headerLength < TCP_HEADER_LENGTH || headerLength > length) return false;
  const flags = bytes[offset + 13]! & 0x3f;
  segment.sourcePort = (bytes[offset]! << 8) | bytes[offset + 1]!;
  segment.destinationPort = (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
  segment.sequence = s32(bytes, offset + 4);
  segment.acknowledgement = s32(bytes, offset + 8);
  segment.flags = flags;
  segment.window = (bytes[offset + 14]! << 8) | bytes[offset + 15]!;
  segment.payloadOffset = offset + headerLength;
  segment.payloadLength = length - headerLength;
  segment.length = length - headerLength + (flags & FIN) + ((flags & SYN) >>> 1);
  segment.maximumSegmentSize = 0;
  segment.windowScale = -1;
  segment.sackPermitted = false;
  segment.sackBlocks = 0;
  if (headerLength === TCP_HEADER_LENGTH + TIMESTAMPS_LENGTH && s32(bytes, offset + 20) === ALIGNED_TIMESTAMPS) {
    segment.hasTimestamps = true;
    segment.timestampValue = s32(bytes, offset + 24);
    segment.timestampEcho = s32(bytes, offset + 28);
    return true;
  }
  segment.hasTimestamps = false;
  return headerLength === TCP_HEADER_LENGTH || parseOptions(bytes, offset + 20, offset + headerLength, segment);
}

/** Writes the fixed header with the checksum as zero; options and payload are the caller's, as is the checksum once they stand. */
export function writeTcpHeader(
  bytes: Uint8Array,
  offset: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgement: number,
  flags: number,
  window: number,
  optionsLength: number,
): void {
  setU16be(bytes, offset, sourcePort);
  setU16be(bytes, offset + 2, destinationPort);
  setU32be(bytes, offset + 4, sequence);
  setU32be(bytes, offset + 8, acknowledgement);
  bytes[offset + 12] = (TCP_HEADER_LENGTH + optionsLength) << 2;
  bytes[offset + 13] = flags;
  setU16be(bytes, offset + 14, window);
  setU32be(bytes, offset + 16, 0);
}

/** Writes NOP, NOP, timestamps: 12 bytes. */
export function writeTimestamps(bytes: Uint8Array, offset: number, value: number, echo: number): void {
  setU32be(bytes, offset, ALIGNED_TIMESTAMPS);
  setU32be(bytes, offset + 4, value);
  setU32be(bytes, offset + 8, echo);
}

/** Writes the options only a SYN carries and returns their length, a multiple of 4. A scale of -1 leaves the option out. */
export function writeSynOptions(
  bytes: Uint8Array,
  offset: number,
  maximumSegmentSize: number,
  windowScale: number,
  sackPermitted: boolean,
): number {
  let at = offset;
  bytes[at++] = OPTION_MSS;
  bytes[at++] = 4;
  setU16be(bytes, at, maximumSegmentSize);
  at += 2;
  if (windowScale >= 0) {
    bytes[at++] = OPTION_NO_OPERATION;
    bytes[at++] = OPTION_WINDOW_SCALE;
    bytes[at++] = 3;
    bytes[at++] = windowScale;
  }
  if (sackPermitted) {
    bytes[at++] = OPTION_NO_OPERATION;
    bytes[at++] = OPTION_NO_OPERATION;
    bytes[at++] = OPTION_SACK_PERMITTED;
    bytes[at++] = 2;
  }
  return at - offset;
}

/** Writes NOP, NOP and a SACK option of `count` blocks, and returns its length. */
export function writeSackBlocks(
  bytes: Uint8Array,
  offset: number,
  count: number,
  starts: Int32Array,
  ends: Int32Array,
): number {
  bytes[offset] = OPTION_NO_OPERATION;
  bytes[offset + 1] = OPTION_NO_OPERATION;
  bytes[offset + 2] = OPTION_SACK;
  bytes[offset + 3] = 2 + 8 * count;
  for (let i = 0; i < count; i++) {
    setU32be(bytes, offset + 4 + 8 * i, starts[i]!);
    setU32be(bytes, offset + 8 + 8 * i, ends[i]!);
  }
  return 4 + 8 * count;
}

function parseOptions(bytes: Uint8Array, at: number, end: number, segment: TcpSegment): boolean {
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === OPTION_END) return true;
    if (kind === OPTION_NO_OPERATION) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return false;
    parseOption(bytes, at, kind, length, segment);
    at += length;
  }
  return true;
}

/** An option of a length it cannot have is passed over, like an unknown one (RFC 9293 §3.1, MUST-6 and MUST-7). */
function parseOption(bytes: Uint8Array, at: number, kind: number, length: number, segment: TcpSegment): void {
  if (kind === OPTION_MSS && length === 4) segment.maximumSegmentSize = u16be(bytes, at + 2);
  else if (kind === OPTION_WINDOW_SCALE && length === 3)
    segment.windowScale = Math.min(bytes[at + 2]!, MAX_WINDOW_SCALE);
  else if (kind === OPTION_SACK_PERMITTED && length === 2) segment.sackPermitted = true;
  else if (kind === OPTION_TIMESTAMPS && length === 10) {
    segment.hasTimestamps = true;
    segment.timestampValue = s32(bytes, at + 2);
    segment.timestampEcho = s32(bytes, at + 6);
  } else if (kind === OPTION_SACK && length % 8 === 2) {
    const count = Math.min(MAX_SACK_BLOCKS, (length - 2) / 8);
    segment.sackBlocks = count;
    for (let i = 0; i < count; i++) {
      segment.sackStart[i] = s32(bytes, at + 2 + 8 * i);
      segment.sackEnd[i] = s32(bytes, at + 6 + 8 * i);
    }
  }
}

function s32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}
