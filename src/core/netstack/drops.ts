/** Every reason for which the stack drops a packet or a datagram: the words of `Netstack.drops`, the status and docs/protocol. */

import type { IcmpFault } from '../wire/icmp.ts';
import type { IpFault } from '../wire/ip.ts';
import type { UdpFault } from '../wire/udp.ts';

export type NetstackDrop = IpFault | UdpFault | IcmpFault | IpDrop | UdpDrop | IcmpDrop | TcpDrop | ResolverDrop;

/** Between the IP header and a transport. */
export type IpDrop =
  /** The destination is none of the stack's addresses. */
  | 'not-our-address'
  /** The source is unspecified, loopback, multicast, broadcast or ourselves (RFC 1122 §3.2.1.3). */
  | 'martian-source'
  /** Of something else than a UDP datagram. */
  | 'fragment-unsupported'
  /** Empty, of a length that cannot continue, or beyond the largest datagram. */
  | 'fragment-invalid'
  /** It covers what another does, or belongs to a datagram in which that happened. */
  | 'fragment-overlap'
  /** Datagrams that were never completed. */
  | 'fragment-timeout'
  /** Datagrams that gave way to newer ones, or came in too many pieces. */
  | 'fragment-memory'
  | 'protocol-unknown';

export type UdpDrop =
  | 'udp-no-socket'
  /** The embedder does not take events as fast as datagrams arrive. */
  | 'udp-receive-queue-full'
  | 'udp-transmit-queue-full'
  /** Larger than the MTU: EMSGSIZE at the socket. */
  | 'udp-too-large'
  /** The destination is of the other family, is not unicast, is ourselves, or we have no address of its family. */
  | 'udp-no-route'
  /** Sent by a socket that is not bound. */
  | 'udp-not-bound';

export type IcmpDrop =
  | 'icmp-rate-limited'
  | 'icmp-transmit-queue-full'
  /** An echo request that was larger than our MTU: its reply would not fit. */
  | 'icmp-too-large'
  /** An error about a packet that no live socket can have sent (RFC 5927 §4). */
  | 'icmp-error-unmatched'
  /** An error about a datagram of a live UDP socket: nothing waits for it. */
  | 'icmp-error-udp'
  | 'icmp-type-unknown';

export type TcpDrop =
  | 'tcp-truncated'
  | 'tcp-checksum'
  | 'tcp-malformed'
  | 'tcp-no-connection'
  | 'tcp-out-of-window'
  | 'tcp-old-timestamp'
  | 'tcp-listen-queue-full'
  | 'tcp-backlog-full'
  | 'tcp-reset-invalid'
  | 'tcp-ack-invalid'
  | 'tcp-state'
  | 'tcp-memory'
  | 'tcp-icmp-invalid'
  | 'tcp-rate-limited';

/** Counted by the resolver of a `VirtualHost`, which shares the stack's counter. */
export type ResolverDrop = 'dns-unmatched' | 'dns-malformed';
