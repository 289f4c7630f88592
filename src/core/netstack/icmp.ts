/**
 * The stack's side of ICMP and ICMPv6: answers echo requests and makes some of its own, tells that a UDP port is closed, and finds out
 * whom an error that arrives is about. What it sends unasked is limited in rate, so that nobody can use us to flood a third party.
 */

import type { IpAddress } from '../base/address.ts';
import { ipFromBytes } from '../base/address.ts';
import { setU32be, u16be, u32be } from '../base/bytes.ts';
import type { Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import {
  checkIcmp,
  ICMP_HEADER_LENGTH,
  type IcmpKind,
  icmpEchoIds,
  icmpKind,
  icmpMtu,
  writeEchoReply,
  writeEchoRequest,
  writePortUnreachable,
} from '../wire/icmp.ts';
import { type IpHeader, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts';
import { ipHeaderLength, writeIpHeader } from '../wire/ip-packet.ts';
import { IPV6_MINIMUM_MTU } from '../wire/ipv6.ts';
import type { NetstackDrop } from './drops.ts';
import type { LocalAddresses } from './local-addresses.ts';
import { RateLimit } from './rate-limit.ts';

/** Answers to echo requests a second, and at once. */
const ECHO_PER_SECOND = 50;
/** Errors a second, and at once. */
const ERRORS_PER_SECOND = 10;
const TRANSMIT_QUEUE = 32;
/** An error over IPv4 quotes as much as fits here (RFC 1812 §4.3.2.3), over IPv6 as fits the minimum MTU (RFC 4443 §3.1). */
const IPV4_ERROR_LENGTH = 576;
/** Ports, and the sequence number of a TCP segment: what every router quotes at least (RFC 792). */
const QUOTED_TRANSPORT = 8;

/** An error about a packet that we may have sent; the transport checks that it did. */
export interface IcmpError {
  readonly kind: 'unreachable-soft' | 'unreachable-hard' | 'packet-too-big';
  readonly protocol: typeof PROTOCOL_TCP | typeof PROTOCOL_UDP;
  readonly local: IpAddress;
  readonly localPort: number;
  readonly remote: IpAddress;
  readonly remotePort: number;
  /** Of the quoted TCP segment. */
  readonly sequence: number;
  /** The MTU that a `packet-too-big` tells, as it stands in the message. */
  readonly mtu: number;
}

/** An answer to an echo request. */
export interface EchoReply {
  readonly from: IpAddress;
  /** Identifier and sequence number, as in `EchoRequest`. */
  readonly ids: number;
  /** Of the whole IP packet, in bytes. */
  readonly length: number;
}

export interface EchoRequest {
  readonly to: IpAddress;
  /** Identifier in the upper 16 bits, sequence number in the lower. */
  readonly ids: number;
  /** Of the whole IP packet, in bytes; it may be more than the MTU, to find out whether that arrives. */
  readonly length: number;
}

export interface IcmpHost {
  readonly addresses: LocalAddresses;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  count(reason: NetstackDrop): void;
  handleIcmpError(error: IcmpError, now: Instant): void;
  /** False if nobody has asked. */
  handleEchoReply(reply: EchoReply, now: Instant): boolean;
}

export class Icmp {
  readonly #host: IcmpHost;
  readonly #echoLimit: RateLimit;
  readonly #errorLimit: RateLimit;
  readonly #outgoing: Queue<Uint8Array> = new Queue(TRANSMIT_QUEUE);

  constructor(host: IcmpHost, now: Instant) {
    this.#host = host;
    this.#echoLimit = new RateLimit(ECHO_PER_SECOND, ECHO_PER_SECOND, now);
    this.#errorLimit = new RateLimit(ERRORS_PER_SECOND, ERRORS_PER_SECOND, now);
  }

  /** One message whose IP header is checked, sent to one of our addresses. */
  handleMessage(bytes: Uint8Array, ip: IpHeader, now: Instant): void {
    const drop = checkIcmp(bytes, ip) ?? this.#act(bytes, ip, icmpKind(bytes, ip.payloadOffset, ip.family), now);
    if (drop) this.#host.count(drop);
  }

  /**
   * Answers the UDP datagram of `ip`, whose IP header starts at `packetOffset`, with port unreachable (RFC 1122 §4.1.3.1). The
   * caller has excluded fragments and addresses that are not unicast (RFC 1122 §3.2.2).
   */
  refuseDatagram(bytes: Uint8Array, packetOffset: number, ip: IpHeader, now: Instant): void {
    const room = Math.min(this.#host.mtu, ip.family === 4 ? IPV4_ERROR_LENGTH : IPV6_MINIMUM_MTU);
    const packetLength = ip.payloadOffset + ip.payloadLength - packetOffset;
    const quoted = Math.min(packetLength, room - ipHeaderLength(ip.family) - ICMP_HEADER_LENGTH);
    const length = ICMP_HEADER_LENGTH + quoted;
    const drop = this.#errorLimit.take(now)
      ? this.#answer(bytes, ip, length, packetOffset, quoted, ICMP_HEADER_LENGTH, writePortUnreachable)
      : 'icmp-rate-limited';
    if (drop) this.#host.count(drop);
  }

  /** Queues an echo request, dropped and counted if too many wait. */
  ping({ to, ids, length }: EchoRequest, source: IpAddress): void {
    const packet = new Uint8Array(length);
    const message = length - ipHeaderLength(to.family);
    const protocol = to.family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    const at = writeIpHeader(packet, 0, message, protocol, source.bytes, to.bytes);
    setU32be(packet, at + 4, ids);
    writeEchoRequest(packet, at, message, source.bytes, to.bytes);
    if (!this.#outgoing.push(packet)) this.#host.count('icmp-transmit-queue-full');
  }

  get hasPackets(): boolean {
    return this.#outgoing.length > 0;
  }

  /** Writes the next packet at `offset` and returns its length; 0 if none waits. */
  nextPacket(buffer: Uint8Array, offset: number): number {
    const packet = this.#outgoing.shift();
    if (!packet) return 0;
    buffer.set(packet, offset);
    return packet.length;
  }

  clear(): void {
    this.#outgoing.clear();
  }

  #act(bytes: Uint8Array, ip: IpHeader, kind: IcmpKind, now: Instant): NetstackDrop | undefined {
    switch (kind) {
      case 'echo-request':
        return this.#reply(bytes, ip, now);
      case 'packet-too-big':
      case 'unreachable-soft':
      case 'unreachable-hard': {
        const error = this.#quotedPacket(bytes, ip, kind);
        if (!error) return 'icmp-error-unmatched';
        this.#host.handleIcmpError(error, now);
        return undefined;
      }
      case 'echo-reply':
        return this.#host.handleEchoReply(echoReply(bytes, ip), now) ? undefined : 'icmp-type-unknown';
      case 'other-error':
      case 'other':
        return 'icmp-type-unknown';
    }
  }

  #reply(bytes: Uint8Array, ip: IpHeader, now: Instant): NetstackDrop | undefined {
    const { payloadOffset, payloadLength } = ip;
    if (ipHeaderLength(ip.family) + payloadLength > this.#host.mtu) return 'icmp-too-large';
    if (!this.#echoLimit.take(now)) return 'icmp-rate-limited';
    return this.#answer(bytes, ip, payloadLength, payloadOffset, payloadLength, 0, writeEchoReply);
  }

  /** Queues a message of `length` bytes to the packet's source: `copied` bytes from `from` at `skip`, finished by `write`. */
  #answer(
    bytes: Uint8Array,
    ip: IpHeader,
    length: number,
    from: number,
    copied: number,
    skip: number,
    write: typeof writeEchoReply,
  ): NetstackDrop | undefined {
    const addressLength = ip.family === 4 ? 4 : 16;
    const source = bytes.slice(ip.destinationOffset, ip.destinationOffset + addressLength);
    const destination = bytes.slice(ip.sourceOffset, ip.sourceOffset + addressLength);
    const packet = new Uint8Array(ipHeaderLength(ip.family) + length);
    const protocol = ip.family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
    const at = writeIpHeader(packet, 0, length, protocol, source, destination);
    packet.set(bytes.subarray(from, from + copied), at + skip);
    write(packet, at, length, source, destination);
    return this.#outgoing.push(packet) ? undefined : 'icmp-transmit-queue-full';
  }

  /**
   * Reads the quoted packet: only its beginning need be there, and its checksum may have changed underway. It must be one of ours,
   * hence from one of our addresses, TCP or UDP, without extension headers and not a later fragment.
   */
  #quotedPacket(bytes: Uint8Array, ip: IpHeader, kind: IcmpError['kind']): IcmpError | undefined {
    const { family } = ip;
    const at = ip.payloadOffset + ICMP_HEADER_LENGTH;
    const end = ip.payloadOffset + ip.payloadLength;
    const addressLength = family === 4 ? 4 : 16;
    if (at + ipHeaderLength(family) > end || bytes[at]! >>> 4 !== family) return undefined;
    const headerLength = family === 4 ? (bytes[at]! & 15) * 4 : ipHeaderLength(6);
    const transport = at + headerLength;
    if (headerLength < ipHeaderLength(family) || transport + QUOTED_TRANSPORT > end) return undefined;
    if (family === 4 && (u16be(bytes, at + 6) & 0x1fff) !== 0) return undefined;
    const protocol = bytes[at + (family === 4 ? 9 : 6)]!;
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return undefined;
    const sourceAt = at + (family === 4 ? 12 : 8);
    const local = this.#host.addresses.at(bytes, sourceAt, family);
    if (!local) return undefined;
    const remoteAt = sourceAt + addressLength;
    return {
      kind,
      protocol,
      local,
      localPort: u16be(bytes, transport),
      remote: ipFromBytes(bytes.subarray(remoteAt, remoteAt + addressLength)),
      remotePort: u16be(bytes, transport + 2),
      sequence: u32be(bytes, transport + 4),
      mtu: icmpMtu(bytes, ip.payloadOffset, family),
    };
  }
}

function echoReply(bytes: Uint8Array, { family, sourceOffset, payloadOffset, payloadLength }: IpHeader): EchoReply {
  const from = ipFromBytes(bytes.slice(sourceOffset, sourceOffset + (family === 4 ? 4 : 16)));
  return { from, ids: icmpEchoIds(bytes, payloadOffset), length: ipHeaderLength(family) + payloadLength };
}
