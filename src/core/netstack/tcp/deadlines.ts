/** What time does to a connection. */

import { type Instant, instant } from '../../base/instant.ts';
import type { Connection } from './connection.ts';
import type { KeepAlive } from './keepalive.ts';
import { mtuOfPayload } from './segment-size.ts';
import { NEVER } from './timers.ts';

/** After so many timeouts in a row of a large segment the path is taken for one that drops it in silence (RFC 2923 §2.1). */
const BLACK_HOLE_TIMEOUTS = 3;
/** What is tried then, one after the other: the least that an IPv6 link must carry, and what a tunnel leaves of that. */
const SAFE_MTUS = [1280, 1200];

/** The moment before which nothing happens unless a segment or a command comes. */
export function deadlineOf(c: Connection): Instant {
  const { deadline } = c.receiver.acks;
  const receiving = c.keepAlive === undefined ? deadline : instant(Math.min(deadline, c.keepAlive.at));
  // Nearly always so on a download, and each deadline is memory of its own to be fetched.
  if (c.sender.settled) return receiving;
  const { recovery, persistAt, pacer } = c.sender;
  return instant(Math.min(receiving, recovery.timeoutAt, recovery.probe.at, recovery.reorderAt, persistAt, pacer.at));
}

/** Does what has become due by `now`; afterwards no deadline is left at or before it. What it leads to is sent with `nextSegment`. */
export function handleDeadlines(c: Connection, now: Instant): void {
  const { sender, receiver, keepAlive } = c;
  const { recovery } = sender;
  if (receiver.acks.expires(now)) c.ackDue = true;
  if (sender.pacer.at <= now) sender.pacer.at = NEVER;
  if (recovery.reorderAt <= now) recovery.onReorderTimeout(sender.una, sender.next, now);
  if (recovery.timeoutAt <= now) onRetransmissionTimeout(c, now);
  else if (recovery.probe.at <= now) recovery.onProbeTimeout(now);
  if (sender.persistAt <= now) sender.onPersistTimeout();
  if (keepAlive !== undefined && keepAlive.at <= now) onKeepAlive(c, keepAlive, now);
}

function onRetransmissionTimeout(c: Connection, now: Instant): void {
  const { sender } = c;
  const { recovery } = sender;
  if (!c.row.synchronized) {
    onSynTimeout(c);
    return;
  }
  // Counted in timeouts waited, not by the clock: a host that slept is given another chance.
  c.unansweredMs += recovery.rtt.timeoutMs;
  c.timeouts++;
  if (c.unansweredMs >= c.stack.settings.userTimeoutMs) c.fail(c.softError ?? 'ETIMEDOUT');
  else if (sender.window === 0) sender.onClosedWindowTimeout(now);
  else {
    recovery.onRetransmissionTimeout(sender.una, sender.next, now);
    if (c.timeouts >= BLACK_HOLE_TIMEOUTS) avoidBlackHole(c, now);
  }
}

/** ICMP messages are often filtered: without them a path narrower than its ends would never carry a full segment. */
function avoidBlackHole(c: Connection, now: Instant): void {
  const { queue } = c.sender.recovery;
  if (queue.count === 0) return;
  const size = mtuOfPayload(c.family, queue.length(queue.slot(0)), c.timestamps);
  const safe = SAFE_MTUS.find((mtu) => mtu < size);
  if (safe === undefined) return;
  c.pathMtu = safe;
  c.narrowPath(now);
  c.stack.host.suspectBlackHole();
}

function onSynTimeout(c: Connection): void {
  const { synRetries, synAckRetries } = c.stack.settings;
  const { recovery } = c.sender;
  recovery.timeoutAt = NEVER;
  c.synRetries++;
  if (c.synRetries > (c.state === 'syn-sent' ? synRetries : synAckRetries)) {
    c.fail(c.softError ?? 'ETIMEDOUT');
    return;
  }
  recovery.rtt.backOff();
  c.synDue = true;
}

function onKeepAlive(c: Connection, keepAlive: KeepAlive, now: Instant): void {
  const { keepAliveIntervalMs, keepAliveProbes } = c.stack.settings;
  const verdict = keepAlive.onTimeout(keepAliveIntervalMs, keepAliveProbes, now);
  if (verdict === 'dead') c.fail('ETIMEDOUT');
  // With data outstanding the retransmission timer asks already.
  else if (verdict === 'probe' && c.sender.recovery.queue.count === 0) c.probeDue = true;
}
