/**
 * The client's whole core as one machine: a WireGuard device below, a virtual host (TCP/IP and DNS) above, the port-forward lease as
 * one more user of the host, and beside them the guard and the search for a server that answers. Datagrams of the VPN server go in
 * as bursts, socket commands one by one; datagrams come out through `transmit`, socket events through `nextOutput`, everything else
 * through `nextTunnelEvent`. The driver in `src/node` is its only caller and owns all memory that it passes in.
 */

import { type Burst, TRANSPORT_HEADER_LENGTH } from '../base/burst.ts';
import { DropCounter } from '../base/drops.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { Guard, type Policy, SILENT_AFTER_SECONDS } from '../guard/guard.ts';
import { Prober } from '../guard/prober.ts';
import type { ProbedServer } from '../guard/prober-messages.ts';
import type { Reconnect } from '../guard/reconnect.ts';
import type { SocketCommand, SocketErrorCode, SocketEvent, SocketId } from '../netstack/messages.ts';
import type { PortLease } from '../portmap/messages.ts';
import { Device, type DeviceOutput, type Peer, type PeerOptions } from '../wireguard/device.ts';
import { ClientsOrder } from './clients-order.ts';
import { Gate, type GateDrop } from './gate.ts';
import { LeaseSocket } from './lease-socket.ts';
import type { TunnelConfiguration, TunnelEvent, TunnelMachineOptions } from './messages.ts';
import { OuterPath } from './outer-path.ts';
import { Search } from './search.ts';
import { VirtualHost } from './virtual-host.ts';

/** Handshake messages, keepalives and packets that had waited for a session, until the port takes them. */
const TRANSMIT_QUEUE_LIMIT = 1024;
/** Far more than one turn can bring; the driver drains them in every turn. */
const EVENT_QUEUE_LIMIT = 4096;

export class TunnelMachine {
  readonly device: Device;
  readonly host: VirtualHost;
  readonly drops: DropCounter<'transmit-queue-full' | GateDrop> = new DropCounter();
  /** Says whether traffic may flow. Change it by `mutateGuard` only. */
  readonly guard: Guard;
  /** Watches the exit address. Change it by `mutateProber` only. */
  readonly prober: Prober | undefined;
  readonly #configurations: readonly TunnelConfiguration[];
  readonly #gate: Gate;
  readonly #outerPath: OuterPath;
  readonly #search: Search;
  readonly #clients: ClientsOrder = new ClientsOrder();
  readonly #unansweredAfterMs: number;
  #configuration = 0;
  #peers: readonly Peer[] = [];
  /** The peer that the internet is behind. */
  #exit: Peer | undefined;
  #exitHandshakeAt: Instant | undefined;
  /** A handshake was completed that `#followLink` has not looked at. */
  #handshakeCame = false;
  /** What `#tellGuard` has carried out. */
  #toldPolicy: Policy | undefined;
  /** When the parts that traffic does not touch are due, of which none has changed since it was asked. */
  #standingDeadline: Instant | undefined | 'unknown' = 'unknown';
  readonly #datagrams = new Queue<Extract<DeviceOutput, { readonly kind: 'datagram' }>>(TRANSMIT_QUEUE_LIMIT);
  readonly #events = new Queue<TunnelEvent>(EVENT_QUEUE_LIMIT);
  readonly #lease: PortLease | undefined;
  readonly #leaseSocket: LeaseSocket | undefined;

