/**
 * The client's whole core as one machine: a WireGuard device below, a virtual host (TCP/IP and DNS) above, and the port-forward
 * lease as one more user of the host. Datagrams of the
 * VPN server go in as bursts, socket commands go in one by one; datagrams come out through `transmit`, everything else through
 * `nextOutput`. The driver in `src/node` is its only caller and owns all memory that it passes in.
 */

import type { IpAddress } from '../base/address.ts';
import { type Burst, TRANSPORT_HEADER_LENGTH } from '../base/burst.ts';
import type { Crypto, Random } from '../base/crypto.ts';
import { DropCounter } from '../base/drops.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { Guard, type GuardOutput, type GuardSettings } from '../guard/guard.ts';
import type { SocketCommand, SocketErrorCode, SocketEvent, SocketId } from '../netstack/messages.ts';
import type { LeaseEvent, PortLease } from '../portmap/messages.ts';
import { Device, type DeviceOutput, type Peer, type PeerOptions } from '../wireguard/device.ts';
import { Gate, type GateDrop } from './gate.ts';
import { LeaseSocket } from './lease-socket.ts';
import { VirtualHost } from './virtual-host.ts';

export interface TunnelMachineOptions {
  readonly privateKey: Uint8Array;
  readonly peers: readonly PeerOptions[];
  /** This end's addresses inside the tunnel. */
  readonly addresses: readonly IpAddress[];
  readonly dnsServers: readonly IpAddress[];
  readonly mtu: number;
  readonly crypto: Crypto;
  readonly random: Random;
  /** See `DeviceOptions.timestamp`. */
  readonly timestamp: () => Uint8Array | undefined;
  /** Begins after the first handshake. */
  readonly lease?: PortLease;
  /** The killswitch: on, with the defaults of the design, unless this says otherwise. */
  readonly guard?: GuardSettings;
}

/** What the device reports beside datagrams (handshakes, expiries, a server that moved), and what lease and guard report. */
export type TunnelEvent = Exclude<DeviceOutput, { readonly kind: 'datagram' }> | LeaseTunnelEvent | GuardTunnelEvent;

export interface GuardTunnelEvent {
  readonly kind: 'guard';
  readonly output: GuardOutput;
}

export interface LeaseTunnelEvent {
  readonly kind: 'port-forward';
  readonly event: LeaseEvent;
}

/** Handshake messages, keepalives and packets that had waited for a session, until the port takes them. */
const TRANSMIT_QUEUE_LIMIT = 1024;
/** Far more than one turn can bring; the driver drains them in every turn. */
const EVENT_QUEUE_LIMIT = 4096;

export class TunnelMachine {
  readonly mtu: number;
  readonly device: Device;
  readonly host: VirtualHost;
  /** In the order of `TunnelMachineOptions.peers`. */
  readonly peers: readonly Peer[];
  readonly drops: DropCounter<'transmit-queue-full' | GateDrop> = new DropCounter();
  /** Says whether traffic may flow. Change it by `mutateGuard` only. */
  readonly guard: Guard;
  readonly #gate: Gate;
  /** The peer that the internet is behind. */
  readonly #exit: Peer | undefined;
  #exitHandshakeAt: Instant | undefined;
  readonly #datagrams = new Queue<Extract<DeviceOutput, { readonly kind: 'datagram' }>>(TRANSMIT_QUEUE_LIMIT);
  readonly #events = new Queue<TunnelEvent>(EVENT_QUEUE_LIMIT);
  readonly #keepalives: readonly (number | undefined)[];
  readonly #lease: PortLease | undefined;
  readonly #leaseSocket: LeaseSocket | undefined;

  constructor(options: TunnelMachineOptions, now: Instant) {
    const { privateKey, crypto, random, timestamp, mtu } = options;
    this.mtu = mtu;
    this.device = new Device({ privateKey, crypto, random, timestamp, mtu }, now);
    // A keepalive begins when the endpoint is known: before that it could only fail.
    this.#keepalives = options.peers.map((peer) => (peer.endpoint ? undefined : peer.persistentKeepaliveSeconds));
    this.peers = options.peers.map(({ persistentKeepaliveSeconds = 0, ...peer }) =>
      this.device.addPeer(peer.endpoint ? { ...peer, persistentKeepaliveSeconds } : peer, now),
    );
    this.host = new VirtualHost({ addresses: options.addresses, mtu, random, dnsServers: options.dnsServers }, now);
    this.guard = new Guard(options.guard);
    this.#gate = new Gate({ count: (reason) => this.drops.count(reason), dnsServers: options.dnsServers });
    this.#exit = exitOf(this.peers);
    this.#lease = options.lease;
    this.#leaseSocket = options.lease && new LeaseSocket(this.host, options.lease);
    this.#drainDevice(now);
  }

  /** Every datagram of one burst, from the wire to socket events, in one synchronous call. `burst.slab` is decrypted in place. */
  handleBurst(burst: Burst, now: Instant): void {
    this.device.handleBurst(burst, now, this.host);
    this.host.endBurst(now);
    this.#drainDevice(now);
    this.#followLink(now);
    this.#settleLease(now);
  }

