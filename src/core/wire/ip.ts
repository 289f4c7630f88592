/** What the stack needs to know of an IP packet, of either version, without copying any of it. `ip-packet.ts` reads and writes it. */

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ICMPV6 = 58;

export const DEFAULT_HOP_LIMIT = 64;

/** Why a packet is not one: names of drop counters. */
export type IpFault =
  | 'ip-version'
  | 'ip-truncated'
  | 'ip-header-length'
  | 'ip-header-checksum'
  | 'ip-extension-header'
  | 'ip-source-route';

/**
 * The fields of one IP packet. Reused from packet to packet: `parseIp*` overwrites all of it. Offsets are absolute in the bytes
 * that were parsed.
 */
export interface IpHeader {
  family: 4 | 6;
  /** The transport's protocol number, behind extension headers. */
  protocol: number;
  hopLimit: number;
  sourceOffset: number;
  destinationOffset: number;
  /** What follows the IP header and its options or extension headers. Link padding behind the packet is not part of it. */
  payloadOffset: number;
  payloadLength: number;
  /** Byte offset of this piece in the whole payload; 0 and no `moreFragments` for a packet that is not a fragment. */
  fragmentOffset: number;
  moreFragments: boolean;
  /** 16 bits (IPv4) or 32 bits (IPv6); only meaningful in fragments. */
  identification: number;
}

export function ipHeader(): IpHeader {
  return {
    family: 4,
    protocol: 0,
    hopLimit: 0,
    sourceOffset: 0,
    destinationOffset: 0,
    payloadOffset: 0,
    payloadLength: 0,
    fragmentOffset: 0,
    moreFragments: false,
    identification: 0,
  };
}
