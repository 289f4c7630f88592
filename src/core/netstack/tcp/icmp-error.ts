/**
 * What ICMP errors do to a connection, after the checks of RFC 5927: the quoted segment must be in flight (§4.1), no error aborts a
 * connection that is synchronized (§5.2), and a narrower path is believed only about data that waits to be acknowledged (§7.2).
 */

import type { Instant } from '../../base/instant.ts';
import type { TcpDrop } from '../drops.ts';
import { PATH_MTU_LIFETIME_MS } from '../path-mtu.ts';
import type { Connection } from './connection.ts';
import { mtuOfPayload } from './segment-size.ts';
import { seqGe, seqGt } from './sequence.ts';

export type TcpIcmpError = 'unreachable-soft' | 'unreachable-hard' | 'packet-too-big';

/** A SYN that met a soft error is repeated this often at most (RFC 5461 §4.1). */
const RETRIES_AFTER_SOFT_ERROR = 2;
/** Every IPv6 link carries 1280 bytes; an IPv4 path below 576 is an attack. */
const MIN_MTU_V4 = 576;
const MIN_MTU_V6 = 1280;

/** Returns `tcp-icmp-invalid` if the error cannot be about a segment of this connection. */
export function handleIcmpError(
  c: Connection,
  sequence: number,
  kind: TcpIcmpError,
  mtu: number,
  now: Instant,
): TcpDrop | undefined {
  const { sender } = c;
  const inFlight = seqGe(sequence, sender.una) && seqGt(sender.next, sequence);
  if (!inFlight || c.state === 'closed') return 'tcp-icmp-invalid';
  if (kind === 'packet-too-big') return takeTooBig(c, mtu, now);
  if (c.state === 'syn-sent' && kind === 'unreachable-hard') {
    c.fail('ECONNREFUSED');
    return undefined;
  }
  c.softError = 'EHOSTUNREACH';
  if (c.state === 'syn-sent' && c.synRetries >= RETRIES_AFTER_SOFT_ERROR) c.fail('EHOSTUNREACH');
  return undefined;
}

function takeTooBig(c: Connection, mtu: number, now: Instant): TcpDrop | undefined {
  const floor = c.family === 4 ? MIN_MTU_V4 : MIN_MTU_V6;
  const current = Math.min(c.pathMtu, mtuOfPayload(c.family, c.sender.mss, c.timestamps));
  // Routers older than RFC 1191 tell no MTU: the floor is safe.
  const believed = Math.max(mtu, floor);
  if (believed >= current) return 'tcp-icmp-invalid';
  c.stack.host.lowerMtu(c.remoteIp, believed);
  c.narrowPath(now, PATH_MTU_LIFETIME_MS);
  return undefined;
}
