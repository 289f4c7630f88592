/**
 * A WireGuard interface without the interface: peers, handshakes and transport as one machine, whose datagrams go in and out as
 * bytes and whose time is an argument (whitepaper; docs/protocol/wireguard.md maps its rules to this folder and its tests).
 *
 * Received datagrams come by `handleBurst` and leave as inner packets through the sink; inner packets leave by `sendPacket`.
 * Everything else that has to be sent or told comes out of `nextOutput`; drain it after every call. Then arm one timer
 * for `nextTimeout`.
 *
 * Nothing unauthenticated is answered, changes state or starts a timer, with one exception that the paper makes: under load,
 * a sender who knows our public key is sent a cookie, a limited number of times.
 */

import { type Endpoint, type Prefix, prefix, sameEndpoint, sameIp } from '../base/address.ts';
import type { Burst } from '../base/burst.ts';
import { compareBytes } from '../base/bytes.ts';
import { type Crypto, KEY_LENGTH, type Random } from '../base/crypto.ts';
import { DropCounter } from '../base/drops.ts';
import { earliest, type Instant } from '../base/instant.ts';
import { MESSAGE_TRANSPORT, MESSAGE_UNKNOWN, messageType } from '../wire/wireguard.ts';
import { AllowedIps } from './allowed-ips.ts';
import { DEFAULT_MTU } from './constants.ts';
import { type DeviceContext, peerKey } from './context.ts';
import { Handshakes } from './handshakes.ts';
import { IndexTable } from './index-table.ts';
import { HandshakeLoad, type LoadMeter } from './load.ts';
import { type DeviceOutput, OutputQueue, type WireGuardDrop } from './outputs.ts';
import { type IndexOwner, Peer, type PeerOptions } from './peer.ts';
import type { TimerName } from './timers.ts';
import { type PacketSink, Transport } from './transport.ts';

export type { DeviceOutput, LoadMeter, PacketSink, PeerOptions, WireGuardDrop };
export { Peer };

export interface DeviceOptions {
  /** 32 bytes, copied. */
  readonly privateKey: Uint8Array;
  readonly crypto: Crypto;
  readonly random: Random;
  /**
   * 12 bytes of TAI64N, strictly increasing over the identity's life, restarts included; the caller persists it. Undefined while
   * the wall clock is implausible: then no handshake is started, since a date in the future would lock the key out for good.
   */
  readonly timestamp: () => Uint8Array | undefined;
  readonly peers?: readonly PeerOptions[];
  /** Largest inner packet; padding never exceeds it. */
  readonly mtu?: number;
  /** Decides when cookies are asked for; by default the rate of handshake messages does. */
  readonly load?: LoadMeter;
}

export class Device {
  readonly drops: DropCounter<WireGuardDrop> = new DropCounter();
  /** @internal */
  readonly context: DeviceContext;
  readonly #handshakes: Handshakes;
  readonly #transport: Transport;
  /** The peer, if there is but one. */
  #only: Peer | undefined;
  #closed = false;

  constructor(options: DeviceOptions, now: Instant) {
    const { crypto, random, timestamp, mtu = DEFAULT_MTU } = options;
    requireKey('privateKey', options.privateKey);
    const { drops } = this;
    const indices = new IndexTable<IndexOwner>(random);
    const outputs = new OutputQueue(drops);
    const routes = new AllowedIps<Peer>();
    this.context = { crypto, random, timestamp, mtu, drops, outputs, indices, routes, peers: new Map() };
    this.#handshakes = new Handshakes(this.context, options.privateKey, options.load ?? new HandshakeLoad(random));
    this.#transport = new Transport(this.context, this.#handshakes);
    for (const peer of options.peers ?? []) this.addPeer(peer, now);
  }

  get publicKey(): Uint8Array {
    return this.#handshakes.publicKey;
  }

  get peers(): Iterable<Peer> {
    return this.context.peers.values();
  }

  /** Throws RangeError for a key that is not 32 bytes, our own, or known already. A persistent keepalive starts a handshake. */
  addPeer(options: PeerOptions, now: Instant): Peer {
    requireKey('publicKey', options.publicKey);
    if (options.presharedKey) requireKey('presharedKey', options.presharedKey);
    const { peers, indices, crypto, random } = this.context;
    const key = peerKey(options.publicKey);
    if (compareBytes(options.publicKey, this.publicKey) === 0) throw new RangeError('"publicKey" is the device’s own');
    if (peers.has(key)) throw new RangeError('"publicKey" is that of a peer already');
    const peer = new Peer(options, indices, crypto, random);
    this.#handshakes.introduce(peer);
    peers.set(key, peer);
    this.#countPeers();
    this.#allow(peer, options.allowedIps);
    if (peer.timers.persistentKeepalive) this.#keepalivePersistently(peer, now);
    return peer;
  }