  constructor(options: TunnelMachineOptions, now: Instant) {
    const { privateKey, crypto, random, timestamp, mtu, addresses, dnsServers, fallbacks = [], limits = {} } = options;
    this.#configurations = [options, ...fallbacks];
    // A silence shorter than WireGuard's own patience (§6.5) would else be over before it could be noticed.
    const { silentAfterSeconds = SILENT_AFTER_SECONDS } = options.guard ?? {};
    this.#unansweredAfterMs = (silentAfterSeconds * 1_000) / 2;
    this.device = new Device(
      { privateKey, crypto, random, timestamp: () => timestamp(this.#configuration), mtu: this.largestMtu },
      now,
    );
    this.host = new VirtualHost({ addresses, mtu, random, dnsServers, limits }, now);
    this.#outerPath = new OuterPath(this.host, options, random, now);
    this.guard = new Guard(options.guard);
    this.#gate = new Gate({ count: (reason) => this.drops.count(reason), dnsServers });
    this.#search = new Search({
      random,
      configurations: this.#configurations.length,
      patient: silentAfterSeconds >= SILENT_AFTER_SECONDS,
    });
    this.#addPeers(now);
    this.prober = options.probe && new Prober(options.probe, this.guard, this.#probed);
    this.#lease = options.lease;
    this.#leaseSocket = options.lease && new LeaseSocket(this.host, options.lease);
    this.#drainDevice(now);
  }

  /** Which configuration is in use, or being tried. */
  get configuration(): number {
    return this.#configuration;
  }

  /** In the order of the configuration in use. */
  get peers(): readonly Peer[] {
    return this.#peers;
  }

  /** The largest packet that the tunnel carries: what the configuration says, or less if the path outside is known to carry less. */
  get mtu(): number {
    return this.#outerPath.mtu;
  }

  /** Of all configurations: what the UDP port must have room for. */
  get largestMtu(): number {
    return Math.max(...this.#configurations.map(({ mtu }) => mtu));
  }

  /** Looks for a server that answers, from now on and whenever the link is lost: `reconnect` events say what to do. */
  start(now: Instant): void {
    this.#search.start(now);
    this.#settleSearch(now);
  }

  /** Runs one change of the search, which is an answer to one of its events, and carries out what follows from it. */
  mutateReconnect(change: (reconnect: Reconnect) => void, now: Instant): void {
    change(this.#search.reconnect);
    this.#settleSearch(now);
  }

  /** The host's addresses or routes changed, or it woke from sleep. */
  handleNetworkChange(now: Instant): void {
    this.device.networkChanged(now);
    this.#outerPath.handleMove();
    this.#search.handleNetworkChange(now);
    this.#settleSearch(now);
    this.#drainDevice(now);
  }

  /** Every datagram of one burst, from the wire to socket events, in one synchronous call. `burst.slab` is decrypted in place. */
  handleBurst(burst: Burst, now: Instant): void {
    this.device.handleBurst(burst, now, this.host);
    this.host.endBurst(now);
    this.#outerPath.handleBurst(now);
    this.#settlePath(now);
    if (this.device.hasOutput) this.#drainDevice(now);
    this.#followTraffic(now);
    this.#settleLease(now);
  }

  handleCommand(command: SocketCommand, now: Instant): void {
    // Credit, which follows every burst, is for what came while traffic flowed.
    if (command.kind === 'tcp-credit' || this.#gate.admits(command, now)) this.host.handleCommand(command, now);
  }

  /** The socket with this id, whose connect comes next, is the probe's: through a leak, nothing else connects. */
  admitProbe(socket: SocketId): void {
    this.#gate.admitProbe(socket);
  }

  /** The same for the look-up of this number. */
  admitProbeQuery(query: number): void {
    this.#gate.admitProbeQuery(query);
  }

  /** A person switches the VPN off or on; on again, it begins with a handshake. */
  setEnabled(enabled: boolean, now: Instant): void {
    this.mutateGuard((guard) => guard.setEnabled(enabled, now), now);
    if (!enabled) {
      this.#search.stop();
      for (const peer of this.#peers) this.device.disconnect(peer);
      this.#standingDeadline = 'unknown';
    }
    if (enabled && this.#exit) this.device.initiate(this.#exit, now);
    if (enabled) this.start(now);
    this.#drainDevice(now);
  }

  /** Runs one change of the guard, and carries out what follows from it. */
  mutateGuard(change: (guard: Guard) => void, now: Instant): void {
    change(this.guard);
    this.#followGuard(now);
  }

  /** Runs one change of the prober, and carries out what follows from it. */
  mutateProber(change: (prober: Prober) => void, now: Instant): void {
    if (this.prober) change(this.prober);
    this.#settleProber(now);
  }

  /** A person's word that the exits that were seen are right. */
  acceptExit(now: Instant): void {
    this.prober?.accept();
    this.mutateGuard((guard) => guard.accept(now), now);
  }

  /** The system refused a datagram as too long for the path outside (EMSGSIZE), which it knows to carry so many bytes, if it says so. */
  handleTooLong(pathMtu: number | undefined, now: Instant): void {
    this.#outerPath.handleTooLong(pathMtu, this.#exit?.endpoint?.address.family ?? 4, now);
    this.#settlePath(now);
  }

  /** The server's address became known or changed; a handshake starts. */
  setEndpoint(peer: Peer, endpoint: NonNullable<PeerOptions['endpoint']>, now: Instant): void {
    // A keepalive begins when the endpoint is known: before that it could only fail.
    const { peers } = this.#configurations[this.#configuration]!;
    const { persistentKeepaliveSeconds = 0 } = peers[this.#peers.indexOf(peer)] ?? {};
    this.device.updatePeer(peer, { endpoint, persistentKeepaliveSeconds }, now);
    this.#outerPath.handleMove();
    this.device.initiate(peer, now);
    this.#drainDevice(now);
  }

  handleTimeout(now: Instant): void {
    this.#standingDeadline = 'unknown';
    this.device.handleTimeout(now);
    this.host.handleTimeout(now);
    this.#drainDevice(now);
    this.guard.handleTimeout(now);
    this.#followLink(now);
    this.#gate.handleTimeout(now);
    this.#outerPath.handleTimeout(now);
    this.#settlePath(now);
    this.#lease?.handleTimeout(now);
    this.#settleLease(now);
    this.#search.handleTimeout(now);
    this.#settleSearch(now);
    this.mutateProber((prober) => prober.handleTimeout(now), now);
  }

  nextTimeout(): Instant | undefined {
    if (this.#standingDeadline === 'unknown') this.#standingDeadline = this.#nextStanding();
    const sockets = earliest(this.host.nextTimeout(), this.#gate.nextTimeout());
    const traffic = earliest(earliest(this.device.nextTimeout(), sockets), this.#outerPath.nextTimeout());
    return earliest(traffic, this.#standingDeadline);
  }

  /** Fills `out` with datagrams to send until it is full or none is left. True if more remain. */
  transmit(out: Burst, now: Instant): boolean {
    const { device } = this;
    while (!out.full) {
      if (this.#datagrams.length > 0) {
        const { bytes, to } = this.#datagrams.shift()!;
        out.append(bytes, to);
        continue;
      }
      const length = this.#nextPacket(out.slab, out.nextSlot() + TRANSPORT_HEADER_LENGTH, now);
      if (length === 0) break;
      device.sendPacket(out, length, now);
      // Sending may have started a handshake: by a packet that waits for one, or by the age of the key (§6.2).
      if (device.hasOutput) this.#drainDevice(now);
    }
    this.#followTraffic(now);
    return out.full;
  }

  /** See `Netstack.reclaim`. */
  reclaim(bytes: Uint8Array): void {
    this.host.reclaim(bytes);
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

  /** They change with the guard's word, or with what is settled here; whatever does either forgets `#standingDeadline`. */
  #nextStanding(): Instant | undefined {
    const link = earliest(this.guard.nextTimeout(), this.#search.nextTimeout());
    const exit = earliest(this.#lease?.nextTimeout(), this.prober?.nextTimeout());
    return earliest(earliest(link, exit), this.#clients.nextTimeout());
  }

  /** The next packet that may leave; 0 if there is none. */
  #nextPacket(buffer: Uint8Array, offset: number, now: Instant): number {
    const { flow } = this.#gate;
    // Held, what a connection has to send stays in it: nobody would hear it, and then it leaves with the first handshake.
    if (flow === 'closed' || flow === 'hold') return 0;
    let length = this.host.nextPacket(buffer, offset, now);
    while (flow === 'probe' && length > 0 && !this.#gate.passes(buffer, offset))
      length = this.host.nextPacket(buffer, offset, now);
    return length;
  }

  /** As `#followLink`, behind every burst: traffic on a session that is well is nothing to the guard. */
  #followTraffic(now: Instant): void {
    const exit = this.#exit;
    const { guard } = this;
    if (
      exit !== undefined &&
      !this.#handshakeCame &&
      exit.initiationUnansweredSince === undefined &&
      guard.policy === this.#toldPolicy &&
      guard.unconcerned
    )
      return;
    this.#followLink(now);
  }

  /** Tells the guard what the device knows. */
  #followLink(now: Instant): void {
    const exit = this.#exit;
    this.#handshakeCame = false;
    if (!exit) return;
    if (exit.lastHandshakeAt !== this.#exitHandshakeAt) {
      this.#exitHandshakeAt = exit.lastHandshakeAt;
      if (exit.lastHandshakeAt !== undefined) this.#handleConnected(now);
    }
    this.guard.handleLink(exit, now);
    this.#followGuard(now);
    if (exit.initiationUnansweredSince === undefined) return;
    this.#search.handleLink(exit, now);
    this.#settleSearch(now);
  }

  #followGuard(now: Instant): void {
    this.#tellGuard(now);
    if (!this.guard.policy.killswitch.reasons.includes('stale')) return;
    this.#search.handleSilence(now);
    this.#settleSearch(now);
  }

  /** What was open must not outlive a leak or a person's word: to the other side it comes from elsewhere, or is gone. */
  #tellGuard(now: Instant): void {
    this.#standingDeadline = 'unknown';
    this.#toldPolicy = this.guard.policy;
    const { flow } = this.#toldPolicy;
    const before = this.#gate.flow;
    if (flow !== before) this.#gate.setFlow(flow, (command) => this.host.handleCommand(command, now));
    this.#outerPath.handleFlow(flow, now);
    this.#settlePath(now);
    // Through the leak nobody could be asked for a port. Before the order: then the resume waits for the answer.
    if (before === 'probe' && flow === 'open') this.#lease?.handleHandshake(now);
    for (let output = this.guard.nextOutput(); output; output = this.guard.nextOutput())
      this.#events.push({ kind: 'guard', output });
    this.#orderClients(now);
    // After the order: who pauses first takes the end of connections and port for an outage, and not for a change to announce.
    const wasOpen = before === 'open' || before === 'hold';
    if (wasOpen && (flow === 'probe' || flow === 'closed')) this.reset('ENETUNREACH', now);
    this.#settleProber(now);
  }

  #handleConnected(now: Instant): void {
    this.#search.handleConnected(now);
    this.guard.handleSharedKey(this.#search.sharedKey, now);
    this.guard.handleHandshake(now);
    this.#settleSearch(now);
    this.#outerPath.handleHandshake(now);
    this.#settlePath(now);
  }

  #settleSearch(now: Instant): void {
    for (let output = this.#search.nextOutput(); output; output = this.#search.nextOutput()) {
      if (output.kind === 'fault') {
        this.guard.handleFault(output.fault, now);
        continue;
      }
      if (output.kind === 'try') this.#configure(output.configuration, now);
      this.#events.push({ kind: 'reconnect', output });
    }
    this.#tellGuard(now);
  }

  #settlePath(now: Instant): void {
    const mtu = this.#outerPath.settle(now);
    if (mtu !== undefined) this.#events.push({ kind: 'mtu', mtu });
  }

  /** A tunnel never gives up: after a series of initiations in vain comes the next. */
  #handleFailure({ peer, reason }: Extract<DeviceOutput, { readonly kind: 'handshake-failed' }>, now: Instant): void {
    if (this.guard.policy.state === 'disabled') return;
    if (reason === 'no-answer') this.device.initiate(peer, now);
    if (peer !== this.#exit) return;
    this.#search.handleSilence(now);
    this.#settleSearch(now);
  }

  /** Another configuration: another key, other addresses. To everyone outside it is another host, so nothing survives. */
  #configure(index: number, now: Instant): void {
    if (index === this.#configuration) return;
    this.#configuration = index;
    const configuration = this.#configurations[index]!;
    const { privateKey, addresses, dnsServers } = configuration;
    for (const peer of this.#peers) this.device.removePeer(peer, now);
    this.device.setPrivateKey(privateKey, now);
    this.#addPeers(now);
    this.host.readdress({ addresses, dnsServers }, 'ECONNRESET', now);
    this.#outerPath.configure(configuration);
    this.#settlePath(now);
    this.#gate.setDnsServers(dnsServers);
    this.mutateLease((lease) => lease.restart(now), now);
    this.mutateProber((prober) => prober.handleServer(this.#probed), now);
    this.mutateGuard((guard) => guard.handleIdentity(now), now);
  }

  #addPeers(now: Instant): void {
    const unansweredAfterMs = this.#unansweredAfterMs;
    this.#peers = this.#configurations[this.#configuration]!.peers.map(({ persistentKeepaliveSeconds = 0, ...peer }) =>
      this.device.addPeer(
        { ...peer, unansweredAfterMs, ...(peer.endpoint ? { persistentKeepaliveSeconds } : {}) },
        now,
      ),
    );
    this.#exit = this.#peers[exitIndex(this.#peers)];
    this.#exitHandshakeAt = undefined;
  }

  /** After the port: who resumes announces the one that is mapped now. */
  #orderClients(now: Instant): void {
    this.#drainLease(now);
    // After a sleep the guard has yet to see what time has done, and nobody shall resume by its word of before.
    const guardDue = this.guard.nextTimeout();
    if (guardDue !== undefined && guardDue <= now) return;
    this.#clients.handle(this.guard.policy.clients, this.#lease?.awaited ?? false, now);
    const order = this.#clients.nextOutput();
    if (order) this.#events.push({ kind: 'clients', order });
  }

  #settleLease(now: Instant): void {
    if (!this.#leaseSocket) return;
    this.#standingDeadline = 'unknown';
    this.#orderClients(now);
    this.#settleProber(now);
  }

  #drainLease(now: Instant): void {
    const socket = this.#leaseSocket;
    if (!socket) return;
    socket.settle(now);
    for (let event = socket.nextOutput(); event; event = socket.nextOutput()) {
      this.#events.push({ kind: 'port-forward', event });
      if (event.kind === 'mapped') this.prober?.handlePort(event.externalAddress, now);
      if (event.kind === 'failed') this.prober?.handlePort(undefined, now);
    }
  }

  #settleProber(now: Instant): void {
    const { prober } = this;
    if (!prober) return;
    this.#standingDeadline = 'unknown';
    prober.handleGuard(this.#lease?.awaited ?? false, now);
    for (let output = prober.nextOutput(); output; output = prober.nextOutput()) {
      const { kind } = output;
      if (kind === 'result') this.mutateGuard((guard) => guard.handleProbe(output.result, now), now);
      else if (kind !== 'exit-changed') this.#events.push({ kind: 'probe', event: output });
      else if (this.guard.mayFlow) this.reset('ECONNRESET', now);
    }
  }

  get #probed(): ProbedServer {
    const { addresses } = this.#configurations[this.#configuration]!;
    const families = [...new Set(addresses.map(({ family }) => family))];
    return { key: this.#exit?.publicKey ?? new Uint8Array(0), families };
  }

  #drainDevice(now: Instant): void {
    for (let output = this.device.nextOutput(); output; output = this.device.nextOutput()) {
      this.#standingDeadline = 'unknown';
      if (output.kind === 'handshake') {
        this.#handshakeCame = true;
        this.#lease?.handleHandshake(now);
      }
      if (output.kind === 'endpoint-changed') this.#outerPath.handleMove();
      if (output.kind === 'handshake-failed') this.#handleFailure(output, now);
      if (output.kind !== 'datagram') this.#events.push(output);
      else if (!this.#datagrams.push(output)) this.drops.count('transmit-queue-full');
    }
  }
}

/** Which of the peers the internet is behind: the one with the widest network, the first of several. */
export function exitIndex(peers: readonly Pick<PeerOptions, 'allowedIps'>[]): number {
  const widths = peers.map(({ allowedIps }) => Math.min(129, ...allowedIps.map(({ bits }) => bits)));
  return widths.indexOf(Math.min(...widths));
}
