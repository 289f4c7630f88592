/** What the sandbox's router connects: clients, whose packets go through WireGuard, and virtual hosts, whose packets stay here. */

import type { IpAddress } from '../core/base/address.ts';
import { earliest, type Instant } from '../core/base/instant.ts';
import type { VirtualHost } from '../core/tunnel/virtual-host.ts';
import type { Peer } from '../core/wireguard/device.ts';
import type { RouterNode } from './router.ts';
import type { Service } from './service.ts';

export interface ClientNode extends RouterNode {
  readonly kind: 'client';
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array | undefined;
  readonly addresses: readonly IpAddress[];
  /** Another one after each restart of the server. */
  peer: Peer;
  handshakes: number;
  /** Bytes that former peers of this client counted. */
  rxBytesBefore: number;
  txBytesBefore: number;
}

export class HostNode implements RouterNode {
  readonly kind: 'gateway' | 'host';
  readonly mtu: number;
  readonly addresses: readonly IpAddress[];
  readonly host: VirtualHost;
  /** The servers that the machine itself runs on this host; empty if the embedder has its sockets. */
  readonly services: Service[] = [];
  /** Whether it is in the machine's queue of hosts that may have packets to send. */
  queued = false;
  /** Whether packets were delivered since its last `endBurst`. */
  fresh = false;
  #timeoutAt: Instant | undefined;
  #timeoutKnown = false;

  constructor(kind: 'gateway' | 'host', addresses: readonly IpAddress[], mtu: number, host: VirtualHost) {
    this.kind = kind;
    this.addresses = addresses;
    this.mtu = mtu;
    this.host = host;
  }

  /** Its state changed, so its deadline may have. */
  touch(): void {
    this.#timeoutKnown = false;
  }

  /** Cached, since most hosts sleep while one is busy. */
  nextTimeout(): Instant | undefined {
    if (this.#timeoutKnown) return this.#timeoutAt;
    this.#timeoutAt = this.host.nextTimeout();
    for (const service of this.services) this.#timeoutAt = earliest(this.#timeoutAt, service.nextTimeout());
    this.#timeoutKnown = true;
    return this.#timeoutAt;
  }

  handleTimeout(now: Instant): void {
    this.host.handleTimeout(now);
    for (const service of this.services) service.handleTimeout(now);
    this.runServices(now);
    this.touch();
  }

  /** Hands the events of the sockets to the services. Not for a host whose sockets the embedder has. */
  runServices(now: Instant): void {
    if (this.services.length === 0) return;
    for (let event = this.host.nextOutput(); event; event = this.host.nextOutput())
      for (const service of this.services) service.handleEvent(event, now);
  }
}
