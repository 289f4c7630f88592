/**
 * The address plan of the sandbox. Everything outside the tunnel is from ranges set aside for documentation and benchmarks (RFC 5737,
 * RFC 3849, RFC 2544), so that an address of the virtual internet dialled by mistake on the real one leads nowhere.
 */

import { type IpAddress, ip, type Prefix, prefix } from '../core/base/address.ts';
import { setU16be } from '../core/base/bytes.ts';

/** The network inside the tunnel: gateway and clients. */
export const INSIDE_NETWORKS: readonly Prefix[] = [prefix(ip('10.2.0.0'), 16), prefix(ip('fd53:6c75:6963::'), 64)];
/** DNS and NAT-PMP, inside. */
export const GATEWAY_ADDRESSES: readonly IpAddress[] = [ip('10.2.0.1'), ip('fd53:6c75:6963::1')];
/** Where the answers of a lying NAT-PMP gateway come from. */
export const IMPOSTOR_ADDRESS: IpAddress = ip('10.2.255.254');

/** What the virtual internet sees of every client, unless told otherwise. */
export const EXIT_ADDRESSES: readonly IpAddress[] = [ip('203.0.113.10'), ip('2001:db8:203::10')];
/** Resolves names for the hosts of the virtual internet. */
export const NAME_SERVER_ADDRESSES: readonly IpAddress[] = [ip('203.0.113.53'), ip('2001:db8:203::53')];
/** The exit echo, `ip.sluice.test`. */
export const ECHO_ADDRESSES: readonly IpAddress[] = [ip('203.0.113.80'), ip('2001:db8:203::80')];
/** The port checker, `port.sluice.test`: IPv4 only, as the forwarded ports are. */
export const CHECKER_ADDRESS: IpAddress = ip('203.0.113.81');

/** Clients at once: 10.2.0.2 to 10.2.255.253. */
const FIRST_CLIENT = 2;
const LAST_CLIENT = 0xfffd;
/** Hosts with addresses from the plan: first TEST-NET-2, then the benchmark network. */
const TEST_NET_HOSTS = 254;
const LAST_HOST = 0xffff;

/** The two addresses of client `number`, counted from 0. Throws RangeError beyond the plan. */
export function clientAddresses(number: number): readonly IpAddress[] {
  const host = FIRST_CLIENT + number;
  if (host > LAST_CLIENT)
    throw new RangeError(`"number" expected at most ${LAST_CLIENT - FIRST_CLIENT}, got ${number}`);
  return [withTail(ip('10.2.0.0'), host), withTail(ip('fd53:6c75:6963::'), host)];
}

/** The two addresses of virtual host `number`, counted from 0. Throws RangeError beyond the plan. */
export function hostAddresses(number: number): readonly IpAddress[] {
  const host = 1 + number;
  if (host > LAST_HOST) throw new RangeError(`"number" expected at most ${LAST_HOST - 1}, got ${number}`);
  const v4 = host <= TEST_NET_HOSTS ? ip(`198.51.100.${host}`) : withTail(ip('198.18.0.0'), host);
  return [v4, withTail(ip('2001:db8:198::'), host)];
}

/** The exit addresses after `count` rotations: the tenth of the plan follows the ninth, round and round within TEST-NET-3. */
export function exitAddresses(count: number): readonly IpAddress[] {
  const last = 10 + (count % 60);
  return [ip(`203.0.113.${last}`), withTail(ip('2001:db8:203::'), Number.parseInt(String(last), 16))];
}

function withTail(address: IpAddress, tail: number): IpAddress {
  const bytes = Uint8Array.from(address.bytes);
  setU16be(bytes, bytes.length - 2, tail);
  return { family: address.family, bytes };
}
