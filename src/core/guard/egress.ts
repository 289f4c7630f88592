/**
 * Which exit addresses are the VPN's. Configured ones count alone; where none is configured for a family, those that were learnt for
 * this server's key do, as networks: a provider's exits change within them without being a leak.
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

/** A learnt network has this many bits. */
const LEARNT_BITS = { 4: 24, 6: 48 } as const;
/** Networks for one key and family; the oldest gives way. */
const MAX_NETWORKS = 16;
/** Keys that are remembered; the one longest unused gives way. */
const MAX_KEYS = 64;

export class Egress {
  readonly #configured: readonly Prefix[];
  /** By the server's key as hexadecimal text, the one used last at the end. */
  readonly #learnt: Map<string, readonly Prefix[]>;
  #hostAddresses: readonly IpAddress[] = [];

  constructor({ configured = [], learnt }: EgressOptions) {
    this.#configured = configured;
    this.#learnt = restore(learnt);
  }

  /** The host's own addresses, as far as they are known: one of them as exit means that traffic went past the tunnel. */
  setHostAddresses(addresses: readonly IpAddress[]): void {
    this.#hostAddresses = addresses;
  }

  /** The networks that an exit of this family must be in; none if nothing is known. */
  expected(serverKey: Uint8Array, family: 4 | 6): readonly Prefix[] {
    const ofFamily = (network: Prefix): boolean => network.address.family === family;
    const configured = this.#configured.filter(ofFamily);
    return configured.length > 0 ? configured : (this.#learnt.get(keyText(serverKey)) ?? []).filter(ofFamily);
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
   * the guard is not engaged, or with an address that a person accepted. False if it is nothing to learn: known, not
   * public, the host's own.
   */
  learn(serverKey: Uint8Array, address: IpAddress): boolean {
    if (!isPublic(address) || this.#isHost(address) || this.judge(serverKey, address) === 'ok') return false;
    const key = keyText(serverKey);
    const learnt = [...(this.#learnt.get(key) ?? []), prefix(address, LEARNT_BITS[address.family])];
    const sameFamily = learnt.filter((network) => network.address.family === address.family);
    const kept = sameFamily.length > MAX_NETWORKS ? learnt.filter((network) => network !== sameFamily[0]) : learnt;
    this.#learnt.delete(key);
    this.#learnt.set(key, kept);
    for (const oldest of this.#learnt.keys()) {
      if (this.#learnt.size <= MAX_KEYS) break;
      this.#learnt.delete(oldest);
    }
    return true;
  }

  /** What was learnt, for a file of the state folder. It has no secret: keys are public ones. */
  serialise(): string {
    const keys = [...this.#learnt].map(([key, networks]) => [key, networks.map(formatPrefix)]);
    return JSON.stringify({ version: 1, learnt: Object.fromEntries(keys) });
  }

  #isHost(address: IpAddress): boolean {
    return this.#hostAddresses.some((own) => sameIp(own, address));
  }
}

/** Whether two exit addresses belong together, as one provider's network does. */
export function sameExitNetwork(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && prefixContains(prefix(a, LEARNT_BITS[a.family]), b);
}

function restore(text: string | undefined): Map<string, readonly Prefix[]> {
  const learnt = new Map<string, readonly Prefix[]>();
  const value = text === undefined ? undefined : parsed(text);
  if (!isRecord(value) || value['version'] !== 1 || !isRecord(value['learnt'])) return learnt;
  for (const [key, networks] of Object.entries(value['learnt']).slice(-MAX_KEYS)) {
    if (!/^[0-9a-f]{64}$/.test(key) || !Array.isArray(networks)) continue;
    learnt.set(key, networks.slice(0, 2 * MAX_NETWORKS).flatMap(learntPrefix));
  }
  return learnt;
}

/** Only networks as they are learnt: a wider one from a damaged file would let everything pass. */
function learntPrefix(text: unknown): Prefix[] {
  const network = typeof text === 'string' ? parsePrefix(text) : undefined;
  return network && network.bits === LEARNT_BITS[network.address.family] && isPublic(network.address) ? [network] : [];
}

function keyText(key: Uint8Array): string {
  return Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
