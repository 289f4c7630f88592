/**
 * The IP host inside the tunnel: packets in, packets out, and the sockets of `messages.ts` on top. It sorts packets by address and
 * protocol and hands them to `tcp/`, `udp-sockets.ts` and `icmp.ts`; what it drops is counted by name.
 *
 * It is a host and no router: packets for others are dropped. What it sends always carries DF and no options.
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { DropCounter } from '../base/drops.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { ipHeader, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts';
import { parseIpPacket } from '../wire/ip-packet.ts';
import type { NetstackDrop } from './drops.ts';
import { type EchoReply, type EchoRequest, Icmp, type IcmpError, type IcmpHost } from './icmp.ts';
import { isUnicast, isUnspecified, LocalAddresses } from './local-addresses.ts';
import type {
  Resolve,
  SocketCommand,
  SocketErrorCode,
  SocketEvent,
  SocketId,
  TcpConnect,
  TcpListen,
} from './messages.ts';
import { PathMtu } from './path-mtu.ts';
import { PortAllocator } from './ports.ts';
import { Reassembly } from './reassembly.ts';
import type { TcpHost } from './tcp/host.ts';
import type { TcpSettings } from './tcp/settings.ts';
import { Tcp } from './tcp/tcp.ts';
import { type UdpHost, UdpSockets } from './udp-sockets.ts';

/** Everything a socket can ask for but names, which `VirtualHost` resolves. */
export type NetstackCommand = Exclude<SocketCommand, Resolve | { readonly kind: 'resolve-cancel' }>;

export interface NetstackLimits {
  /** UDP sockets at once. */
  readonly udpSockets: number;
  /** UDP datagrams waiting to be sent. */
  readonly udpTransmitQueue: number;
  /** Events waiting to be taken, beyond which arriving datagrams are dropped. */
  readonly eventQueue: number;
  readonly tcp: Partial<TcpSettings>;
}

export interface NetstackOptions {
  /** This host's addresses, of either family or both. */
  readonly addresses: readonly IpAddress[];
  /** The largest IP packet that the tunnel takes, in bytes. */
  readonly mtu: number;
  readonly random: Random;
  readonly limits?: Partial<NetstackLimits>;
}

/** Open sockets by kind. `tcp` counts connections in any state, `listening` TCP listeners. */
export interface SocketCounts {
  readonly tcp: number;
  readonly udp: number;
  readonly listening: number;
}

const DEFAULT_LIMITS: NetstackLimits = { udpSockets: 4096, udpTransmitQueue: 1024, eventQueue: 4096, tcp: {} };

/** Takes the answer to an echo request. False if it does not know of one. */
export type EchoHandler = (reply: EchoReply, now: Instant) => boolean;

export class Netstack {
  /** Whom answers to `ping` go to, within the call that brings them. */
  onEchoReply: EchoHandler = () => false;
  readonly drops: DropCounter<NetstackDrop> = new DropCounter();
  readonly #addresses: LocalAddresses;
  readonly #pathMtu: PathMtu;
  readonly #limits: NetstackLimits;
  readonly #events: Queue<SocketEvent> = new Queue();
  readonly #udp: UdpSockets;
  readonly #icmp: Icmp;
  readonly #tcp: Tcp;
  readonly #reassembly: Reassembly = new Reassembly((reason) => this.drops.count(reason));
  /** Rewritten by every packet. */
  readonly #ip = ipHeader();
  /** Of the call that is going on, for what the transports ask in between. */
  #now: Instant;
  #blackHoleSuspected = false;
  /** Whose turn it is to send; the two sides alternate so that neither starves the other. */
  #tcpTurn = false;

