/**
 * SEGMENT ARRIVES (RFC 9293 §3.10.7), with the amendments of RFC 5961 and RFC 7323, in the order of the standard: timestamps,
 * sequence number, RST, SYN, ACK, data, FIN. Nothing here throws, whatever the segment holds.
 */

import type { Instant } from '../../base/instant.ts';
import { ACK, FIN, PSH, RST, SYN, type TcpSegment } from '../../wire/tcp.ts';
import type { TcpDrop } from '../drops.ts';
import type { Connection } from './connection.ts';
import { acknowledges } from './sender.ts';
import { seqAdd, seqGe, seqGt, seqLt } from './sequence.ts';

// V8 makes constants of a module's own, and looks imported ones up each time.
const PUSH = PSH;
const PLAIN_ACK = ACK;

/** RFC 7323 §5.5: a timestamp this old no longer protects, the peer's clock may have wrapped. */
const TIMESTAMP_LIFE_MS = 24 * 24 * 3600 * 1000;

/** Takes a segment whose checksum is right and whose addresses and ports are the connection's. Returns why it was of no use, if so. */
export function segmentArrives(
  c: Connection,
  segment: TcpSegment,
  bytes: Uint8Array,
  now: Instant,
): TcpDrop | undefined {
  if (predicted(c, segment, bytes, now)) return undefined;
  if (c.state === 'syn-sent') return arrivesInSynSent(c, segment, now);
  if (c.row.synchronized || c.state === 'syn-received') return arrivesSynchronized(c, segment, bytes, now);
  return 'tcp-state';
}

/**
 * Header prediction: in an established connection, the next data in order, or a plain acknowledgement. Everything that needs more
 * than this is left to the long way, and nothing has been changed then.
 */
function predicted(c: Connection, segment: TcpSegment, bytes: Uint8Array, now: Instant): boolean {
  const { flags, payloadLength: length } = segment;
  if (c.state !== 'established' || (flags & ~PUSH) !== PLAIN_ACK || segment.hasTimestamps !== c.timestamps)
    return false;
  const { receiver, sender } = c;
  const { next } = receiver;
  if (segment.sequence !== next || length > ((receiver.edge - next) | 0)) return false;
  if (c.timestamps && ((segment.timestampValue - c.timestampRecent) | 0) < 0) return false;
  if (segment.sackBlocks > 0 || !receiver.inOrder) return false;
  const { una } = sender;
  const acked = (segment.acknowledgement - una) | 0;
  if (acked < 0 || acked > ((sender.next - una) | 0)) return false;
  if (segment.timestampValue !== c.timestampRecent) noteTimestamp(c, segment, now);
  if (c.keepAlive !== undefined) c.keepAlive.heard(now);
  if (acked > 0 || length === 0) takeAck(c, segment, now);
  else if (segment.window << sender.scale !== sender.window) sender.updateWindow(segment);
  if (length === 0) return true;
  if (!c.timestamps || segment.timestampEcho !== receiver.tuning.sampledEcho) measureRtt(c, segment, now);
  receiver.acceptNext(bytes, segment.payloadOffset, length, (flags & PUSH) !== 0);
  return true;
}

/** §3.10.7.3. */
function arrivesInSynSent(c: Connection, segment: TcpSegment, now: Instant): TcpDrop | undefined {
  const { flags } = segment;
  const acknowledged = (flags & ACK) !== 0;
  if (acknowledged && segment.acknowledgement !== c.sender.next) {
    if ((flags & RST) === 0) c.stack.refuse(segment, c.local, c.remote);
    return 'tcp-ack-invalid';
  }
  if ((flags & RST) !== 0) {
    if (!acknowledged) return 'tcp-reset-invalid';
    c.fail('ECONNREFUSED');
    return undefined;
  }
  if ((flags & SYN) === 0) return 'tcp-state';
  takeSyn(c, segment, now);
  if (acknowledged) {
    c.establish('receive-syn-ack', now);
    c.ackDue = true;
    c.stack.announce(c);
  } else {
    c.advance('receive-syn');
    c.synDue = true;
  }
  return undefined;
}

/** What the peer's SYN says; also for a listener's new connection. */
export function takeSyn(c: Connection, segment: TcpSegment, now: Instant): void {
  c.negotiate(segment.maximumSegmentSize, segment.windowScale, segment.hasTimestamps, segment.sackPermitted);
  c.receiver.open(segment.sequence, c.offeredScale);
  c.sender.resetWindow(segment, segment.window);
  c.timestampRecent = segment.timestampValue;
  c.timestampRecentAt = now;
  c.lastAckSent = c.receiver.next;
}

/** §3.10.7.4. */
function arrivesSynchronized(c: Connection, segment: TcpSegment, bytes: Uint8Array, now: Instant): TcpDrop | undefined {
  const { flags } = segment;
  if (!timestampAcceptable(c, segment, now)) return 'tcp-old-timestamp';
  if (!c.receiver.acceptable(segment) && !answersOurSyn(c, segment)) return answerUnacceptable(c, segment, now);
  if ((flags & RST) !== 0) return takeReset(c, segment, now);
  if ((flags & SYN) !== 0 && !answersOurSyn(c, segment)) return takeUnexpectedSyn(c, now);
  if ((flags & ACK) === 0) return 'tcp-state';
  noteTimestamp(c, segment, now);
  const drop = c.state === 'syn-received' ? completeHandshake(c, segment, now) : undefined;
  if (drop || (flags & SYN) !== 0) return drop;
  if (!acknowledges(c.sender, segment)) {
    c.challenge(now);
    return 'tcp-ack-invalid';
  }
  c.keepAlive?.heard(now);
  if (seqGe(segment.acknowledgement, c.sender.una)) takeAck(c, segment, now);
  if (segment.payloadLength === 0 && (flags & FIN) === 0) return undefined;
  if (c.row.receives) return takeData(c, segment, bytes, now);
  c.ackDue = true;
  return 'tcp-state';
}

