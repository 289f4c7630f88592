/** Segments as whole IP packets: header, options, payload and checksum, written into the caller's memory. */

import { setU16be } from '../../base/bytes.ts';
import type { Instant } from '../../base/instant.ts';
import { checksum, sum } from '../../wire/checksum.ts';
import { PROTOCOL_TCP } from '../../wire/ip.ts';
import { writeIpHeader } from '../../wire/ip-packet.ts';
import { PLAIN_HEADERS_LENGTH } from '../../wire/plain-packet.ts';
import {
  ACK,
  SYN,
  TCP_HEADER_LENGTH,
  TIMESTAMPS_LENGTH,
  writeSackBlocks,
  writeSynOptions,
  writeTcpHeader,
  writeTimestamps,
} from '../../wire/tcp.ts';
import type { Connection } from './connection.ts';
import type { Reply } from './replies.ts';
import { ipHeaderSize } from './segment-size.ts';
import { seqDiff } from './sequence.ts';

/** Blocks that fit beside timestamps, and alone (RFC 2018 §3). */
const SACK_BLOCKS_WITH_TIMESTAMPS = 3;
const SACK_BLOCKS_ALONE = 4;

/** Writes our SYN, or SYN and ACK, and returns the length of the packet. */
export function writeSyn(c: Connection, bytes: Uint8Array, offset: number, now: Instant): number {
  const acknowledges = c.state === 'syn-received';
  const tcp = offset + ipHeaderSize(c.family);
  let options = writeSynOptions(bytes, tcp + TCP_HEADER_LENGTH, c.ourMss, c.offeredScale, c.sackPermitted);
  if (c.timestamps) {
    writeTimestamps(bytes, tcp + TCP_HEADER_LENGTH + options, c.clock(now), acknowledges ? c.timestampRecent : 0);
    options += TIMESTAMPS_LENGTH;
  }
  const flags = acknowledges ? SYN | ACK : SYN;
  const window = acknowledges ? c.receiver.announce(false, c.receiver.next) : Math.min(0xffff, c.receiver.limit);
  writeTcpHeader(
    bytes,
    tcp,
    c.localPort,
    c.remotePort,
    c.sender.initial,
    acknowledges ? c.receiver.next : 0,
    flags,
    window,
    options,
  );
  return finish(bytes, offset, tcp, TCP_HEADER_LENGTH + options, c.local, c.remote);
}

/** Writes a segment with an acknowledgement and the `length` bytes of the stream from `sequence`. */
export function writeData(
  c: Connection,
  bytes: Uint8Array,
  offset: number,
  sequence: number,
  flags: number,
  length: number,
  now: Instant,
): number {
  const ack = (c.lastAckSent = c.receiver.next);
  const window = c.receiver.announce(true, ack);
  if (c.plain !== undefined) {
    copyPayload(c, sequence, bytes, offset + PLAIN_HEADERS_LENGTH, length);
    const size = c.plain.write(bytes, offset, sequence, ack, flags, window, c.clock(now), c.timestampRecent, length);
    if (size > 0) return size;
  }
  const tcp = offset + ipHeaderSize(c.family);
  const options = writeOptions(c, bytes, tcp, false, now);
  writeTcpHeader(bytes, tcp, c.localPort, c.remotePort, sequence, ack, flags | ACK, window, options);
  const header = TCP_HEADER_LENGTH + options;
  copyPayload(c, sequence, bytes, tcp + header, length);
  return finish(bytes, offset, tcp, header + length, c.local, c.remote);
}

/** Writes an acknowledgement alone of what is before `ack`, with SACK blocks if there is anything to report. */
export function writeAck(
  c: Connection,
  bytes: Uint8Array,
  offset: number,
  sequence: number,
  ack: number,
  now: Instant,
): number {
  const window = c.receiver.announce(true, ack);
  c.lastAckSent = ack;
  if (c.plain !== undefined && c.receiver.sack === undefined) {
    const size = c.plain.write(bytes, offset, sequence, ack, ACK, window, c.clock(now), c.timestampRecent, 0);
    if (size > 0) return size;
  }
  const tcp = offset + ipHeaderSize(c.family);
  const options = writeOptions(c, bytes, tcp, c.sackPermitted, now);
  writeTcpHeader(bytes, tcp, c.localPort, c.remotePort, sequence, ack, ACK, window, options);
  return finish(bytes, offset, tcp, TCP_HEADER_LENGTH + options, c.local, c.remote);
}

/** Writes a segment that belongs to no connection. */
export function writeReply(reply: Reply, bytes: Uint8Array, offset: number): number {
  const tcp = offset + ipHeaderSize(reply.local.length === 4 ? 4 : 6);
  const options = reply.timestamps ? TIMESTAMPS_LENGTH : 0;
  if (reply.timestamps) writeTimestamps(bytes, tcp + TCP_HEADER_LENGTH, reply.timestamps.value, reply.timestamps.echo);
  const { localPort, remotePort, sequence, acknowledgement, flags, window } = reply;
  writeTcpHeader(bytes, tcp, localPort, remotePort, sequence, acknowledgement, flags, window, options);
  return finish(bytes, offset, tcp, TCP_HEADER_LENGTH + options, reply.local, reply.remote);
}

function copyPayload(c: Connection, sequence: number, bytes: Uint8Array, at: number, length: number): void {
  if (length > 0) c.sender.buffer.copyTo(seqDiff(sequence, c.sender.una), bytes, at, length);
}

function writeOptions(c: Connection, bytes: Uint8Array, tcp: number, withSack: boolean, now: Instant): number {
  let length = 0;
  if (c.timestamps) {
    writeTimestamps(bytes, tcp + TCP_HEADER_LENGTH, c.clock(now), c.timestampRecent);
    length = TIMESTAMPS_LENGTH;
  }
  const { sack, reassembly } = c.receiver;
  if (!withSack || !sack) return length;
  const limit = c.timestamps ? SACK_BLOCKS_WITH_TIMESTAMPS : SACK_BLOCKS_ALONE;
  const count = sack.blocks(reassembly?.ranges, limit);
  if (count > 0) length += writeSackBlocks(bytes, tcp + TCP_HEADER_LENGTH + length, count, sack.starts, sack.ends);
  return length;
}

function finish(
  bytes: Uint8Array,
  offset: number,
  tcp: number,
  length: number,
  local: Uint8Array,
  remote: Uint8Array,
): number {
  writeIpHeader(bytes, offset, length, PROTOCOL_TCP, local, remote);
  // The pseudo header's addresses stand before the segment.
  const addresses = 2 * local.length;
  setU16be(bytes, tcp + 16, checksum(sum(bytes, tcp - addresses, addresses + length, PROTOCOL_TCP + length)));
  return tcp - offset + length;
}
