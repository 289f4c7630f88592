/** How much payload fits a segment (RFC 9293 §3.7.1, RFC 6691): the MSS option counts neither IP nor TCP options. */

import { TCP_HEADER_LENGTH, TIMESTAMPS_LENGTH } from '../../wire/tcp.ts';

/** Where the peer's SYN has no MSS option. */
const DEFAULT_MSS_V4 = 536;
const DEFAULT_MSS_V6 = 1220;
/** A smaller MSS option is an attack on us: every few bytes would cost a packet. */
const MIN_PEER_MSS = 88;

export function ipHeaderSize(family: 4 | 6): number {
  return family === 4 ? 20 : 40;
}

/** The value of our MSS option on a link of this MTU. */
export function announcedMss(family: 4 | 6, mtu: number): number {
  return mtu - ipHeaderSize(family) - TCP_HEADER_LENGTH;
}

/** What the peer's MSS option, 0 if there was none, is taken for. */
export function peerMss(family: 4 | 6, option: number): number {
  return Math.max(MIN_PEER_MSS, option || (family === 4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6));
}

/** Payload of the largest segment to send: what the peer takes and the path carries, less the options of every segment. */
export function payloadLimit(family: 4 | 6, peer: number, pathMtu: number, timestamps: boolean): number {
  return Math.min(peer, announcedMss(family, pathMtu)) - (timestamps ? TIMESTAMPS_LENGTH : 0);
}

/** The MTU that such a payload fills. */
export function mtuOfPayload(family: 4 | 6, payload: number, timestamps: boolean): number {
  return payload + ipHeaderSize(family) + TCP_HEADER_LENGTH + (timestamps ? TIMESTAMPS_LENGTH : 0);
}

/** The smallest shift whose largest window covers `limit`, but for less than one unit (RFC 7323 §2.3). */
export function windowScaleFor(limit: number): number {
  let scale = 0;
  while (0x10000 * 2 ** scale < limit) scale++;
  return scale;
}
