/**
 * Transport messages (whitepaper §5.4.6), the path of every packet. Nothing here allocates for a packet that is delivered or sent.
 *
 * A received message passes, in this order: index, age and limit of the key, tag, replay window; then it is authentic and moves
 * endpoint, timers and sessions; then its content is judged, trimmed to its own length, and its source looked up.
 */

import type { Endpoint } from '../base/address.ts';
import { type Burst, TRANSPORT_HEADER_LENGTH } from '../base/burst.ts';
import { u16be, u32le } from '../base/bytes.ts';
import { TAG_LENGTH } from '../base/crypto.ts';
import type { Instant } from '../base/instant.ts';
import { MESSAGE_TRANSPORT, TRANSPORT, TRANSPORT_MIN_LENGTH, writeTransportHeader } from '../wire/wireguard.ts';
import { LITTLE_ENDIAN, wordView } from '../wire/word-view.ts';
import { atMessageLimit, PADDING_MULTIPLE } from './constants.ts';
import { type DeviceContext, learnEndpoint } from './context.ts';
import type { Handshakes } from './handshakes.ts';
import type { Keypair } from './keypair.ts';
import type { WireGuardDrop } from './outputs.ts';
import type { Peer } from './peer.ts';

const IPV4 = { headerLength: 20, totalLength: 2, source: 12, destination: 16 } as const;
const IPV6 = { headerLength: 40, payloadLength: 4, source: 8, destination: 24 } as const;

// V8 makes constants of a module's own, and looks imported ones up each time.
const WORDS_AS_SENT = LITTLE_ENDIAN;
const TYPE = MESSAGE_TRANSPORT;
const HEADER = TRANSPORT_HEADER_LENGTH;
const MIN_LENGTH = TRANSPORT_MIN_LENGTH;
const PADDING = PADDING_MULTIPLE;

/** Fewer packets than this hardly wait for memory together. */
const WORTH_EXPECTING = 4;

/** The fields of a transport message as words: in a burst it stands where words begin. */
const WORD = {
  receiver: TRANSPORT.receiver / 4,
  counterLow: TRANSPORT.counterLow / 4,
  counterHigh: TRANSPORT.counterHigh / 4,
  content: TRANSPORT.ciphertext / 4,
} as const;

/** Where decrypted packets go, synchronously. */
export interface PacketSink {
  /** One inner packet of `length` bytes at `offset`, whose source address is the peer's. The bytes are the sink's until it returns. */
  handlePacket(bytes: Uint8Array, offset: number, length: number, now: Instant, peer: Peer): void;
  /**
   * A packet that will be handed over in this burst, in a slot at `offset`, told of before the first is, so that what it needs can be
   * fetched from memory meanwhile. Its content is not judged yet, and it may not come after all.
   */
  expectPacket?(bytes: Uint8Array, offset: number): void;
}

export class Transport {
  readonly #context: DeviceContext;
  readonly #handshakes: Handshakes;
  /** By whose key each message of a run was opened; nobody's if it was dropped. */
  readonly #opened: (Keypair | undefined)[] = [];

  constructor(context: DeviceContext, handshakes: Handshakes) {
    this.#context = context;
    this.#handshakes = handshakes;
  }