  /** Forgets the peer and wipes its keys. */
  removePeer(peer: Peer, _now: Instant): void {
    if (this.context.peers.delete(peerKey(peer.publicKey))) this.#forget(peer);
    this.#countPeers();
  }

  /** Changes what is given. A new pre-shared key counts from the next handshake; a new endpoint is pinned as a configured one. */
  updatePeer(
    peer: Peer,
    changes: Partial<Pick<PeerOptions, 'presharedKey' | 'allowedIps' | 'endpoint' | 'persistentKeepaliveSeconds'>>,
    now: Instant,
  ): void {
    const { presharedKey, allowedIps, endpoint, persistentKeepaliveSeconds } = changes;
    if (presharedKey) {
      requireKey('presharedKey', presharedKey);
      peer.presharedKey.set(presharedKey);
    }
    if (allowedIps) {
      this.context.routes.removeOwner(peer);
      this.#allow(peer, allowedIps);
    }
    if (endpoint) {
      // The pause between handshake messages protects whom they go to, and that is somebody else now.
      if (!peer.endpoint || !sameEndpoint(endpoint, peer.endpoint)) peer.lastHandshakeSentAt = undefined;
      peer.endpoint = endpoint;
      peer.endpointConfigured = true;
      this.#transport.releaseStaged(peer, now);
    }
    if (persistentKeepaliveSeconds === undefined) return;
    const before = peer.timers.persistentKeepalive;
    peer.timers.setPersistentKeepalive(persistentKeepaliveSeconds);
    if (peer.timers.persistentKeepalive && !before) this.#keepalivePersistently(peer, now);
  }

  /** Another identity: all sessions end. */
  setPrivateKey(privateKey: Uint8Array, now: Instant): void {
    requireKey('privateKey', privateKey);
    for (const peer of this.peers) peer.reset();
    this.#handshakes.setPrivateKey(privateKey);
    for (const peer of this.peers) {
      this.#handshakes.introduce(peer);
      if (peer.timers.persistentKeepalive) this.#keepalivePersistently(peer, now);
    }
  }

