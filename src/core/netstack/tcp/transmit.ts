/** Which segment a connection sends next, if any: one at a time, as packets are asked for. */

import { type Instant, instant } from '../../base/instant.ts';
import { FIN, PSH } from '../../wire/tcp.ts';
import type { Connection } from './connection.ts';
import { writeAck, writeData, writeSyn } from './output.ts';
import { NOTHING } from './sender.ts';
import { seqAdd, seqDiff } from './sequence.ts';
import type { SizeTrial } from './size-trial.ts';
import { writeTooBig } from './too-big.ts';
import { CARRIES_FIN, NONE } from './transmit-queue.ts';

/** Writes the next segment as an IP packet at `offset` and returns its length, or 0 if nothing may be sent now. */
export function nextSegment(c: Connection, bytes: Uint8Array, offset: number, now: Instant): number {
  if (!c.row.synchronized) return c.synDue && c.state !== 'closed' ? sendSyn(c, bytes, offset, now) : 0;
  if (c.tooBigDue) {
    c.tooBigDue = false;
    return writeTooBig(c, bytes, offset);
  }
  const { acks, sack } = c.receiver;
  // A report of loss must not wait behind data, which has no room for it.
  if (c.ackDue && acks.immediate && sack !== undefined && c.sackPermitted) return sendAck(c, bytes, offset, now);
  // What is settled has nothing to send, and so much to look at before it is seen.
  if (c.row.sends && !c.sender.settled) {
    const length = sendData(c, bytes, offset, now);
    if (length > 0) return length;
  }
  if (c.ackDue) return sendAck(c, bytes, offset, now);
  if (!c.probeDue) return 0;
  c.probeDue = false;
  // A number the peer has seen makes it answer (RFC 9293 §3.8.4).
  return writeAck(c, bytes, offset, seqDiff(c.sender.una, 1), c.receiver.next, now);
}

/** Seen at a glance after a segment was sent: nothing follows it, and no timer was started. False if that takes a closer look. */
export function hasNoMore(c: Connection): boolean {
  return !c.ackDue && c.sender.settled && c.row.synchronized && !c.probeDue && !c.tooBigDue;
}

function sendSyn(c: Connection, bytes: Uint8Array, offset: number, now: Instant): number {
  const { recovery } = c.sender;
  c.synDue = c.ackDue = false;
  if (c.synRetries === 0) c.synSentAt = now;
  recovery.timeoutAt = instant(now + recovery.rtt.timeoutMs);
  return writeSyn(c, bytes, offset, now);
}

function sendData(c: Connection, bytes: Uint8Array, offset: number, now: Instant): number {
  const { sender, trial } = c;
  const { recovery } = sender;
  if (trial !== undefined) prepareTrial(c, trial, now);
  const slot = recovery.nextRetransmission();
  if (slot !== NONE) return sender.pacer.admits(now) ? resend(c, slot, bytes, offset, now) : 0;
  const length = sender.plan(now);
  if (length === NOTHING) {
    if (!recovery.probe.due) return 0;
    const last = recovery.lastSegment();
    if (last !== NONE) return resend(c, last, bytes, offset, now);
    recovery.probe.due = false;
    return 0;
  }
  if (!sender.pacer.admits(now)) {
    // The pace is the window's: it is not the application that is slow.
    recovery.limited = true;
    return 0;
  }
  const fin = sender.fits(length);
  const sequence = sender.next;
  const size = writeData(c, bytes, offset, sequence, flagsOf(c, sequence, length, fin), length, now);
  sender.onSent(length, fin, now);
  if (length > sender.mss) trial?.onSent(sender.next);
  ackSent(c);
  return size;
}

function resend(c: Connection, slot: number, bytes: Uint8Array, offset: number, now: Instant): number {
  const { recovery } = c.sender;
  const fin = (recovery.queue.flags(slot) & CARRIES_FIN) !== 0;
  const sequence = recovery.queue.sequence(slot);
  const length = recovery.queue.length(slot) - (fin ? 1 : 0);
  const size = writeData(c, bytes, offset, sequence, flagsOf(c, sequence, length, fin), length, now);
  recovery.onRetransmitted(slot, now);
  c.sender.paced(length, now);
  ackSent(c);
  return size;
}

/** One that must go again goes in pieces; otherwise the next segment may be one. */
function prepareTrial(c: Connection, trial: SizeTrial, now: Instant): void {
  const { sender } = c;
  if (trial.goesAgain(sender.recovery)) {
    trial.fail(now);
    sender.recovery.queue.resegment(sender.mss, false);
  }
  sender.trialSize = trial.nextSize(c, now);
}

/** PSH where what was written ends (RFC 9293 §3.9.1.2). */
function flagsOf(c: Connection, sequence: number, length: number, fin: boolean): number {
  return (fin ? FIN : 0) | (length > 0 && seqAdd(sequence, length) === c.sender.end ? PSH : 0);
}

function sendAck(c: Connection, bytes: Uint8Array, offset: number, now: Instant): number {
  const { acks, sack, next } = c.receiver;
  const ack = acks.numberAfter(c.lastAckSent, next);
  const size = writeAck(c, bytes, offset, c.sender.next, ack, now);
  if (ack !== next) return size;
  const more = acks.duplicates > 1 || (c.sackPermitted && sack !== undefined && sack.unreported > 0);
  if (acks.duplicates > 0) acks.duplicates--;
  if (!more) ackSent(c);
  return size;
}

function ackSent(c: Connection): void {
  c.ackDue = false;
  c.receiver.acks.onSent();
}
