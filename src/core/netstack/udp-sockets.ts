/**
 * UDP sockets (RFC 768, RFC 1122 §4.1): bound ones only, each of one family. Datagrams that arrive become events at once; datagrams
 * to send become packets at once, which wait in one bounded queue until the tunnel takes them. What does not fit the tunnel's
 * MTU is dropped and counted (`udp-too-large`), never fragmented: sockets refuse it with EMSGSIZE before it comes here.
 */

import { type IpAddress, ipFromBytes } from '../base/address.ts';
import { u16be } from '../base/bytes.ts';
import { type IpHeader, PROTOCOL_UDP } from '../wire/ip.ts';
import { ipHeaderLength, writeIpHeader } from '../wire/ip-packet.ts';
import { checkUdp, UDP_HEADER_LENGTH, udpDataLength, writeUdpHeader } from '../wire/udp.ts';
import type { NetstackDrop } from './drops.ts';
import { equalAt, isUnspecified, type LocalAddresses } from './local-addresses.ts';
import type { SocketAddress, SocketCommand, SocketErrorCode, SocketEvent, SocketId, UdpBind } from './messages.ts';
import { PacketRing } from './packet-ring.ts';
import type { PortAllocator, PortHold } from './ports.ts';
import { Slab } from './slab.ts';

/** What the sockets need from the stack they belong to. */
export interface UdpHost {
  readonly addresses: LocalAddresses;
  readonly ports: PortAllocator;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  emit(event: SocketEvent): void;
  /** False while too many events wait to be taken. */
  readonly acceptsDatagrams: boolean;
  count(reason: NetstackDrop): void;
}

export interface UdpLimits {
  /** Sockets at once; binding more gives EMFILE. */
  readonly sockets: number;
  /** Datagrams that wait to be sent, over all sockets. */
  readonly transmitQueue: number;
}

type UdpSend = Extract<SocketCommand, { readonly kind: 'udp-send' }>;

interface UdpSocket {
  readonly id: SocketId;
  readonly hold: PortHold;
  readonly family: 4 | 6;
  readonly address: IpAddress | undefined;
  /** The sender of the last datagram: most come in runs from one peer, which then share one object. */
  lastFrom: SocketAddress;
}

const UNSPECIFIED = { 4: ipFromBytes(new Uint8Array(4)), 6: ipFromBytes(new Uint8Array(16)) } as const;

export class UdpSockets {
  readonly #host: UdpHost;
  readonly #limits: UdpLimits;
  readonly #byId: Map<SocketId, UdpSocket> = new Map();
  readonly #byPort: Record<4 | 6, Map<number, UdpSocket[]>> = { 4: new Map(), 6: new Map() };
  readonly #outgoing: PacketRing;
  readonly #received: Slab = new Slab();

  constructor(host: UdpHost, limits: UdpLimits) {
    this.#host = host;
    this.#limits = limits;
    this.#outgoing = new PacketRing(limits.transmitQueue);
  }

  get count(): number {
    return this.#byId.size;
  }

  has(id: SocketId): boolean {
    return this.#byId.has(id);
  }

