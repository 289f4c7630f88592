/**
 * A whole host inside the tunnel: a TCP/IP stack and the DNS stub that speaks through it. The tunnel has one, and so has every
 * host of the sandbox's virtual internet.
 *
 * The resolver's own sockets are ordinary ones with ids from the top of the safe integers downwards, which no embedder reaches
 * counting up; their events stay in here.
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import type { DropCounter } from '../base/drops.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { ExchangeId, ResolverOutput } from '../dns/messages.ts';
import { Resolver } from '../dns/resolver.ts';
import type { NetstackDrop } from '../netstack/drops.ts';
import type { EchoRequest } from '../netstack/icmp.ts';
import type { SocketCommand, SocketErrorCode, SocketEvent, SocketId } from '../netstack/messages.ts';
import {
  type EchoHandler,
  Netstack,
  type NetstackCommand,
  type NetstackLimits,
  type SocketCounts,
} from '../netstack/netstack.ts';
import { DNS_PORT } from '../wire/dns.ts';

export interface HostAddresses {
  /** This host's addresses, of either family or both. */
  readonly addresses: readonly IpAddress[];
  /** Those of a family that the host has no address in are not asked. With none left, names are answered with ENODNS. */
  readonly dnsServers: readonly IpAddress[];
}

export interface VirtualHostOptions extends HostAddresses {
  /** The largest IP packet, in bytes. */
  readonly mtu: number;
  readonly random: Random;
  readonly limits?: Partial<NetstackLimits>;
}

type Open = Extract<ResolverOutput, { readonly kind: 'open' }>;

/** Ids from here up never leave this class: 2^40 of them. */
const RESERVED_FROM = Number.MAX_SAFE_INTEGER - 2 ** 40;
/** The lowest of them are for `claim`: no count of exchanges comes down to them. */
export const CLAIMABLE_FROM: SocketId = RESERVED_FROM + 1;

export type ClaimHandler = (event: SocketEvent, now: Instant) => void;

export class VirtualHost {
  /** Of the stack and of the resolver. */
  readonly drops: DropCounter<NetstackDrop>;
  readonly #netstack: Netstack;
  readonly #resolver: Resolver;
  /** Exchanges whose sockets are open. */
  readonly #exchanges: Map<ExchangeId, Open> = new Map();
  /** Events already taken from the stack while the resolver's were sorted out. */
  readonly #events: Queue<SocketEvent> = new Queue();
  readonly #claims: Map<SocketId, ClaimHandler> = new Map();
  #largestReceived = 0;

  constructor(options: VirtualHostOptions, now: Instant) {
    const { addresses, mtu, random, dnsServers, limits = {} } = options;
    const families = familiesOf(addresses);
    const servers = serversFor(dnsServers, families);
    this.#netstack = new Netstack({ addresses, mtu, random, limits }, now);
    this.drops = this.#netstack.drops;
    this.#resolver = new Resolver({ servers, random, families, count: (reason) => this.drops.count(reason) });
  }

  handleCommand(command: SocketCommand, now: Instant): void {
    // It follows every burst, and nothing follows from it for the resolver.
    if (command.kind === 'tcp-credit') {
      this.#netstack.handleCommand(command, now);
      return;
    }
    if (command.kind === 'resolve') this.#resolver.handleQuery(command, now);
    else if (command.kind === 'resolve-cancel') this.#resolver.handleCancel(command.query);
    else this.#netstack.handleCommand(command, now);
    this.#settle(now);
  }