  constructor(options: NetstackOptions, now: Instant) {
    this.#addresses = new LocalAddresses(options.addresses);
    this.#pathMtu = new PathMtu(options.mtu);
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#now = now;
    const host = this.#hostOf(options.random);
    this.#udp = new UdpSockets(host, {
      sockets: this.#limits.udpSockets,
      transmitQueue: this.#limits.udpTransmitQueue,
    });
    this.#icmp = new Icmp(host, now);
    this.#tcp = new Tcp(host, this.#limits.tcp, now);
  }

  handleCommand(command: NetstackCommand, now: Instant): void {
    this.#now = now;
    // First what follows every burst.
    if (command.kind === 'tcp-credit' || command.kind === 'tcp-write') this.#tcp.handleCommand(command, now);
    else if (command.kind === 'udp-send') this.#udp.send(command);
    else if (command.kind === 'udp-bind') this.#udp.bind(command);
    else if (command.kind === 'close' && this.#udp.has(command.socket)) this.#udp.close(command.socket);
    else if (command.kind === 'tcp-connect') this.#connect(command, now);
    else if (command.kind === 'tcp-listen') this.#listen(command, now);
    else this.#tcp.handleCommand(command, now);
  }

  /** One packet from the tunnel, `length` bytes at `offset`. Its bytes are not needed after the call; nothing in them throws. */
  handlePacket(bytes: Uint8Array, offset: number, length: number, now: Instant): void {
    this.#now = now;
    if (this.#tcp.handlePlain(bytes, offset, length, now)) return;
    const drop = parseIpPacket(bytes, offset, length, this.#ip) ?? this.#unwanted(bytes);
    if (drop) this.drops.count(drop);
    else if (this.#ip.moreFragments || this.#ip.fragmentOffset !== 0) this.#handleFragment(bytes, now);
    else this.#handleTransport(bytes, offset, now);
  }

  /** See `PacketSink.expectPacket`. */
  expectPacket(bytes: Uint8Array, offset: number): void {
    this.#tcp.expect(bytes, offset);
  }

  /** Behind the last packet of a burst: acknowledgements are decided, data is handed over, once for each connection. */
  endBurst(now: Instant): void {
    this.#now = now;
    this.#tcp.endBurst(now);
  }

  /** Writes the next packet at `offset`, where the caller has room for the MTU, and returns its length; 0 if there is none now. */
  nextPacket(buffer: Uint8Array, offset: number, now: Instant): number {
    this.#now = now;
    if (!this.#udp.hasPackets && !this.#icmp.hasPackets) return this.#tcp.nextPacket(buffer, offset, now);
    for (let side = 0; side < 2; side++) {
      this.#tcpTurn = !this.#tcpTurn;
      const length = this.#tcpTurn ? this.#tcp.nextPacket(buffer, offset, now) : this.#nextDatagram(buffer, offset);
      if (length > 0) return length;
    }
    return 0;
  }

  handleTimeout(now: Instant): void {
    this.#now = now;
    this.#tcp.handleTimeout(now);
    this.#reassembly.handleTimeout(now);
  }

  nextTimeout(): Instant | undefined {
    return earliest(this.#tcp.nextTimeout(), this.#reassembly.nextTimeout());
  }

  /** The reader of `bytes`, which a `tcp-data` carried, keeps no view of them: their memory may be used for others. */
  reclaim(bytes: Uint8Array): void {
    this.#tcp.reclaim(bytes);
  }

  nextOutput(): SocketEvent | undefined {
    return this.#events.shift();
  }

  /** Every connection ends with `error` at once, without a packet. Listeners and UDP sockets stay; what waited to be sent is forgotten. */
  reset(error: SocketErrorCode, now: Instant): void {
    this.#now = now;
    this.#tcp.reset(error, now);
    this.#udp.clearTransmitQueue();
    this.#icmp.clear();
    this.#reassembly.clear();
    this.#pathMtu.clear();
  }

  /** As `reset`, to a host with other addresses. Sockets that are bound to an address that is gone hear nothing. */
  readdress(addresses: readonly IpAddress[], error: SocketErrorCode, now: Instant): void {
    this.reset(error, now);
    this.#addresses.set(addresses);
  }

  counts(): SocketCounts {
    const { connections, listening } = this.#tcp.counts();
    return { tcp: connections, udp: this.#udp.count, listening };
  }

  /** Sends an echo request, unless the stack has no address to send it from. */
  ping(request: EchoRequest, now: Instant): void {
    this.#now = now;
    const source = this.#addresses.sourceFor(request.to);
    if (source) this.#icmp.ping(request, source);
  }

  /** The tunnel's MTU changed. Open connections follow with their next segment. */
  setMtu(mtu: number): void {
    this.#pathMtu.setTunnelMtu(mtu);
    this.#tcp.handleMtu();
  }

  /** Whether a connection's large segments got no answer since the last call. */
  takeSuspicion(): boolean {
    const suspected = this.#blackHoleSuspected;
    this.#blackHoleSuspected = false;
    return suspected;
  }

  /** The largest packet for `remote` as far as is known. */
  mtuFor(remote: IpAddress, now: Instant): number {
    return this.#pathMtu.mtuFor(remote, now);
  }

  /** Two commands name an address of ours; the unspecified one stands for "any", as everywhere. */
  #connect(command: TcpConnect, now: Instant): void {
    const { localAddress, ...anyAddress } = command;
    if (!localAddress || isUnspecified(localAddress)) this.#tcp.handleCommand(anyAddress, now);
    else if (this.#addresses.includes(localAddress)) this.#tcp.handleCommand(command, now);
    else this.#refuse(command.socket);
  }

  #listen(command: TcpListen, now: Instant): void {
    const { address, ...anyAddress } = command;
    if (!address || isUnspecified(address)) this.#tcp.handleCommand(anyAddress, now);
    else if (this.#addresses.includes(address)) this.#tcp.handleCommand(command, now);
    else this.#refuse(command.socket);
  }

  #refuse(socket: SocketId): void {
    this.#events.push({ kind: 'closed', socket, error: 'EADDRNOTAVAIL' });
  }

  /** Why the parsed packet goes no further, if it is not for us or cannot be true. */
  #unwanted(bytes: Uint8Array): NetstackDrop | undefined {
    const { family, sourceOffset, destinationOffset } = this.#ip;
    if (!this.#addresses.at(bytes, destinationOffset, family)) return 'not-our-address';
    if (!isUnicast(bytes, sourceOffset, family) || this.#addresses.at(bytes, sourceOffset, family))
      return 'martian-source';
    return undefined;
  }

  #handleFragment(bytes: Uint8Array, now: Instant): void {
    const whole = this.#reassembly.add(bytes, this.#ip, now);
    if (whole && !parseIpPacket(whole, 0, whole.length, this.#ip)) this.#handleTransport(whole, 0, now);
  }

  #handleTransport(bytes: Uint8Array, packetOffset: number, now: Instant): void {
    const ip = this.#ip;
    const v4 = ip.family === 4;
    if (ip.protocol === PROTOCOL_TCP) {
      const { payloadOffset, payloadLength, family, sourceOffset, destinationOffset } = ip;
      this.#tcp.handleSegment(bytes, payloadOffset, payloadLength, family, sourceOffset, destinationOffset, now);
    } else if (ip.protocol === PROTOCOL_UDP) {
      if (this.#udp.handleDatagram(bytes, ip)) return;
      this.drops.count('udp-no-socket');
      this.#icmp.refuseDatagram(bytes, packetOffset, ip, now);
    } else if (ip.protocol === (v4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
      this.#icmp.handleMessage(bytes, ip, now);
    } else this.drops.count('protocol-unknown');
  }

  #nextDatagram(buffer: Uint8Array, offset: number): number {
    return this.#icmp.nextPacket(buffer, offset) || this.#udp.nextPacket(buffer, offset);
  }

  #handleIcmpError(error: IcmpError, now: Instant): void {
    const { kind, local, remote, localPort, remotePort, sequence, mtu } = error;
    const ports = { local: localPort, remote: remotePort };
    if (error.protocol === PROTOCOL_UDP)
      this.drops.count(this.#udp.matches(local, localPort) ? 'icmp-error-udp' : 'icmp-error-unmatched');
    else if (!this.#tcp.handleIcmpError(local, remote, ports, sequence, kind, mtu, now))
      this.drops.count('icmp-error-unmatched');
  }

  /** What the three protocols may ask of the stack. */
  #hostOf(random: Random): TcpHost & UdpHost & IcmpHost {
    const stack = this;
    return {
      random,
      addresses: this.#addresses,
      ports: new PortAllocator(random),
      get mtu(): number {
        return stack.#pathMtu.tunnelMtu;
      },
      get acceptsDatagrams(): boolean {
        return stack.#events.length < stack.#limits.eventQueue;
      },
      emit: (event: SocketEvent): void => void stack.#events.push(event),
      count: (reason: NetstackDrop): void => stack.drops.count(reason),
      localAddressFor: (remote: IpAddress) => stack.#addresses.sourceFor(remote),
      mtuFor: (remote: IpAddress): number => stack.#pathMtu.mtuFor(remote, stack.#now),
      lowerMtu: (remote: IpAddress, mtu: number): void => void stack.#pathMtu.lower(remote, mtu, stack.#now),
      suspectBlackHole: (): void => {
        stack.#blackHoleSuspected = true;
      },
      handleIcmpError: (error: IcmpError, now: Instant): void => stack.#handleIcmpError(error, now),
      handleEchoReply: (reply: EchoReply, now: Instant): boolean => stack.onEchoReply(reply, now),
    };
  }
}
