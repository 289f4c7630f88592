/**
 * The provider's router: between clients inside, the gateway beside them and the hosts of the virtual internet outside. The longest
 * prefix decides; what crosses between inside and outside is translated. Packets are changed where they stand: hop limit and ends.
 *
 * Clients cannot reach each other by their inside addresses, and nobody outside can reach any, except through the translator.
 */

import { type IpAddress, type Prefix, prefix } from '../core/base/address.ts';
import { setU16be, u16be } from '../core/base/bytes.ts';
import { DropCounter } from '../core/base/drops.ts';
import type { Instant } from '../core/base/instant.ts';
import type { Nat } from '../core/nat/nat.ts';
import { updateChecksum } from '../core/wire/checksum.ts';
import { type IpFault, type IpHeader, ipHeader } from '../core/wire/ip.ts';
import { parseIpPacket } from '../core/wire/ip-packet.ts';
import { AllowedIps } from '../core/wireguard/allowed-ips.ts';
import { GATEWAY_ADDRESSES } from './addressing.ts';
import { MAX_ERROR_LENGTH, type RouterError, writeRouterError } from './icmp-error.ts';

/** Whatever packets come from and go to. */
export interface RouterNode {
  readonly kind: 'client' | 'gateway' | 'host';
  /** The largest packet it takes. */
  readonly mtu: number;
}

export type RouterDrop =
  | IpFault
  /** Nobody has the destination's address. */
  | 'no-route'
  | 'hop-limit'
  /** Larger than the next hop takes. Nothing is fragmented on the way, whether it says "don't" or not. */
  | 'too-big'
  /** From one client to another's inside address. */
  | 'client-isolation'
  /** From outside to an address inside. */
  | 'inside-address'
  /** See the translator's own counts. */
  | 'not-translated';

export class Router<Node extends RouterNode> {
  readonly drops: DropCounter<RouterDrop> = new DropCounter();
  /** After `route` dropped a packet: an ICMP error for its sender, of `errorLength` bytes; 0 if there is none. */
  readonly error: Uint8Array = new Uint8Array(MAX_ERROR_LENGTH);
  errorLength = 0;
  readonly #nat: Nat;
  /** Of the tunnel: the way to every client. */
  readonly #insideMtu: number;
  readonly #routes: AllowedIps<Node> = new AllowedIps();
  readonly #ip: IpHeader = ipHeader();

  constructor(nat: Nat, insideMtu: number) {
    this.#nat = nat;
    this.#insideMtu = insideMtu;
  }

  add(network: Prefix, node: Node): void {
    this.#routes.insert(network, node);
  }

  addAddress(address: IpAddress, node: Node): void {
    this.add(prefix(address, address.bytes.length * 8), node);
  }

  /** Whose address this is, if it is exactly somebody's. */
  owner({ family, bytes }: IpAddress): Node | undefined {
    return family === 4 ? this.#routes.findV4(bytes, 0) : this.#routes.findV6(bytes, 0);
  }

  remove(node: Node): void {
    this.#routes.removeOwner(node);
  }

  /** Where one packet from `from` goes next, made ready for it in place; `undefined` if it is dropped (see `error`). */
  route(bytes: Uint8Array, offset: number, length: number, from: Node, now: Instant): Node | undefined {
    this.errorLength = 0;
    const ip = this.#ip;
    const fault = parseIpPacket(bytes, offset, length, ip);
    if (fault) return this.#drop(fault);
    // Then the translator knows who is meant, and it is somebody inside.
    const translated = this.#nat.ownsAddress(bytes, ip.destinationOffset, ip.family);
    const target = translated ? undefined : this.#lookup(bytes);
    const obstacle = this.#obstacle(target, translated, length, from);
    if (obstacle) return this.#refuse(obstacle, bytes, offset, length, from, target);
    const inside = from.kind !== 'host';
    const crosses = translated || (inside && target!.kind === 'host');
    if (crosses && (inside ? this.#nat.outbound(bytes, ip, now) : this.#nat.inbound(bytes, ip, now)))
      return this.#drop('not-translated');
    decrementHopLimit(bytes, offset, ip.family);
    return target ?? this.#lookup(bytes) ?? this.#drop('no-route');
  }

  #obstacle(target: Node | undefined, translated: boolean, length: number, from: Node): RouterDrop | undefined {
    if (!translated && !target) return 'no-route';
    if (target && target.kind !== 'host' && from.kind === 'host') return 'inside-address';
    if (target?.kind === 'client' && from.kind === 'client') return 'client-isolation';
    if (this.#ip.hopLimit <= 1) return 'hop-limit';
    return length > (target?.mtu ?? this.#insideMtu) ? 'too-big' : undefined;
  }

  #refuse(
    obstacle: RouterDrop,
    bytes: Uint8Array,
    offset: number,
    length: number,
    from: Node,
    target: Node | undefined,
  ): undefined {
    const error = ERRORS[obstacle];
    const ip = this.#ip;
    const gateway = GATEWAY_ADDRESSES[ip.family === 4 ? 0 : 1]!;
    const source = from.kind === 'host' ? this.#nat.publicAddress(ip.family) : gateway;
    const mtu = error === 'too-big' ? (target?.mtu ?? this.#insideMtu) : 0;
    if (error && source)
      this.errorLength = writeRouterError(this.error, error, source.bytes, bytes, offset, length, ip, mtu);
    return this.#drop(obstacle);
  }

  #drop(reason: RouterDrop): undefined {
    this.drops.count(reason);
  }

  #lookup(bytes: Uint8Array): Node | undefined {
    const { family, destinationOffset } = this.#ip;
    return family === 4 ? this.#routes.findV4(bytes, destinationOffset) : this.#routes.findV6(bytes, destinationOffset);
  }
}

const ERRORS: Partial<Record<RouterDrop, RouterError>> = {
  'no-route': 'no-route',
  'hop-limit': 'time-exceeded',
  'too-big': 'too-big',
};

function decrementHopLimit(bytes: Uint8Array, offset: number, family: 4 | 6): void {
  if (family === 6) {
    bytes[offset + 7]!--;
    return;
  }
  const before = u16be(bytes, offset + 8);
  bytes[offset + 8]!--;
  setU16be(bytes, offset + 10, updateChecksum(u16be(bytes, offset + 10), before, u16be(bytes, offset + 8)));
}
