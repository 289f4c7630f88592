/** Which datagrams are the gateway's at all. */

import { sameIp } from '../base/address.ts';
import { decodeNatPmpResponse, NATPMP_PORT, type NatPmpResponse } from '../wire/natpmp.ts';
import type { GatewayAddress, LeaseDrop } from './messages.ts';

/** The response in a datagram from the gateway's address and port (RFC 6886 §3.1), or why it is none. */
export function readReply(
  bytes: Uint8Array,
  from: GatewayAddress,
  gateway: GatewayAddress['address'],
): NatPmpResponse | LeaseDrop {
  if (from.port !== NATPMP_PORT || !sameIp(from.address, gateway)) return 'natpmp-source';
  return decodeNatPmpResponse(bytes);
}
