/** What a stack gives its TCP. */

import type { IpAddress } from '../../base/address.ts';
import type { Random } from '../../base/crypto.ts';
import type { TcpDrop } from '../drops.ts';
import type { SocketEvent } from '../messages.ts';
import type { PortAllocator } from '../ports.ts';

export interface TcpHost {
  readonly random: Random;
  /** Of the tunnel, in bytes of IP packet. */
  readonly mtu: number;
  readonly ports: PortAllocator;
  emit(event: SocketEvent): void;
  count(reason: TcpDrop): void;
  /** The address to speak to `remote` from; `undefined` if the stack has none of its family. */
  localAddressFor(remote: IpAddress): IpAddress | undefined;
  /** MTU of the path to `remote`: that of the tunnel, or less after a packet-too-big that proved genuine. */
  mtuFor(remote: IpAddress): number;
  /** A packet-too-big about a segment in flight told of a narrower path (RFC 5927 §7.2): `mtuFor` is lower from now on. */
  lowerMtu(remote: IpAddress, mtu: number): void;
  /** Large segments of a connection get no answer (RFC 4821 §7.7): it tries smaller ones. */
  suspectBlackHole(): void;
}