  /** Opens, in place, the transport message of `length` bytes (at least 32) at `offset`, and delivers it. */
  receive(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Endpoint | undefined,
    now: Instant,
    sink: PacketSink,
  ): void {
    const keypair = this.#keypairOf(u32le(bytes, offset + TRANSPORT.receiver), now);
    const low = u32le(bytes, offset + TRANSPORT.counterLow);
    const high = u32le(bytes, offset + TRANSPORT.counterHigh);
    if (!keypair || !this.#open(keypair, bytes, offset, length, low, high)) return;
    if (!this.#takesCounter(keypair, low, high)) return;
    this.#authenticated(keypair, length, source, now);
    this.#count(this.#deliver(keypair, bytes, offset, length, now, sink));
  }

  /**
   * The transport messages of the burst from `first` on, up to the next of another kind, whose index is returned. All are opened before
   * the first is delivered: the code of the AEAD and that of the stack would else drive each other out of the processor's caches.
   */
  receiveRun(burst: Burst, first: number, now: Instant, sink: PacketSink): number {
    // Elsewhere each message is taken by its bytes.
    if (!WORDS_AS_SENT) return first;
    const { slab, offsets, lengths, endpoints, count } = burst;
    const { words, base } = wordView(slab);
    const opened = this.#opened;
    while (opened.length < count) opened.push(undefined);
    let end = first;
    let receiver = 0;
    let keypair: Keypair | undefined;
    let before: Keypair | undefined;
    let source: Endpoint | undefined;
    for (; end < count; end++) {
      const offset = offsets[end]!;
      const length = lengths[end]!;
      const at = (base + offset) >>> 2;
      if (words[at]! !== TYPE || length < MIN_LENGTH) break;
      opened[end] = undefined;
      const index = words[at + WORD.receiver]!;
      if (keypair === undefined || index !== receiver) keypair = this.#keypairOf(index, now);
      receiver = index;
      if (keypair === undefined) continue;
      const low = words[at + WORD.counterLow]! >>> 0;
      const high = words[at + WORD.counterHigh]! >>> 0;
      if (!this.#open(keypair, slab, offset, length, low, high) || !this.#takesCounter(keypair, low, high)) continue;
      const endpoint = endpoints[end];
      // What one message says of the session, those behind it would only repeat.
      if (keypair === before && endpoint === source) keypair.peer.rxBytes += length;
      else this.#authenticated(keypair, length, endpoint, now);
      before = keypair;
      source = endpoint;
      opened[end] = keypair;
    }
    if (sink.expectPacket !== undefined && end - first >= WORTH_EXPECTING)
      for (let i = first; i < end; i++) if (opened[i] !== undefined) sink.expectPacket(slab, offsets[i]! + HEADER);
    for (let i = first; i < end; i++) {
      const keypair = opened[i];
      if (keypair === undefined) continue;
      opened[i] = undefined;
      // Whom a packet before it was handed to may have ended the session.
      if (keypair.wiped) {
        this.#count('unknown-index');
        continue;
      }
      const offset = offsets[i]!;
      const length = lengths[i]!;
      const at = (base + offset) >>> 2;
      const inner = this.#plainLength(keypair.peer, words, at + WORD.content, length - MIN_LENGTH);
      if (inner > 0) {
        keypair.peer.timers.dataReceived(now);
        sink.handlePacket(slab, offset + HEADER, inner, now, keypair.peer);
      } else this.#count(this.#deliver(keypair, slab, offset, length, now, sink));
    }
    return end;
  }

  /** See `Device.sendPacket`. */
  send(out: Burst, length: number, now: Instant): 'sent' | 'staged' | 'dropped' {
    const { slab } = out;
    const start = out.nextSlot();
    const packet = start + HEADER;
    const { words, base } = wordView(slab);
    const at = (base + start) >>> 2;
    const peer = this.#plainRoute(words, at + WORD.content, length) ?? this.#route(slab, packet, length);
    if (peer === undefined) {
      this.#count('no-route');
      return 'dropped';
    }
    const padded = this.#padded(length);
    if (MIN_LENGTH + padded > out.slotSize) {
      this.#count('oversized-packet');
      return 'dropped';
    }
    const keypair = peer.keypairs.current;
    const { endpoint } = peer;
    if (keypair === undefined || endpoint === undefined || !keypair.canSend(now)) {
      this.#stage(peer, slab.slice(packet, packet + length));
      this.#handshakes.initiate(peer, now);
      return 'staged';
    }
    if (WORDS_AS_SENT && ((length | padded) & 3) === 0) {
      words[at] = TYPE;
      words[at + WORD.receiver] = keypair.remoteIndex;
      words[at + WORD.counterLow] = keypair.sendLow;
      words[at + WORD.counterHigh] = keypair.sendHigh;
      for (let i = at + WORD.content + (length >>> 2); i < at + WORD.content + (padded >>> 2); i++) words[i] = 0;
    } else {
      writeTransportHeader(slab, start, keypair.remoteIndex, keypair.sendLow, keypair.sendHigh);
      slab.fill(0, packet + length, packet + padded);
    }
    out.push(this.#seal(keypair, slab, packet, length, padded, now), endpoint);
    return 'sent';
  }

  /** An empty packet, or a handshake if there is no session to send it on. */
  sendKeepalive(peer: Peer, now: Instant): void {
    if (!this.#sendAlone(peer, EMPTY_PACKET, now)) this.#handshakes.initiate(peer, now);
  }

  /** The packets that waited for a session, oldest first. */
  releaseStaged(peer: Peer, now: Instant): void {
    const { staged, keypairs } = peer;
    while (staged.length > 0 && keypairs.current?.canSend(now) && peer.endpoint) {
      const packet = staged.shift()!;
      this.#sendAlone(peer, packet, now);
      packet.fill(0);
    }
  }

  /** The initiator confirms a new session at once: with what waited for it, or with an empty packet (§5.4.5). */
  confirmSession(peer: Peer, now: Instant): void {
    if (peer.staged.length > 0) this.releaseStaged(peer, now);
    else this.sendKeepalive(peer, now);
  }

  /** The key under this index; undefined, and counted, if it may not be used. */
  #keypairOf(index: number, now: Instant): Keypair | undefined {
    const keypair = this.#context.indices.find(index);
    if (keypair?.kind !== 'keypair') return this.#count('unknown-index');
    return keypair.expired(now) ? this.#count('session-expired') : keypair;
  }

  /** Decrypts in place. False, and counted, if the message is not the peer's. */
  #open({ receive }: Keypair, bytes: Uint8Array, offset: number, length: number, low: number, high: number): boolean {
    if (atMessageLimit(low, high)) {
      this.#count('counter-limit');
      return false;
    }
    if (receive.open(bytes, offset + HEADER, length - HEADER, low, high)) return true;
    this.#count('bad-tag');
    return false;
  }

  /** Whether an authentic message is the first with its counter. Counted if not. */
  #takesCounter({ window }: Keypair, low: number, high: number): boolean {
    if (window.accept(low, high)) return true;
    this.#count('replayed');
    return false;
  }

  #count(reason: WireGuardDrop | undefined): undefined {
    if (reason) this.#context.drops.count(reason);
  }

  #authenticated(keypair: Keypair, length: number, source: Endpoint | undefined, now: Instant): void {
    const { peer } = keypair;
    learnEndpoint(this.#context, peer, source);
    peer.rxBytes += length;
    // Packets of one burst share the moment; each store would be noted for the garbage collector.
    if (peer.lastReceivedAt !== now) peer.lastReceivedAt = now;
    peer.dataUnansweredSince = undefined;
    peer.timers.authenticatedReceived(now);
    const { keypairs } = peer;
    if (keypairs.confirm(keypair)) this.#handshakes.complete(keypair, now);
    if (peer.staged.length > 0) this.releaseStaged(peer, now);
    if (!peer.lastMinuteHandshakeSent && keypairs.current?.wantsRekeyAfterReceiving(now)) {
      peer.lastMinuteHandshakeSent = true;
      this.#handshakes.initiate(peer, now);
    }
  }

  /** The length of the IPv4 packet at word `at`, if it fits `size` bytes and its source is the peer's by the same look-up as the last. */
  #plainLength(peer: Peer, words: Int32Array, at: number, size: number): number {
    const first = words[at]!;
    if (size < IPV4.headerLength || (first & 0xf0) !== 0x40) return 0;
    const length = ((first >>> 8) & 0xff00) | (first >>> 24);
    if (length < IPV4.headerLength || length > size) return 0;
    return this.#context.routes.latestV4(words[at + IPV4.source / 4]!) === peer ? length : 0;
  }

