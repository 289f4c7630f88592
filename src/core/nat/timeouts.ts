/**
 * How long a session lives without traffic, in milliseconds, and what of TCP's state decides it. The translator looks at flags only:
 * the ends check sequence numbers, and a forged RST shortens a session's life without ending it.
 */

import { PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts';

/** RFC 4787 §4.3, REQ-5: five minutes are recommended. */
export const UDP_TIMEOUT_MS = 300_000;
/** RFC 5508 §3.2, REQ-2. */
export const ICMP_TIMEOUT_MS = 60_000;
/** RFC 5382 §5, REQ-5: two hours and four minutes, so that TCP's keepalive can hold a session. */
export const TCP_ESTABLISHED_TIMEOUT_MS = 7_440_000;
/** RFC 5382 §5, REQ-5: opening or closing. */
export const TCP_TRANSITORY_TIMEOUT_MS = 240_000;

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

/** What has been seen of a TCP session, as bits. 0 for a new one and for other protocols. */
const INSIDE_ACKED = 1;
const OUTSIDE_ACKED = 2;
const INSIDE_FIN = 4;
const OUTSIDE_FIN = 8;
const RESET = 16;

/** The state after a segment with these flags. A SYN begins the session anew: its ports may be used again (RFC 6191). */
export function nextTcpState(state: number, flags: number, fromInside: boolean): number {
  if (flags & RST) return state | RESET;
  if ((flags & (SYN | ACK)) === SYN) return 0;
  if (flags & ACK) state |= fromInside ? INSIDE_ACKED : OUTSIDE_ACKED;
  if (flags & FIN) state |= fromInside ? INSIDE_FIN : OUTSIDE_FIN;
  return state;
}

export function sessionTimeoutMs(protocol: number, tcpState: number): number {
  if (protocol === PROTOCOL_UDP) return UDP_TIMEOUT_MS;
  if (protocol !== PROTOCOL_TCP) return ICMP_TIMEOUT_MS;
  const established = (tcpState & INSIDE_ACKED) !== 0 && (tcpState & OUTSIDE_ACKED) !== 0;
  const closing = (tcpState & RESET) !== 0 || ((tcpState & INSIDE_FIN) !== 0 && (tcpState & OUTSIDE_FIN) !== 0);
  return established && !closing ? TCP_ESTABLISHED_TIMEOUT_MS : TCP_TRANSITORY_TIMEOUT_MS;
}