  /** `bound` follows, or `closed` with EADDRINUSE, EADDRNOTAVAIL or EMFILE. Throws RangeError if the id is in use. */
  bind(command: UdpBind): void {
    if (this.#byId.has(command.socket)) throw new RangeError(`"socket" ${command.socket} is bound already`);
    const error = this.#tryBind(command);
    if (error) this.#host.emit({ kind: 'closed', socket: command.socket, error });
  }

  /** Queues one datagram; its bytes are copied. */
  send(command: UdpSend): void {
    const drop = this.#trySend(command);
    if (drop) this.#host.count(drop);
  }

  /** `closed` follows. Datagrams that it sent before still go out. */
  close(id: SocketId): void {
    const socket = this.#byId.get(id);
    if (!socket) return;
    this.#byId.delete(id);
    this.#host.ports.release(socket.hold);
    const onPort = this.#byPort[socket.family];
    const left = onPort.get(socket.hold.port)!.filter((other) => other !== socket);
    if (left.length > 0) onPort.set(socket.hold.port, left);
    else onPort.delete(socket.hold.port);
    this.#host.emit({ kind: 'closed', socket: id });
  }

  /** One datagram whose IP header is checked. False if no socket is there for it. */
  handleDatagram(bytes: Uint8Array, ip: IpHeader): boolean {
    const fault = checkUdp(bytes, ip);
    if (fault) this.#host.count(fault);
    if (fault) return true;
    const port = u16be(bytes, ip.payloadOffset + 2);
    const socket = this.#socketAt(bytes, ip.destinationOffset, ip.family, port);
    if (!socket) return false;
    if (!this.#host.acceptsDatagrams) {
      this.#host.count('udp-receive-queue-full');
      return true;
    }
    const at = ip.payloadOffset + UDP_HEADER_LENGTH;
    const data = this.#received.take(udpDataLength(bytes, ip.payloadOffset));
    data.set(bytes.subarray(at, at + data.length));
    this.#host.emit({ kind: 'udp-datagram', socket: socket.id, bytes: data, from: senderOf(socket, bytes, ip) });
    return true;
  }

  /** True if a live socket may have sent from this address and port. */
  matches(local: IpAddress, port: number): boolean {
    return this.#socketAt(local.bytes, 0, local.family, port) !== undefined;
  }

  get hasPackets(): boolean {
    return this.#outgoing.count > 0;
  }

  /** Copies the next datagram's IP packet to `offset` and returns its length; 0 if none waits. */
  nextPacket(buffer: Uint8Array, offset: number): number {
    const outgoing = this.#outgoing;
    while (outgoing.nextLength > this.#host.mtu) {
      // The MTU has shrunk since.
      this.#host.count('udp-too-large');
      outgoing.drop();
    }
    return outgoing.count === 0 ? 0 : outgoing.shift(buffer, offset);
  }

  /** Forgets what waits to be sent. Sockets stay bound. */
  clearTransmitQueue(): void {
    this.#outgoing.clear();
  }

  #tryBind({ socket: id, family, port, address: wanted, reuseAddress }: UdpBind): SocketErrorCode | undefined {
    if (this.#byId.size >= this.#limits.sockets) return 'EMFILE';
    const address = wanted && isUnspecified(wanted) ? undefined : wanted;
    if (address && (address.family !== family || !this.#host.addresses.includes(address))) return 'EADDRNOTAVAIL';
    const claim = { family, shared: reuseAddress === true };
    const hold = this.#host.ports.allocate('udp', port, address ? { ...claim, address } : claim);
    if (!hold) return 'EADDRINUSE';
    const socket = { id, hold, family, address, lastFrom: { address: UNSPECIFIED[family], port: 0 } };
    this.#byId.set(id, socket);
    const onPort = this.#byPort[family].get(hold.port);
    if (onPort) onPort.push(socket);
    else this.#byPort[family].set(hold.port, [socket]);
    const local = { address: address ?? UNSPECIFIED[family], port: hold.port };
    this.#host.emit({ kind: 'bound', socket: id, local });
    return undefined;
  }

  #trySend({ socket: id, to, bytes }: UdpSend): NetstackDrop | undefined {
    const socket = this.#byId.get(id);
    if (!socket) return 'udp-not-bound';
    const source = to.address.family === socket.family ? this.#host.addresses.sourceFor(to.address) : undefined;
    if (!source || to.port === 0) return 'udp-no-route';
    if (socket.address && !this.#host.addresses.includes(socket.address)) return 'udp-no-route';
    const headerLength = ipHeaderLength(socket.family);
    const length = UDP_HEADER_LENGTH + bytes.length;
    if (headerLength + length > this.#host.mtu) return 'udp-too-large';
    const at = this.#outgoing.reserve(headerLength + length);
    if (at < 0) return 'udp-transmit-queue-full';
    const packet = this.#outgoing.bytes;
    const from = (socket.address ?? source).bytes;
    const destination = to.address.bytes;
    writeIpHeader(packet, at, length, PROTOCOL_UDP, from, destination);
    packet.set(bytes, at + headerLength + UDP_HEADER_LENGTH);
    writeUdpHeader(packet, at + headerLength, socket.hold.port, to.port, bytes.length, from, destination);
    return undefined;
  }

  /** A socket bound to that very address comes first, then the one bound last, as on Linux. */
  #socketAt(bytes: Uint8Array, addressOffset: number, family: 4 | 6, port: number): UdpSocket | undefined {
    const sockets = this.#byPort[family].get(port);
    if (!sockets) return undefined;
    let found: UdpSocket | undefined;
    for (let i = sockets.length - 1; i >= 0; i--) {
      const socket = sockets[i]!;
      if (!socket.address) found ??= socket;
      else if (equalAt(socket.address.bytes, bytes, addressOffset)) return socket;
    }
    return found;
  }
}

function senderOf(socket: UdpSocket, bytes: Uint8Array, ip: IpHeader): SocketAddress {
  const port = u16be(bytes, ip.payloadOffset);
  const last = socket.lastFrom;
  if (last.port === port && equalAt(last.address.bytes, bytes, ip.sourceOffset)) return last;
  const end = ip.sourceOffset + (ip.family === 4 ? 4 : 16);
  socket.lastFrom = { address: ipFromBytes(bytes.subarray(ip.sourceOffset, end)), port };
  return socket.lastFrom;
}
