/**
 * A VPN provider and the internet behind it as one machine: a WireGuard responder, a router with address translation, a gateway with
 * DNS and NAT-PMP, and virtual hosts. WireGuard datagrams go in by `handleBurst` and come out by `transmit`; the sockets of the
 * hosts speak through `handleCommand` and `nextEvent`. No I/O, no clock: it runs as well in virtual time as on a UDP port.
 */

import type { IpAddress } from '../core/base/address.ts';
import { Burst, TRANSPORT_HEADER_LENGTH } from '../core/base/burst.ts';
import type { Crypto, Random } from '../core/base/crypto.ts';
import { DropCounter } from '../core/base/drops.ts';
import { earliest, type Instant } from '../core/base/instant.ts';
import { Queue } from '../core/base/queue.ts';
import { randomBytes } from '../core/base/random.ts';
import { Nat } from '../core/nat/nat.ts';
import type { SocketCommand, SocketEvent } from '../core/netstack/messages.ts';
import { VirtualHost } from '../core/tunnel/virtual-host.ts';
import { IPV6_MINIMUM_MTU } from '../core/wire/ipv6.ts';
import type { PacketSink, Peer } from '../core/wireguard/device.ts';
import {
  CHECKER_ADDRESS,
  ECHO_ADDRESSES,
  EXIT_ADDRESSES,
  GATEWAY_ADDRESSES,
  IMPOSTOR_ADDRESS,
  NAME_SERVER_ADDRESSES,
} from './addressing.ts';
import { DnsServer } from './dns-server.ts';
import { DnsZone } from './dns-zone.ts';
import { ExitEcho } from './exit-echo.ts';
import { Faults, Link, type Travelling } from './faults.ts';
import { NatPmpGateway, NatPmpSwitches } from './natpmp-gateway.ts';
import { NatPmpServer } from './natpmp-server.ts';
import { type ClientNode, HostNode } from './nodes.ts';
import { PortChecker } from './port-checker.ts';
import { Router } from './router.ts';
import type { Post } from './service.ts';
import { type MachineClientOptions, WireGuardServer } from './wireguard-server.ts';

export interface SandboxMachineOptions {
  readonly crypto: Crypto;
  /** Keys, ports, sequence numbers and faults are drawn from it. */
  readonly random: Random;
  /** See `DeviceOptions.timestamp`. */
  readonly timestamp: () => Uint8Array | undefined;
  /** 32 bytes; drawn from `random` if absent. */
  readonly privateKey?: Uint8Array;
  /** One address per family at most, by which the virtual internet sees every client. */
  readonly exitAddresses?: readonly IpAddress[];
  /** Of the tunnel, in bytes; default 1420. */
  readonly mtu?: number;
  /** How the NAT-PMP gateway behaves; may be changed later. */
  readonly natpmp?: NatPmpSwitches;
}

export type SandboxDrop = 'client-queue-full';

/** Packets for clients that did not come from a virtual host: hairpinned ones and ICMP errors. */
const CLIENT_QUEUE_LIMIT = 1024;
/** Packets from host to host in one `transmit`: then the sockets get their turn. */
const LOCAL_PACKETS_PER_TURN = 1024;
const DEFAULT_MTU = 1420;
const ETHERNET_MTU = 1500;
const ECHO_NAME = 'ip.sluice.test';
const CHECKER_NAME = 'port.sluice.test';

export class SandboxMachine implements PacketSink {
  readonly faults: Faults = new Faults();
  readonly zone: DnsZone = new DnsZone();
  readonly nat: Nat;
  readonly natpmp: NatPmpGateway;
  readonly echo: ExitEcho;
  readonly checker: PortChecker;
  readonly router: Router<ClientNode | HostNode>;
  readonly drops: DropCounter<SandboxDrop> = new DropCounter();
  readonly mtu: number;
  readonly server: WireGuardServer;
  readonly #random: Random;
  readonly #arriving: Link;
  readonly #leaving: Link;
  readonly #natpmpServer: NatPmpServer;
  readonly #hosts: Set<HostNode> = new Set();
  /** Hosts that may have packets to send; each takes its turn. */
  readonly #ready: Queue<HostNode> = new Queue();
  /** Hosts that have had packets since `endBurst`. */
  #fresh: HostNode[] = [];
  readonly #toClients: Queue<Uint8Array> = new Queue(CLIENT_QUEUE_LIMIT);
  /** Datagrams that have come to the end of a bad line. */
  readonly #departures: Queue<Travelling> = new Queue();
  readonly #scratch: Burst;

