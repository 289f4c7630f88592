/** Real stacks in memory: virtual hosts on one wire, on the real clock, each behind an `EnginePort`. */

import { type IpAddress, ip, sameIp } from '../../src/core/base/address.ts';
import type { Instant } from '../../src/core/base/instant.ts';
import type { SocketCommand, SocketEvent } from '../../src/core/netstack/messages.ts';
import { VirtualHost } from '../../src/core/tunnel/virtual-host.ts';
import { systemClock } from '../../src/node/clock.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import { systemRandom } from '../../src/node/random.ts';

const MTU = 1420;

export class VirtualWire {
  readonly #engines: VirtualEngine[] = [];

  host(addresses: readonly string[], dnsServers: readonly string[] = []): VirtualEngine {
    const engine = new VirtualEngine(this, addresses.map(ip), dnsServers.map(ip));
    this.#engines.push(engine);
    return engine;
  }

  /** By destination address; a packet for nobody is lost. */
  carry(packet: Uint8Array): void {
    const [from, length] = packet[0]! >>> 4 === 4 ? [16, 4] : [24, 16];
    const to: IpAddress = { family: length === 4 ? 4 : 6, bytes: packet.subarray(from, from + length) };
    this.#engines.find((engine) => engine.addresses.some((own) => sameIp(own, to)))?.receive(packet);
  }

  /** Stops every host: no timer is left. */
  stop(): void {
    for (const engine of this.#engines) engine.stop();
  }
}

export class VirtualEngine implements EnginePort {
  onEvent: (event: SocketEvent) => void = () => {};
  readonly addresses: readonly IpAddress[];
  readonly host: VirtualHost;
  readonly #wire: VirtualWire;
  readonly #buffer = new Uint8Array(MTU);
  #arrived: Uint8Array[] = [];
  #turnScheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(wire: VirtualWire, addresses: readonly IpAddress[], dnsServers: readonly IpAddress[]) {
    this.#wire = wire;
    this.addresses = addresses;
    this.host = new VirtualHost({ addresses, mtu: MTU, random: systemRandom, dnsServers }, systemClock.now());
  }

  post(command: SocketCommand): void {
    if (this.#stopped) return;
    this.host.handleCommand(command, systemClock.now());
    this.#schedule();
  }

  receive(packet: Uint8Array): void {
    this.#arrived.push(packet);
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#turnScheduled = false;
    if (this.#stopped) return;
    const now = systemClock.now();
    const packets = this.#arrived;
    this.#arrived = [];
    for (const packet of packets) this.host.handlePacket(packet, 0, packet.length, now);
    if (packets.length > 0) this.host.endBurst(now);
    const due = this.host.nextTimeout();
    if (due !== undefined && due <= now) this.host.handleTimeout(now);
    for (let event = this.host.nextOutput(); event; event = this.host.nextOutput()) this.onEvent(event);
    this.#transmit(now);
    this.#arm(now);
  }

  #transmit(now: Instant): void {
    for (let length = this.host.nextPacket(this.#buffer, 0, now); length > 0; ) {
      this.#wire.carry(this.#buffer.slice(0, length));
      length = this.host.nextPacket(this.#buffer, 0, now);
    }
  }

  #arm(now: Instant): void {
    clearTimeout(this.#timer);
    const due = this.host.nextTimeout();
    if (due !== undefined) this.#timer = setTimeout(() => this.#turn(), Math.max(0, Math.ceil(due - now)));
  }
}