/** Simultaneous open (§3.5, figure 8): the peer's SYN again, now with the acknowledgement of ours. */
function answersOurSyn(c: Connection, segment: TcpSegment): boolean {
  return (
    c.state === 'syn-received' &&
    c.identity.listener === undefined &&
    (segment.flags & (SYN | ACK | RST)) === (SYN | ACK) &&
    seqAdd(segment.sequence, 1) === c.receiver.next
  );
}

/** PAWS (RFC 7323 §5.3). A reset needs no timestamp (§3.2). */
function timestampAcceptable(c: Connection, segment: TcpSegment, now: Instant): boolean {
  if (!c.timestamps || (segment.flags & RST) !== 0) return true;
  if (!segment.hasTimestamps) return (segment.flags & SYN) !== 0;
  if (seqGe(segment.timestampValue, c.timestampRecent)) return true;
  if (now - c.timestampRecentAt > TIMESTAMP_LIFE_MS) return true;
  // Acknowledgements that overtook each other: asking back would say nothing new.
  if (segment.length === 0 && segment.sequence === c.receiver.next) return false;
  if (segment.length > 0) c.ackDue = true;
  else c.challenge(now);
  return false;
}

/** First check: out of the window. An acknowledgement puts a peer that is alive right; a loop of them must not start. */
function answerUnacceptable(c: Connection, segment: TcpSegment, now: Instant): TcpDrop {
  if ((segment.flags & RST) !== 0) return 'tcp-out-of-window';
  if (c.state === 'syn-received' && (segment.flags & SYN) !== 0) {
    // The peer's SYN again: our answer to it was lost.
    c.synDue = true;
  } else if (segment.length === 0) {
    c.challenge(now);
  } else {
    c.ackDue = true;
    c.receiver.noteUnacceptable(segment);
  }
  return 'tcp-out-of-window';
}

/** Second check (RFC 5961 §3.2): only the exact number resets. */
function takeReset(c: Connection, segment: TcpSegment, now: Instant): TcpDrop | undefined {
  if (segment.sequence !== c.receiver.next) {
    c.challenge(now);
    return 'tcp-reset-invalid';
  }
  c.fail(c.state === 'syn-received' ? 'ECONNREFUSED' : 'ECONNRESET');
  return undefined;
}

/** Fourth check (RFC 5961 §4.2). */
function takeUnexpectedSyn(c: Connection, now: Instant): TcpDrop {
  c.challenge(now);
  return 'tcp-state';
}

/** Fifth check in SYN-RECEIVED. */
function completeHandshake(c: Connection, segment: TcpSegment, now: Instant): TcpDrop | undefined {
  if (segment.acknowledgement !== c.sender.next) {
    c.stack.refuse(segment, c.local, c.remote);
    return 'tcp-ack-invalid';
  }
  if (c.identity.listener !== undefined && !c.identity.listener.admit(c)) return 'tcp-backlog-full';
  c.establish('syn-acknowledged', now);
  // The window of a SYN is not scaled (RFC 7323 §2.2).
  const scale = (segment.flags & SYN) !== 0 ? 0 : c.sender.scale;
  c.sender.resetWindow(segment, segment.window << scale);
  c.stack.announce(c);
  return undefined;
}

/** Fifth check, the other states. */
function takeAck(c: Connection, segment: TcpSegment, now: Instant): void {
  const { sender } = c;
  const before = sender.una;
  sender.acknowledge(segment, echoSentAt(c, segment, now), now);
  if (sender.una !== before || sender.window === 0) c.answered();
  if (sender.finAcknowledged) c.advance('fin-acknowledged');
}

/** Seventh and eighth: data and FIN. */
function takeData(c: Connection, segment: TcpSegment, bytes: Uint8Array, now: Instant): TcpDrop | undefined {
  const { receiver } = c;
  if (segment.sequence === receiver.next) measureRtt(c, segment, now);
  const accepted = receiver.accept(segment, bytes);
  if (!c.sackPermitted && (accepted === 'refused' || accepted === 'out-of-order')) receiver.acks.duplicates++;
  if (receiver.finished) c.receivedFin();
  return accepted === 'refused' ? 'tcp-memory' : undefined;
}

/** TS.Recent is the timestamp of the segment that the last acknowledgement was waiting for (RFC 7323 §4.3). */
function noteTimestamp(c: Connection, segment: TcpSegment, now: Instant): void {
  if (!c.timestamps || segment.timestampValue === c.timestampRecent || seqGt(segment.sequence, c.lastAckSent)) return;
  if (seqLt(segment.timestampValue, c.timestampRecent) && now - c.timestampRecentAt <= TIMESTAMP_LIFE_MS) return;
  c.timestampRecent = segment.timestampValue;
  c.timestampRecentAt = now;
}

function echoSentAt(c: Connection, segment: TcpSegment, now: Instant): number {
  return c.timestamps && segment.timestampEcho !== 0 ? c.sentWhenClockRead(segment.timestampEcho, now) : Number.NaN;
}

function measureRtt(c: Connection, segment: TcpSegment, now: Instant): void {
  const { tuning, next, edge } = c.receiver;
  if (!c.timestamps) tuning.measureWindow(next, edge, now);
  else if (segment.timestampEcho !== 0 && segment.timestampEcho !== tuning.sampledEcho)
    tuning.measureEcho(segment.timestampEcho, now - c.sentWhenClockRead(segment.timestampEcho, now));
}