  /** Hands the content of a message to the sink. Returns why not, if so. */
  #deliver(
    { peer }: Keypair,
    bytes: Uint8Array,
    offset: number,
    messageLength: number,
    now: Instant,
    sink: PacketSink,
  ): WireGuardDrop | undefined {
    if (messageLength === MIN_LENGTH) return undefined;
    peer.timers.dataReceived(now);
    const { routes } = this.#context;
    const start = offset + HEADER;
    const length = innerLength(bytes, start, messageLength - MIN_LENGTH);
    if (length === 0) return 'bad-inner-packet';
    const version = bytes[start]! >>> 4;
    const owner = version === 4 ? routes.findV4(bytes, start + IPV4.source) : routes.findV6(bytes, start + IPV6.source);
    if (owner !== peer) return 'source-not-allowed';
    sink.handlePacket(bytes, start, length, now, peer);
    return undefined;
  }

  /** The peer of an IPv4 packet at word `at`, if the last look-up was for its destination. */
  #plainRoute(words: Int32Array, at: number, length: number): Peer | undefined {
    if (!WORDS_AS_SENT || length < IPV4.headerLength || (words[at]! & 0xf0) !== 0x40) return undefined;
    return this.#context.routes.latestV4(words[at + IPV4.destination / 4]!);
  }

  /** The peer that the destination of an inner packet belongs to. */
  #route(bytes: Uint8Array, start: number, length: number): Peer | undefined {
    const { routes } = this.#context;
    const version = bytes[start]! >>> 4;
    if (version === 4 && length >= IPV4.headerLength) return routes.findV4(bytes, start + IPV4.destination);
    if (version === 6 && length >= IPV6.headerLength) return routes.findV6(bytes, start + IPV6.destination);
    return undefined;
  }

  #stage(peer: Peer, packet: Uint8Array): void {
    if (peer.staged.push(packet)) return;
    peer.staged.shift();
    peer.staged.push(packet);
    this.#context.drops.count('staging-full');
  }

  /** Sends a packet that does not lie in a burst. False if there is no session for it. */
  #sendAlone(peer: Peer, packet: Uint8Array, now: Instant): boolean {
    const keypair = peer.keypairs.current;
    if (!keypair?.canSend(now) || !peer.endpoint) return false;
    const padded = this.#padded(packet.length);
    // Zeros, as padding is (§5.4.6).
    const bytes = new Uint8Array(MIN_LENGTH + padded);
    bytes.set(packet, HEADER);
    writeTransportHeader(bytes, 0, keypair.remoteIndex, keypair.sendLow, keypair.sendHigh);
    this.#seal(keypair, bytes, HEADER, packet.length, padded, now);
    this.#context.outputs.push({ kind: 'datagram', to: peer.endpoint, bytes });
    return true;
  }

  /** Seals the padded packet at `packet`, behind its header, and returns the length of the message. The key can send. */
  #seal(keypair: Keypair, bytes: Uint8Array, packet: number, length: number, padded: number, now: Instant): number {
    const { peer, sendLow, sendHigh } = keypair;
    keypair.advance();
    keypair.send.seal(bytes, packet, padded, sendLow, sendHigh);
    const total = HEADER + padded + TAG_LENGTH;
    const { timers } = peer;
    peer.txBytes += total;
    timers.authenticatedSent(now);
    if (length > 0) {
      timers.dataSent(now);
      if (peer.dataUnansweredSince === undefined) peer.dataUnansweredSince = now;
    }
    if (keypair.wantsRekeyAfterSending(now)) this.#handshakes.initiate(peer, now);
    return total;
  }

  /** Padding hides the exact length but never makes a packet larger than the tunnel's MTU. */
  #padded(length: number): number {
    const { mtu } = this.#context;
    const padded = (length + PADDING - 1) & -PADDING;
    return padded <= mtu ? padded : Math.max(length, mtu);
  }
}

const EMPTY_PACKET = new Uint8Array(0);

/** The length that an IP packet of at most `size` bytes claims, or 0 if it is no IP packet or claims more. */
function innerLength(bytes: Uint8Array, start: number, size: number): number {
  const version = bytes[start]! >>> 4;
  if (version === 4 && size >= IPV4.headerLength) {
    const length = u16be(bytes, start + IPV4.totalLength);
    return length >= IPV4.headerLength && length <= size ? length : 0;
  }
  if (version === 6 && size >= IPV6.headerLength) {
    const length = IPV6.headerLength + u16be(bytes, start + IPV6.payloadLength);
    return length <= size ? length : 0;
  }
  return 0;
}