  /** One packet from the tunnel, `length` bytes at `offset`, which may be overwritten after the call. See `endBurst`. */
  handlePacket(bytes: Uint8Array, offset: number, length: number, now: Instant): void {
    if (length > this.#largestReceived) this.#largestReceived = length;
    this.#netstack.handlePacket(bytes, offset, length, now);
  }

  /** See `PacketSink.expectPacket`. */
  expectPacket(bytes: Uint8Array, offset: number): void {
    this.#netstack.expectPacket(bytes, offset);
  }

  /** Behind the last packet of each burst. */
  endBurst(now: Instant): void {
    this.#netstack.endBurst(now);
    this.#settle(now);
  }

  /** Writes the next packet at `offset`, where the caller has room for the MTU, and returns its length; 0 if there is none now. */
  nextPacket(buffer: Uint8Array, offset: number, now: Instant): number {
    return this.#netstack.nextPacket(buffer, offset, now);
  }

  /**
   * The events of this socket, an id from `CLAIMABLE_FROM` on, go to `handler` within the call that causes them, instead of to
   * `nextOutput`. The handler gives no commands itself.
   */
  claim(socket: SocketId, handler: ClaimHandler): void {
    this.#claims.set(socket, handler);
  }

  /** Its events are of no interest any more. */
  release(socket: SocketId): void {
    this.#claims.delete(socket);
  }

  handleTimeout(now: Instant): void {
    this.#netstack.handleTimeout(now);
    this.#resolver.handleTimeout(now);
    this.#settle(now);
  }

  nextTimeout(): Instant | undefined {
    return earliest(this.#netstack.nextTimeout(), this.#resolver.nextTimeout());
  }

  /** See `Netstack.reclaim`. */
  reclaim(bytes: Uint8Array): void {
    this.#netstack.reclaim(bytes);
  }

  nextOutput(): SocketEvent | undefined {
    if (this.#events.length > 0) return this.#events.shift();
    let event = this.#netstack.nextOutput();
    while (event !== undefined && isReserved(event)) event = this.#netstack.nextOutput();
    return event;
  }

  /** Every connection ends with `error` at once, and all answers of the DNS are forgotten. Listeners and UDP sockets stay. */
  reset(error: SocketErrorCode, now: Instant): void {
    this.#resolver.clearCache();
    this.#netstack.reset(error, now);
    this.#settle(now);
  }

  /** Other addresses and other DNS servers, as `reset`: it is another host to everyone outside. */
  readdress({ addresses, dnsServers }: HostAddresses, error: SocketErrorCode, now: Instant): void {
    const families = familiesOf(addresses);
    this.#resolver.setServers(serversFor(dnsServers, families), families);
    this.#netstack.readdress(addresses, error, now);
    this.#settle(now);
  }

  counts(): SocketCounts {
    return this.#netstack.counts();
  }

  /** Answers to `ping` go to `handler`, within the call that brings them. */
  claimEchoReplies(handler: EchoHandler): void {
    this.#netstack.onEchoReply = handler;
  }

  /** Sends an echo request, unless the host has no address to send it from. */
  ping(request: EchoRequest, now: Instant): void {
    this.#netstack.ping(request, now);
  }

  /** The largest packet that arrived since the last call, in bytes; 0 if none did. */
  takeLargestReceived(): number {
    const largest = this.#largestReceived;
    this.#largestReceived = 0;
    return largest;
  }

  /** Whether a connection's large segments got no answer since the last call. */
  takeSuspicion(): boolean {
    return this.#netstack.takeSuspicion();
  }

  /** The tunnel's MTU changed, in bytes. */
  setMtu(mtu: number): void {
    this.#netstack.setMtu(mtu);
  }

  /** Carries between resolver and stack until neither has anything for the other. */
  #settle(now: Instant): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (let output = this.#resolver.nextOutput(); output !== undefined; output = this.#resolver.nextOutput()) {
        busy = true;
        this.#act(output, now);
      }
      if (this.#exchanges.size === 0 && this.#claims.size === 0) continue;
      for (let event = this.#netstack.nextOutput(); event; event = this.#netstack.nextOutput()) {
        if (!isReserved(event)) this.#events.push(event);
        else busy = this.#inform(event, now) || busy;
      }
    }
  }

  #act(output: ResolverOutput, now: Instant): void {
    if (output.kind === 'resolved') this.#events.push(output);
    else if (output.kind === 'open') this.#open(output, now);
    else this.#close(output.exchange, now);
  }

  #open(open: Open, now: Instant): void {
    const { exchange, transport, server, bytes } = open;
    const socket = socketOf(exchange);
    const to = { address: server, port: DNS_PORT };
    this.#exchanges.set(exchange, open);
    if (transport === 'tcp') {
      this.#command({ kind: 'tcp-connect', socket, to }, now);
    } else {
      this.#command({ kind: 'udp-bind', socket, family: server.family, port: 0 }, now);
      this.#command({ kind: 'udp-send', socket, to, bytes }, now);
    }
  }

  #close(exchange: ExchangeId, now: Instant): void {
    const open = this.#exchanges.get(exchange);
    this.#exchanges.delete(exchange);
    if (open)
      this.#command({ kind: open.transport === 'tcp' ? 'tcp-abort' : 'close', socket: socketOf(exchange) }, now);
  }

  #command(command: NetstackCommand, now: Instant): void {
    this.#netstack.handleCommand(command, now);
  }

  /** An event of a claimed socket or of one of the resolver's. True if the resolver may have something to say to it. */
  #inform(event: SocketEvent & { readonly socket: SocketId }, now: Instant): boolean {
    this.#claims.get(event.socket)?.(event, now);
    const exchange = socketOf(event.socket);
    const open = this.#exchanges.get(exchange);
    if (!open) return false;
    switch (event.kind) {
      case 'udp-datagram':
        this.#resolver.handleReply(exchange, event.bytes, event.from, now);
        return true;
      case 'tcp-connected':
        this.#command({ kind: 'tcp-write', socket: event.socket, bytes: open.bytes }, now);
        return false;
      case 'tcp-data':
        this.#command({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now);
        this.#resolver.handleStream(exchange, event.bytes, now);
        return true;
      case 'tcp-end':
      case 'closed':
        this.#close(exchange, now);
        this.#resolver.handleClosed(exchange, now);
        return true;
      default:
        return false;
    }
  }
}

function familiesOf(addresses: readonly IpAddress[]): readonly (4 | 6)[] {
  return ([4, 6] as const).filter((family) => addresses.some((address) => address.family === family));
}

function serversFor(dnsServers: readonly IpAddress[], families: readonly (4 | 6)[]): readonly IpAddress[] {
  return dnsServers.filter((server) => families.includes(server.family));
}

/** Its own inverse. */
function socketOf(exchange: ExchangeId): SocketId {
  return Number.MAX_SAFE_INTEGER - exchange;
}

function isReserved(event: SocketEvent): event is SocketEvent & { readonly socket: SocketId } {
  return event.kind !== 'resolved' && event.socket > RESERVED_FROM;
}