  /**
   * Handles every datagram of the burst. Transport messages are decrypted in place in `burst.slab`, and their packets handed to
   * `sink` before this returns.
   */
  handleBurst(burst: Burst, now: Instant, sink: PacketSink): void {
    if (this.#closed) return;
    const { slab, offsets, lengths, endpoints, count } = burst;
    for (let i = 0; i < count; ) {
      i = this.#transport.receiveRun(burst, i, now, sink);
      if (i === count) return;
      this.#handle(slab, offsets[i]!, lengths[i]!, endpoints[i], now, sink);
      i++;
    }
  }

  /** Handles one datagram, decrypting in place in `bytes`. */
  handleDatagram(bytes: Uint8Array, source: Endpoint | undefined, now: Instant, sink: PacketSink): void {
    this.#handle(bytes, 0, bytes.length, source, now, sink);
  }

  /**
   * Sends the inner packet of `length` bytes that the caller has written at `out.nextSlot() + TRANSPORT_HEADER_LENGTH`, in a burst
   * that is not full. `sent`: it was sealed in place and takes the slot. `staged`: it was copied and waits for a session, the
   * oldest of 128 giving way. `dropped`: no peer may have it, or it does not fit. Never throws on the packet's bytes.
   */
  sendPacket(out: Burst, length: number, now: Instant): 'sent' | 'staged' | 'dropped' {
    return this.#transport.send(out, length, now);
  }

  /** Starts a handshake; not sooner than five seconds after the latest handshake message to this peer. */
  initiate(peer: Peer, now: Instant): void {
    this.#handshakes.initiate(peer, now);
  }

  /** Ends the session and forgets its keys: nothing is sent to this peer before `initiate` or a packet that is for it. */
  disconnect(peer: Peer): void {
    const { lastHandshakeSentAt } = peer;
    peer.reset();
    // Initiations keep their distance across it.
    peer.lastHandshakeSentAt = lastHandshakeSentAt;
    this.#handshakes.introduce(peer);
  }

  /** The host's addresses or routes changed: peers are told where we are now, by a handshake. */
  networkChanged(now: Instant): void {
    for (const peer of this.peers) if (peer.endpoint && peer.keypairs.current) this.#handshakes.initiate(peer, now);
  }

  handleTimeout(now: Instant): void {
    for (const peer of this.peers)
      for (let due = peer.timers.takeDue(now); due; due = peer.timers.takeDue(now)) this.#handleTimer(peer, due, now);
  }

  nextTimeout(): Instant | undefined {
    // Asked for behind every burst, and a client has one peer: an iterator would cost more than its timers.
    if (this.#only !== undefined) return this.#only.timers.next();
    let next: Instant | undefined;
    for (const peer of this.context.peers.values()) next = earliest(next, peer.timers.next());
    return next;
  }

  /** Whether `nextOutput` has something. */
  get hasOutput(): boolean {
    return !this.context.outputs.empty;
  }

  nextOutput(): DeviceOutput | undefined {
    return this.context.outputs.shift();
  }

  /** Wipes every key and forgets every peer. Nothing can be added after; what still arrives is ignored. */
  close(): void {
    this.#closed = true;
    for (const peer of this.peers) this.#forget(peer);
    this.context.peers.clear();
    this.#countPeers();
    this.#handshakes.wipe();
    this.context.outputs.clear();
  }

  #handle(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Endpoint | undefined,
    now: Instant,
    sink: PacketSink,
  ): void {
    if (this.#closed) return;
    const type = messageType(bytes, offset, length);
    if (type === MESSAGE_TRANSPORT) {
      this.#transport.receive(bytes, offset, length, source, now, sink);
    } else if (type === MESSAGE_UNKNOWN) {
      this.drops.count('malformed');
    } else {
      const outcome = this.#handshakes.handleMessage(type, bytes.subarray(offset, offset + length), source, now);
      if (typeof outcome === 'string') this.drops.count(outcome);
      else if (outcome) this.#transport.confirmSession(outcome, now);
    }
  }

  #handleTimer(peer: Peer, due: TimerName, now: Instant): void {
    switch (due) {
      case 'retryHandshake':
        if (peer.timers.seriesExhausted) this.#giveUp(peer, now);
        else this.#retryHandshake(peer, now);
        return;
      case 'newHandshake':
        this.#handshakes.initiate(peer, now);
        return;
      case 'passiveKeepalive': {
        const another = peer.timers.anotherKeepalive;
        this.#transport.sendKeepalive(peer, now);
        if (another) peer.timers.dataReceived(now);
        return;
      }
      case 'persistentKeepalive':
        this.#keepalivePersistently(peer, now);
        return;
      case 'sessionEnd':
        if (peer.keypairs.current?.expired(now)) this.context.outputs.push({ kind: 'session-expired', peer });
        return;
      case 'zeroKeys':
        peer.zeroKeys();
        return;
    }
  }

  #retryHandshake(peer: Peer, now: Instant): void {
    const attempt = peer.timers.initiations + 1;
    if (attempt > 1) this.context.outputs.push({ kind: 'handshake-retry', peer, attempt });
    this.#handshakes.retry(peer, now);
  }

  #giveUp(peer: Peer, now: Instant): void {
    peer.timers.gaveUp(now);
    for (let packet = peer.staged.shift(); packet; packet = peer.staged.shift()) {
      packet.fill(0);
      this.drops.count('handshake-failed');
    }
    this.context.outputs.push({ kind: 'handshake-failed', peer, reason: 'no-answer' });
  }

  /** Sends a persistent keepalive now and arms the next, which may not be done by sending: it may wait for a session. */
  #keepalivePersistently(peer: Peer, now: Instant): void {
    peer.timers.authenticatedEitherWay(now);
    this.#transport.sendKeepalive(peer, now);
  }

  #countPeers(): void {
    const { peers } = this.context;
    this.#only = peers.size === 1 ? peers.values().next().value : undefined;
  }

  #forget(peer: Peer): void {
    this.context.routes.removeOwner(peer);
    peer.reset();
    peer.presharedKey.fill(0);
  }

  #allow(peer: Peer, networks: readonly Prefix[]): void {
    for (const network of networks) {
      const before = this.context.routes.insert(network, peer);
      if (before && before !== peer) before.allowedIps = before.allowedIps.filter((own) => !samePrefix(own, network));
    }
    peer.allowedIps = networks;
  }
}

function samePrefix(a: Prefix, b: Prefix): boolean {
  return (
    a.bits === b.bits &&
    a.address.family === b.address.family &&
    sameIp(prefix(a.address, a.bits).address, prefix(b.address, b.bits).address)
  );
}

function requireKey(name: string, key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) throw new RangeError(`"${name}" expected ${KEY_LENGTH} bytes, got ${key.length}`);
}