  handleCommand(command: SocketCommand, now: Instant): void {
    if (this.#gate.admits(command, now)) this.host.handleCommand(command, now);
  }

  /** The socket with this id, whose connect comes next, is the probe's: through a leak, nothing else connects. */
  admitProbe(socket: SocketId): void {
    this.#gate.admitProbe(socket);
  }

  /** A person switches the VPN off or on; on again, it begins with a handshake. */
  setEnabled(enabled: boolean, now: Instant): void {
    this.mutateGuard((guard) => guard.setEnabled(enabled, now), now);
    if (enabled && this.#exit) this.device.initiate(this.#exit, now);
    this.#drainDevice(now);
  }

  /** Runs one change of the guard, and carries out what follows from it. */
  mutateGuard(change: (guard: Guard) => void, now: Instant): void {
    change(this.guard);
    this.#followGuard(now);
  }

  /** The server's address became known or changed; a handshake starts. */
  setEndpoint(peer: Peer, endpoint: NonNullable<PeerOptions['endpoint']>, now: Instant): void {
    const persistentKeepaliveSeconds = this.#keepalives[this.peers.indexOf(peer)];
    this.device.updatePeer(
      peer,
      persistentKeepaliveSeconds === undefined ? { endpoint } : { endpoint, persistentKeepaliveSeconds },
      now,
    );
    this.device.initiate(peer, now);
    this.#drainDevice(now);
  }

  handleTimeout(now: Instant): void {
    this.device.handleTimeout(now);
    this.host.handleTimeout(now);
    this.#drainDevice(now);
    this.guard.handleTimeout(now);
    this.#followLink(now);
    this.#gate.handleTimeout(now);
    this.#lease?.handleTimeout(now);
    this.#settleLease(now);
  }

  nextTimeout(): Instant | undefined {
    const link = earliest(this.device.nextTimeout(), this.guard.nextTimeout());
    const sockets = earliest(this.host.nextTimeout(), this.#gate.nextTimeout());
    return earliest(earliest(link, sockets), this.#lease?.nextTimeout());
  }

  /** Fills `out` with datagrams to send until it is full or none is left. True if more remain. */
  transmit(out: Burst, now: Instant): boolean {
    while (!out.full) {
      const datagram = this.#datagrams.shift();
      if (datagram) {
        out.append(datagram.bytes, datagram.to);
        continue;
      }
      const length = this.#nextPacket(out.slab, out.nextSlot() + TRANSPORT_HEADER_LENGTH, now);
      if (length > 0) this.device.sendPacket(out, length, now);
      // Sending may have started a handshake: by a packet that waits for one, or by the age of the key (§6.2).
      this.#drainDevice(now);
      if (length === 0 && this.#datagrams.length === 0) break;
    }
    this.#followLink(now);
    return out.full;
  }

  /** Events of the sockets; drain until undefined. */
  nextOutput(): SocketEvent | undefined {
    return this.#gate.nextOutput() ?? this.host.nextOutput();
  }

  /** Events of the tunnel itself; drain until undefined. */
  nextTunnelEvent(): TunnelEvent | undefined {
    return this.#events.shift();
  }

  /** Every connection dies at once, because to the other side it is already dead. Listeners and bound UDP sockets stay. */
  reset(error: SocketErrorCode, now: Instant): void {
    this.host.reset(error, now);
    this.mutateLease((lease) => lease.restart(now), now);
  }

  /** Wipes all keys. Nothing may be called after. */
  close(): void {
    this.device.close();
  }

  /** Runs one change of the lease, and carries out what follows from it. */
  mutateLease(change: (lease: PortLease) => void, now: Instant): void {
    if (this.#lease) change(this.#lease);
    this.#settleLease(now);
  }

  /** The next packet that may leave; 0 if there is none. */
  #nextPacket(buffer: Uint8Array, offset: number, now: Instant): number {
    const { flow } = this.#gate;
    if (flow === 'closed') return 0;
    let length = this.host.nextPacket(buffer, offset, now);
    while (flow === 'probe' && length > 0 && !this.#gate.passes(buffer, offset))
      length = this.host.nextPacket(buffer, offset, now);
    return length;
  }

  /** Tells the guard what the device knows. */
  #followLink(now: Instant): void {
    const exit = this.#exit;
    if (!exit) return;
    if (exit.lastHandshakeAt !== this.#exitHandshakeAt) {
      this.#exitHandshakeAt = exit.lastHandshakeAt;
      this.guard.handleHandshake(now);
    }
    this.guard.handleLink(exit, now);
    this.#followGuard(now);
  }

  /** What was open must not outlive a leak or a person's word: to the other side it comes from elsewhere, or is gone. */
  #followGuard(now: Instant): void {
    const { flow } = this.guard.policy;
    const before = this.#gate.flow;
    if (flow !== before) {
      this.#gate.setFlow(flow, (command) => this.host.handleCommand(command, now));
      const wasOpen = before === 'open' || before === 'hold';
      if (wasOpen && (flow === 'probe' || flow === 'closed')) this.reset('ENETUNREACH', now);
    }
    for (let output = this.guard.nextOutput(); output; output = this.guard.nextOutput())
      this.#events.push({ kind: 'guard', output });
  }

  #settleLease(now: Instant): void {
    const socket = this.#leaseSocket;
    if (!socket) return;
    socket.settle(now);
    for (let event = socket.nextOutput(); event; event = socket.nextOutput())
      this.#events.push({ kind: 'port-forward', event });
  }

  #drainDevice(now: Instant): void {
    for (let output = this.device.nextOutput(); output; output = this.device.nextOutput()) {
      if (output.kind === 'handshake') this.#lease?.handleHandshake(now);
      if (output.kind !== 'datagram') this.#events.push(output);
      else if (!this.#datagrams.push(output)) this.drops.count('transmit-queue-full');
    }
  }
}

/** The peer with the widest network; the first of several. */
function exitOf(peers: readonly Peer[]): Peer | undefined {
  const widest = (peer: Peer): number => Math.min(129, ...peer.allowedIps.map(({ bits }) => bits));
  return peers.reduce<Peer | undefined>(
    (best, peer) => (best && widest(best) <= widest(peer) ? best : peer),
    undefined,
  );
}
