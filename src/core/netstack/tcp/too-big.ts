/**
 * Tells a peer that our tunnel has become narrower. The MSS of an open connection cannot be changed (RFC 9293 §3.7.1), and what the peer
 * sends too large is lost outside the tunnel, where no router knows of it. So we say what a router before the narrow link would
 * (RFC 1191 §3, RFC 4443 §3.2), about the segment that we wait for: its sequence number is the one that the peer will believe
 * (RFC 5927 §4.1).
 */

import { setU16be, setU32be } from '../../base/bytes.ts';
import { ICMP_HEADER_LENGTH, writePacketTooBig } from '../../wire/icmp.ts';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP } from '../../wire/ip.ts';
import { ipHeaderLength, writeIpHeader } from '../../wire/ip-packet.ts';
import { TCP_HEADER_LENGTH } from '../../wire/tcp.ts';
import type { Connection } from './connection.ts';

/** Ports and sequence number. */
const QUOTED = 8;

/** Writes the message as a whole IP packet at `offset`, and returns its length. */
export function writeTooBig(c: Connection, bytes: Uint8Array, offset: number): number {
  const { family, local, remote, stack } = c;
  const headerLength = ipHeaderLength(family);
  const length = ICMP_HEADER_LENGTH + headerLength + QUOTED;
  const icmp = offset + headerLength;
  const quoted = icmp + ICMP_HEADER_LENGTH;
  const tcp = quoted + headerLength;
  writeIpHeader(bytes, offset, length, family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6, local, remote);
  writeIpHeader(bytes, quoted, TCP_HEADER_LENGTH + c.ourMss, PROTOCOL_TCP, remote, local);
  setU16be(bytes, tcp, c.remotePort);
  setU16be(bytes, tcp + 2, c.localPort);
  setU32be(bytes, tcp + 4, c.receiver.next);
  writePacketTooBig(bytes, icmp, length, local, remote, stack.host.mtu);
  return headerLength + length;
}
