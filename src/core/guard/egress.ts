/**
 * Which exit addresses are the VPN's. Configured ones count; where none is configured for a family, those that were learnt for this
 * server's key do, as networks: a provider's exits change within them without being a leak. What a person accepted counts always.
 *
 * The endpoint's own address is no guide: with most providers the exit is another (gluetun#2051).
 */

import {
  formatPrefix,
  type IpAddress,
  type Prefix,
  parsePrefix,
  prefix,
  prefixContains,
  sameIp,
} from '../base/address.ts';
import { isRecord, parsed } from './memory.ts';
import { isPublic } from './public-address.ts';

/** `ok`: expected. `mismatch`: not, which a second answer has to confirm. `unknown`: there is nothing yet to compare with. */
export type EgressJudgement = 'ok' | 'mismatch' | 'unknown';

export interface EgressOptions {
  /** `probe.expected` of the configuration. */
  readonly configured?: readonly Prefix[];
  /** What `serialise` returned before the restart; text that is not is taken for nothing. */
  readonly learnt?: string;
}

/** By the server's key as hexadecimal text, the one added to last at the end. */
type Networks = Map<string, readonly Prefix[]>;

/** A learnt network has this many bits. */
const LEARNT_BITS = { 4: 24, 6: 48 } as const;
/** Networks for one key and family; the oldest gives way. */
const MAX_NETWORKS = 16;
/** Keys that are remembered; the one longest unused gives way. */
const MAX_KEYS = 64;

export class Egress {
  readonly #configured: readonly Prefix[];
  readonly #learnt: Networks;
  readonly #accepted: Networks;
  #hostAddresses: readonly IpAddress[] = [];

  constructor({ configured = [], learnt }: EgressOptions) {
    this.#configured = configured;
    const value = learnt === undefined ? undefined : parsed(learnt);
    const kept = isRecord(value) && value['version'] === 1 ? value : {};
    this.#learnt = restore(kept['learnt']);
    this.#accepted = restore(kept['accepted']);
  }

  /** The host's own addresses, as far as they are known: one of them as exit means that traffic went past the tunnel. */
  setHostAddresses(addresses: readonly IpAddress[]): void {
    this.#hostAddresses = addresses;
  }

  /** The networks that an exit of this family must be in; none if nothing is known. */
  expected(serverKey: Uint8Array, family: 4 | 6): readonly Prefix[] {
    const ofFamily = (network: Prefix): boolean => network.address.family === family;
    const key = keyText(serverKey);
    const configured = this.#configured.filter(ofFamily);
    const own = configured.length > 0 ? configured : (this.#learnt.get(key) ?? []).filter(ofFamily);
    return [...own, ...(this.#accepted.get(key) ?? []).filter(ofFamily)];
  }

  judge(serverKey: Uint8Array, observed: IpAddress): EgressJudgement {
    const expected = this.expected(serverKey, observed.family);
    const inside = expected.some((network) => prefixContains(network, observed));
    if (this.#configured.some((network) => prefixContains(network, observed))) return 'ok';
    if (this.#isHost(observed)) return 'mismatch';
    if (expected.length === 0) return 'unknown';
    return inside ? 'ok' : 'mismatch';
  }

  /**
   * Learns the network of an address: what clean probes agree on, or the gateway's own word (NAT-PMP operation 0). Call it only while
   * the guard is not engaged. False if it is nothing to learn: known, not public, the host's own.
   */
  learn(serverKey: Uint8Array, address: IpAddress): boolean {
    return this.#add(this.#learnt, serverKey, address);
  }

  /** A person's word that the network of this address is the VPN's, whatever is configured. False as `learn` is. */
  accept(serverKey: Uint8Array, address: IpAddress): boolean {
    return this.#add(this.#accepted, serverKey, address);
  }

  /** What was learnt and accepted, for a file of the state folder. It has no secret: keys are public ones. */
  serialise(): string {
    return JSON.stringify({ version: 1, learnt: plain(this.#learnt), accepted: plain(this.#accepted) });
  }

  #add(to: Networks, serverKey: Uint8Array, address: IpAddress): boolean {
    if (!isPublic(address) || this.#isHost(address) || this.judge(serverKey, address) === 'ok') return false;
    const key = keyText(serverKey);
    const networks = [...(to.get(key) ?? []), prefix(address, LEARNT_BITS[address.family])];
    const sameFamily = networks.filter((network) => network.address.family === address.family);
    const kept = sameFamily.length > MAX_NETWORKS ? networks.filter((network) => network !== sameFamily[0]) : networks;
    to.delete(key);
    to.set(key, kept);
    if (to.size > MAX_KEYS) to.delete(to.keys().next().value!);
    return true;
  }

  #isHost(address: IpAddress): boolean {
    return this.#hostAddresses.some((own) => sameIp(own, address));
  }
}

/** Whether two exit addresses belong together, as one provider's network does. */
export function sameExitNetwork(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && prefixContains(prefix(a, LEARNT_BITS[a.family]), b);
}

function plain(networks: Networks): Record<string, string[]> {
  return Object.fromEntries([...networks].map(([key, ofKey]) => [key, ofKey.map(formatPrefix)]));
}

function restore(value: unknown): Networks {
  const networks: Networks = new Map();
  if (!isRecord(value)) return networks;
  for (const [key, ofKey] of Object.entries(value).slice(-MAX_KEYS)) {
    if (!/^[0-9a-f]{64}$/.test(key) || !Array.isArray(ofKey)) continue;
    networks.set(key, ofKey.slice(0, 2 * MAX_NETWORKS).flatMap(learntPrefix));
  }
  return networks;
}

/** Only networks as they are learnt: a wider one from a damaged file would let everything pass. */
function learntPrefix(text: unknown): Prefix[] {
  const network = typeof text === 'string' ? parsePrefix(text) : undefined;
  return network && network.bits === LEARNT_BITS[network.address.family] && isPublic(network.address) ? [network] : [];
}

function keyText(key: Uint8Array): string {
  return Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
