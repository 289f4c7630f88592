/**
 * Lets the search for the outer path's MTU (`outer-mtu.ts`) ask its questions through the host's stack, while traffic may flow, and the
 * host follow what was found.
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import type { Instant } from '../base/instant.ts';
import type { Flow } from '../guard/policy.ts';
import { TRANSPORT_MIN_LENGTH } from '../wire/wireguard.ts';
import { PADDING_MULTIPLE } from '../wireguard/constants.ts';
import type { TunnelConfiguration } from './messages.ts';
import { OuterMtu } from './outer-mtu.ts';
import type { VirtualHost } from './virtual-host.ts';

/** Around a padded packet: IP and UDP headers, and those of a transport message (whitepaper §5.4.6). */
const OVERHEAD = { 4: 20 + 8 + TRANSPORT_MIN_LENGTH, 6: 40 + 8 + TRANSPORT_MIN_LENGTH } as const;

export class OuterPath {
  readonly #host: VirtualHost;
  readonly #outer: OuterMtu;
  #open = false;
  /** The next handshake is on a path of which nothing is known. */
  #renewed = false;

  constructor(host: VirtualHost, configuration: TunnelConfiguration, random: Random, now: Instant) {
    this.#host = host;
    this.#outer = new OuterMtu({ ...settingsOf(configuration), random }, now);
    host.claimEchoReplies((reply, at) => this.#outer.handleReply(reply, at));
  }

  /** The largest packet that the tunnel carries, as far as is known, in bytes. */
  get mtu(): number {
    return this.#outer.mtu;
  }

  configure(configuration: TunnelConfiguration): void {
    this.#outer.configure(settingsOf(configuration));
  }

  /** The server is at another address, or this host is. */
  handleMove(): void {
    this.#renewed = true;
  }

  /** A handshake with the exit. */
  handleHandshake(now: Instant): void {
    if (!this.#renewed) return;
    this.#renewed = false;
    if (this.#open) this.#outer.handlePath(now);
  }

  /** The guard's word about traffic, whenever it may have changed. */
  handleFlow(flow: Flow, now: Instant): void {
    const open = flow === 'open';
    if (open === this.#open) return;
    this.#open = open;
    this.#renewed = false;
    if (open) this.#outer.handlePath(now);
    else this.#outer.stop();
  }

  /** Behind every burst. */
  handleBurst(now: Instant): void {
    this.#outer.handleReceived(this.#host.takeLargestReceived(), now);
  }

  /** The system refused a datagram as too long for the outer path (EMSGSIZE), over IPv4 or IPv6; `pathMtu` is what it knows. */
  handleTooLong(pathMtu: number | undefined, family: 4 | 6, now: Instant): void {
    if (!this.#open) return;
    const limit = pathMtu === undefined ? undefined : (pathMtu - OVERHEAD[family]) & -PADDING_MULTIPLE;
    this.#outer.handleTooLong(limit, now);
  }

  handleTimeout(now: Instant): void {
    if (this.#host.takeSuspicion() && this.#open) this.#outer.handleSuspicion(now);
    this.#outer.handleTimeout(now);
  }

  nextTimeout(): Instant | undefined {
    return this.#outer.nextTimeout();
  }

  /** Carries out what the search has to say. Returns the new MTU if it is another one. */
  settle(now: Instant): number | undefined {
    let mtu: number | undefined;
    for (let output = this.#outer.nextOutput(); output; output = this.#outer.nextOutput()) {
      if (output.kind === 'ask') this.#host.ping(output.question, now);
      else mtu = output.mtu;
    }
    if (mtu !== undefined) this.#host.setMtu(mtu);
    return mtu;
  }
}

function settingsOf({ mtu, dnsServers, addresses }: TunnelConfiguration): {
  readonly ceiling: number;
  readonly targets: readonly IpAddress[];
} {
  const reachable = dnsServers.filter(({ family }) => addresses.some((address) => address.family === family));
  return { ceiling: mtu, targets: reachable };
}