  constructor(options: SandboxMachineOptions, now: Instant) {
    const { random, exitAddresses = EXIT_ADDRESSES, mtu = DEFAULT_MTU } = options;
    this.#random = random;
    this.mtu = mtu;
    this.server = new WireGuardServer(
      { ...options, privateKey: options.privateKey ?? randomBytes(random, 32), mtu },
      now,
    );
    this.nat = new Nat({ publicAddresses: exitAddresses, random }, now);
    this.router = new Router(this.nat, this.mtu);
    this.#scratch = new Burst(64, slotSize(this.mtu));
    this.#arriving = new Link(this.faults, random);
    this.#leaving = new Link(this.faults, random);
    this.natpmp = new NatPmpGateway(this.nat, random, options.natpmp ?? new NatPmpSwitches(), now);
    const gateway = this.#addNode('gateway', GATEWAY_ADDRESSES, now);
    const impostor = this.#addNode('gateway', [IMPOSTOR_ADDRESS], now);
    const nameServer = this.#addNode('host', NAME_SERVER_ADDRESSES, now);
    const echo = this.#addNode('host', ECHO_ADDRESSES, now);
    const checker = this.#addNode('host', [CHECKER_ADDRESS], now);
    this.#natpmpServer = new NatPmpServer(this.#post(gateway), this.#post(impostor), this.natpmp, now);
    this.echo = new ExitEcho(this.#post(echo), now);
    this.checker = new PortChecker(this.#post(checker), now);
    gateway.services.push(new DnsServer(this.#post(gateway), this.zone, now), this.#natpmpServer);
    nameServer.services.push(new DnsServer(this.#post(nameServer), this.zone, now));
    echo.services.push(this.echo);
    checker.services.push(this.checker);
    this.zone.set(ECHO_NAME, ECHO_ADDRESSES);
    this.zone.set(CHECKER_NAME, [CHECKER_ADDRESS]);
  }

  get publicKey(): Uint8Array {
    return this.server.device.publicKey;
  }

  get clients(): Iterable<ClientNode> {
    return this.server.clients;
  }

  /** Throws RangeError if the key or an address is somebody's already. */
  addClient(options: MachineClientOptions, now: Instant): ClientNode {
    this.#requireFree(options.addresses);
    const client = this.server.add(options, now);
    for (const address of client.addresses) this.router.addAddress(address, client);
    return client;
  }

  removeClient(client: ClientNode, now: Instant): void {
    if (!this.server.remove(client, now)) return;
    this.router.remove(client);
    for (const address of client.addresses) this.natpmp.removeClient(address);
  }

  /** A host of the virtual internet. Throws RangeError if an address is somebody's already, or for an MTU out of bounds. */
  addHost(addresses: readonly IpAddress[], now: Instant, mtu: number = this.mtu): HostNode {
    const largest = Math.max(this.mtu, ETHERNET_MTU);
    if (!(mtu >= IPV6_MINIMUM_MTU && mtu <= largest))
      throw new RangeError(`"mtu" expected ${IPV6_MINIMUM_MTU} to ${largest}, got ${mtu}`);
    this.#requireFree(addresses);
    return this.#addNode('host', addresses, now, mtu);
  }

  /** The host vanishes, without a word to those it talked to. */
  removeHost(node: HostNode): void {
    this.#hosts.delete(node);
    this.router.remove(node);
  }

  /** A command of a host's socket. */
  handleCommand(node: HostNode, command: SocketCommand, now: Instant): void {
    node.host.handleCommand(command, now);
    this.#wake(node);
  }

  /** Events of a host's sockets; drain until undefined. */
  nextEvent(node: HostNode): SocketEvent | undefined {
    return node.host.nextOutput();
  }

  /** The server process is replaced by a new one: sessions, translations and leases are lost, keys and clients stay. */
  restart(now: Instant): void {
    this.server.restart(now);
    this.nat.reset();
    this.natpmp.restart(now);
    this.#toClients.clear();
  }

  /** Datagrams from clients. `burst.slab` is decrypted and rewritten in place. */
  handleBurst(burst: Burst, now: Instant): void {
    this.#natpmpServer.obey(now);
    if (this.#arriving.active) {
      for (let i = 0; i < burst.count; i++) this.#arriving.offer(burst.datagram(i), burst.endpoints[i], now);
      this.#receiveArrived(now);
    } else {
      this.server.device.handleBurst(burst, now, this);
    }
    this.#settle(now);
  }

  /** @internal The device's sink: one packet of a client. */
  handlePacket(bytes: Uint8Array, offset: number, length: number, now: Instant, peer: Peer): void {
    const client = this.server.clientOf(peer);
    const target = client && this.router.route(bytes, offset, length, client, now);
    if (target) this.#deliver(target, bytes, offset, length, now);
    else if (client && this.router.errorLength > 0)
      this.#deliver(client, this.router.error, 0, this.router.errorLength, now);
  }

  handleTimeout(now: Instant): void {
    this.server.device.handleTimeout(now);
    this.nat.handleTimeout(now);
    this.#natpmpServer.obey(now);
    this.#receiveArrived(now);
    this.#takeDepartures(now);
    for (const node of this.#hosts) {
      const due = node.nextTimeout();
      if (due === undefined || due > now) continue;
      node.handleTimeout(now);
      this.#wake(node);
    }
    this.#settle(now);
  }

  nextTimeout(): Instant | undefined {
    let next = earliest(this.server.device.nextTimeout(), this.nat.nextTimeout());
    next = earliest(next, earliest(this.#arriving.nextTimeout(), this.#leaving.nextTimeout()));
    for (const node of this.#hosts) next = earliest(next, node.nextTimeout());
    return next;
  }

  /** Fills `out` with datagrams for clients, and carries packets between hosts. True if more remains. */
  transmit(out: Burst, now: Instant): boolean {
    if (!this.#leaving.active && this.#departures.length === 0) return this.#fill(out, now);
    const more = this.#fill(this.#scratch, now);
    for (let i = 0; i < this.#scratch.count; i++)
      this.#leaving.offer(this.#scratch.datagram(i), this.#scratch.endpoints[i], now);
    this.#scratch.clear();
    this.#takeDepartures(now);
    while (!out.full) {
      const departure = this.#departures.shift();
      if (!departure) return more;
      out.append(departure.bytes, departure.endpoint);
    }
    return true;
  }

  /** What the line did, both ways. */
  linkCounts(): { readonly toServer: Link['counts']; readonly toClients: Link['counts'] } {
    return { toServer: this.#arriving.counts, toClients: this.#leaving.counts };
  }

  /** Wipes all keys. Nothing may be called after. */
  close(): void {
    this.server.close();
  }

  #fill(out: Burst, now: Instant): boolean {
    for (let local = 0; local < LOCAL_PACKETS_PER_TURN; ) {
      if (out.full) return true;
      const message = this.server.nextDatagram();
      if (message) {
        out.append(message.bytes, message.to);
        continue;
      }
      const slot = out.nextSlot() + TRANSPORT_HEADER_LENGTH;
      const packet = this.#toClients.shift();
      if (packet) {
        out.slab.set(packet, slot);
        this.server.device.sendPacket(out, packet.length, now);
        continue;
      }
      const node = this.#ready.shift();
      if (!node) {
        if (!this.#settle(now)) return false;
        continue;
      }
      node.queued = false;
      if (this.#hosts.has(node) && this.#sendOne(node, out, slot, now)) local++;
    }
    return true;
  }

  /** One packet of a host, written straight into a free slot: there it is sealed, or read by the host that it is for. */
  #sendOne(node: HostNode, out: Burst, slot: number, now: Instant): boolean {
    const length = node.host.nextPacket(out.slab, slot, now);
    node.touch();
    if (length === 0) return false;
    this.#wake(node);
    const target = this.router.route(out.slab, slot, length, node, now);
    if (target?.kind === 'client') this.server.device.sendPacket(out, length, now);
    else if (target) this.#deliver(target, out.slab, slot, length, now);
    else if (this.router.errorLength > 0) this.#deliver(node, this.router.error, 0, this.router.errorLength, now);
    return true;
  }

  #deliver(target: ClientNode | HostNode, bytes: Uint8Array, offset: number, length: number, now: Instant): void {
    if (target.kind === 'client') {
      if (!this.#toClients.push(bytes.slice(offset, offset + length))) this.drops.count('client-queue-full');
      return;
    }
    target.host.handlePacket(bytes, offset, length, now);
    if (target.fresh) return;
    target.fresh = true;
    this.#fresh.push(target);
  }

  /** Ends the burst of every host that had packets, and lets services answer. False if there was nothing to do. */
  #settle(now: Instant): boolean {
    if (this.#fresh.length === 0) return false;
    const fresh = this.#fresh;
    this.#fresh = [];
    for (const node of fresh) {
      node.fresh = false;
      node.host.endBurst(now);
      node.runServices(now);
      this.#wake(node);
    }
    return true;
  }

  #wake(node: HostNode): void {
    node.touch();
    if (node.queued) return;
    node.queued = true;
    this.#ready.push(node);
  }

  #receiveArrived(now: Instant): void {
    for (let arrived = this.#arriving.take(now); arrived; arrived = this.#arriving.take(now))
      this.server.device.handleDatagram(arrived.bytes, arrived.endpoint, now, this);
  }

  #takeDepartures(now: Instant): void {
    for (let left = this.#leaving.take(now); left; left = this.#leaving.take(now)) this.#departures.push(left);
  }

  #post(node: HostNode): Post {
    return (command, now) => this.handleCommand(node, command, now);
  }

  #addNode(kind: 'gateway' | 'host', addresses: readonly IpAddress[], now: Instant, mtu: number = this.mtu): HostNode {
    const host = new VirtualHost({ addresses, mtu, random: this.#random, dnsServers: NAME_SERVER_ADDRESSES }, now);
    const node = new HostNode(kind, addresses, mtu, host);
    this.#hosts.add(node);
    for (const address of addresses) this.router.addAddress(address, node);
    return node;
  }

  #requireFree(addresses: readonly IpAddress[]): void {
    for (const address of addresses)
      if (this.router.owner(address) || this.nat.ownsAddress(address.bytes, 0, address.family))
        throw new RangeError('"addresses" expected addresses that nobody has');
  }
}

/** Room for a WireGuard message with a packet of a tunnel or of a host. */
function slotSize(mtu: number): number {
  return Math.max(2048, (mtu + 128) & ~3);
}
