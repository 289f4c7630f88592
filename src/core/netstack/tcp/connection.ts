/**
 * One connection: identity, state, its two halves, and what the embedder may ask of it. What a segment does to it is `arrive.ts`,
 * what it sends is `transmit.ts`, what time does to it `deadlines.ts`; the transitions are the table in `state.ts`.
 */

import { type IpAddress, ipFromBytes } from '../../base/address.ts';
import type { Instant } from '../../base/instant.ts';
import { PlainHeaders } from '../../wire/plain-packet.ts';
import type { SocketAddress, SocketErrorCode } from '../messages.ts';
import type { PortHold } from '../ports.ts';
import { initialWindow } from './congestion/controller.ts';
import { KeepAlive } from './keepalive.ts';
import type { Listener } from './listener.ts';
import { Receiver } from './receiver.ts';
import { resetOf } from './replies.ts';
import { announcedMss, payloadLimit, peerMss, windowScaleFor } from './segment-size.ts';
import { Sender } from './sender.ts';
import { seqAdd, seqDiff } from './sequence.ts';
import { SizeTrial } from './size-trial.ts';
import type { Stack } from './stack.ts';
import { nextState, STATES, type State, type StateEvent, type StateRow } from './state.ts';
import type { Timed } from './timers.ts';

/** RFC 5961 §7, for each connection alone: a limit for all would be a side channel (CVE-2016-5696). */
const CHALLENGE_INTERVAL_MS = 500;

export interface ConnectionIdentity {
  readonly socket: number;
  readonly tuple: Int32Array;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  readonly initialSequence: number;
  readonly clockOffset: number;
  /** The port taken for it; connections of a listener have none. */
  readonly hold?: PortHold;
  readonly listener?: Listener;
}

export class Connection implements Timed {
  // First what every packet asks for, so that it lies together in the processor's caches.

  readonly receiver: Receiver;
  readonly sender: Sender;
  readonly stack: Stack;
  state: State;
  row: StateRow;
  /** In the queue of those that may have something to send; in the list of those touched in this burst. */
  queued = false;
  touched = false;
  /** Place in the stack's table, -1 once it is gone. */
  index = -1;
  /** In force only if both SYNs had the option. */
  timestamps = true;
  /** TS.Recent, Last.ACK.sent (RFC 7323 §4.3). */
  timestampRecent = 0;
  lastAckSent = 0;
  /** Of our timestamp clock: see `clock`. */
  readonly clockOffset: number;
  /** How its packets look once it is established, if they are plain. */
  plain: PlainHeaders | undefined;
  keepAlive: KeepAlive | undefined;
  readonly socket: number;
  /** Due to be sent: an acknowledgement, a SYN (or SYN and ACK), a keepalive probe. */
  ackDue = false;
  probeDue = false;
  /** The tunnel carries less than our SYN has promised, and the peer is to be told (too-big.ts). */
  tooBigDue = false;
  /** The embedder is to be told of the peer's FIN. */
  #endPending = false;

  synDue = true;
  sackPermitted = true;
  timerIndex = -1;
  timerAt = 0;
  readonly identity: ConnectionIdentity;
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  readonly family: 4 | 6;
  /** Why it ended, if not by both FINs. */
  error: SocketErrorCode | undefined;
  /** The embedder has been told of it. */
  announced = false;
  /** When TS.Recent was set. */
  timestampRecentAt: Instant;
  /** The MSS of our SYN; its window scale, -1 to leave the option out. */
  readonly ourMss: number;
  offeredScale: number;
  /** What this connection learned about its path, in bytes of IP packet. */
  pathMtu: number = Number.POSITIVE_INFINITY;
  /** Only while segments are smaller than they might be. */
  trial: SizeTrial | undefined;

  synRetries = 0;
  synSentAt: Instant;
  /** Retransmission timeouts since the peer last answered, and how long they took together. */
  timeouts = 0;
  unansweredMs = 0;
  /** What an ICMP error said that need not be final (RFC 1122 §4.2.3.9). */
  softError: SocketErrorCode | undefined;
  #peerMss = 0;
  #challengedAt = Number.NEGATIVE_INFINITY;
  #shutdownQueued = false;

  constructor(stack: Stack, identity: ConnectionIdentity, state: 'syn-sent' | 'syn-received', now: Instant) {
    const { settings, host, memory, slab } = stack;
    this.stack = stack;
    this.identity = identity;
    this.socket = identity.socket;
    this.clockOffset = identity.clockOffset;
    this.local = identity.local;
    this.remote = identity.remote;
    this.localPort = identity.localPort;
    this.remotePort = identity.remotePort;
    this.family = identity.local.length === 4 ? 4 : 6;
    this.ourMss = announcedMss(this.family, host.mtu);
    this.offeredScale = windowScaleFor(settings.receiveWindowMax);
    this.sender = new Sender(settings, memory);
    this.receiver = new Receiver(settings, memory, slab, now);
    this.state = state;
    this.row = STATES[state];
    this.timestampRecentAt = this.synSentAt = now;
    this.sender.open(identity.initialSequence);
  }

  get localAddress(): SocketAddress {
    return { address: ipFromBytes(this.local), port: this.localPort };
  }

  get remoteAddress(): SocketAddress {
    return { address: this.remoteIp, port: this.remotePort };
  }

  get remoteIp(): IpAddress {
    return ipFromBytes(this.remote);
  }

  /** Our timestamp clock: milliseconds from an origin that outsiders do not know (RFC 7323 §5.4). */
  clock(now: Instant): number {
    return seqAdd(Math.floor(now), this.clockOffset);
  }

  /** When the clock read `echo`, in milliseconds of `Instant`. */
  sentWhenClockRead(echo: number, now: Instant): number {
    return Math.floor(now) - seqDiff(this.clock(now), echo);
  }

  // What the embedder asks for. Commands that come too late are ignored.

  /** Throws RangeError for more than was granted. */
  write(bytes: Uint8Array): void {
    if (this.#shutdownQueued || this.state === 'closed') return;
    if (!this.sender.write(bytes)) throw new RangeError('"bytes" expected no more than the credit granted');
    this.stack.wantsOutput(this);
  }

  credit(bytes: number, now: Instant): void {
    const announce = this.receiver.credit(bytes, this, now);
    if (this.receiver.starved) this.stack.shareWindows(now);
    if (!announce || !this.row.receives) return;
    this.ackDue = true;
    this.stack.wantsOutput(this);
  }

  shutdown(): void {
    if (this.#shutdownQueued) return;
    this.#shutdownQueued = true;
    if (this.row.synchronized) this.#queueFin();
  }

  /** RST to the peer, if it can know of us; nothing more is delivered. */
  abort(): void {
    if (this.state === 'closed') return;
    if (this.state !== 'syn-sent') this.stack.reply(resetOf(this));
    this.receiver.delivery.discard();
    this.#endPending = false;
    this.fail(undefined);
  }

  setKeepAlive(idleMs: number, now: Instant): void {
    this.keepAlive = idleMs > 0 ? new KeepAlive(idleMs, now) : undefined;
    if (this.row.synchronized) this.keepAlive?.start(now);
    this.stack.touch(this);
  }

  // What the network did.

  advance(event: StateEvent): void {
    this.state = nextState(this.state, event);
    this.row = STATES[this.state];
  }

  /** What both SYNs said about options (RFC 7323, 2018): in force only if both had them. */
  negotiate(mss: number, scale: number, timestamps: boolean, sackPermitted: boolean): void {
    this.#peerMss = peerMss(this.family, mss);
    this.timestamps = this.timestamps && timestamps;
    this.sackPermitted = this.sackPermitted && sackPermitted;
    if (scale < 0) this.offeredScale = -1;
    else if (this.offeredScale >= 0) this.sender.scale = scale;
  }

  /** Both SYNs are known to be acknowledged: the connection can carry data. */
  establish(event: 'receive-syn-ack' | 'syn-acknowledged', now: Instant): void {
    const { sender, receiver } = this;
    if (this.synRetries === 0) sender.recovery.rtt.sample(Math.max(now - this.synSentAt, 0.001), 1);
    else sender.recovery.rtt.afterLostSyn();
    const mss = this.#payloadLimit();
    // A SYN lost twice is congestion (RFC 6298 §5.7).
    sender.establish(mss, this.synRetries > 1 ? mss : initialWindow(mss), this.sackPermitted);
    receiver.mss = payloadLimit(this.family, this.ourMss, this.stack.host.mtu, this.timestamps);
    this.unansweredMs = 0;
    if (this.family === 4 && this.timestamps)
      this.plain = new PlainHeaders(this.local, this.remote, this.localPort, this.remotePort);
    this.advance(event);
    this.keepAlive?.start(now);
    if (this.#shutdownQueued) this.#queueFin();
  }

  /** The end, for the reason given; data that came before is delivered. */
  fail(error: SocketErrorCode | undefined): void {
    if (this.state === 'closed') return;
    this.error = error;
    this.advance('abort');
    this.stack.touch(this);
  }

  /** SND.UNA moved, or the peer said that its window is closed: it is there, and so is the path. */
  answered(): void {
    this.unansweredMs = 0;
    this.timeouts = 0;
    this.softError = undefined;
    if (this.trial?.succeeded(this.sender.una)) this.widenPath();
  }

  /** Answers something unacceptable with an acknowledgement, seldom (RFC 5961 §7). */
  challenge(now: Instant): void {
    if (now - this.#challengedAt < CHALLENGE_INTERVAL_MS) {
      this.stack.host.count('tcp-rate-limited');
      return;
    }
    this.#challengedAt = now;
    this.ackDue = true;
  }

  /** The peer's FIN has been reached. */
  receivedFin(): void {
    this.advance('receive-fin');
    this.#endPending = true;
  }

  /** The path to the peer takes less than we thought; larger segments are tried again `retryMs` later. */
  narrowPath(now: Instant, retryMs?: number): void {
    this.followPath();
    if (this.trial) this.trial.restart(now, retryMs);
    else this.trial = new SizeTrial(now, retryMs);
  }

  /** The tunnel's MTU, or what is known of the path, is another. */
  followPath(): void {
    const mss = this.#payloadLimit();
    if (!this.row.synchronized || mss === this.sender.mss) return;
    if (mss < this.sender.mss) this.sender.narrow(mss);
    else this.sender.widen(mss);
    this.stack.wantsOutput(this);
  }

  /** The tunnel's MTU is another, in both directions. */
  followTunnel(): void {
    this.followPath();
    if (!this.row.receives || this.ourMss <= announcedMss(this.family, this.stack.host.mtu)) return;
    this.tooBigDue = true;
    this.stack.wantsOutput(this);
  }

  /** The trial's segment arrived: the path takes what it might. */
  widenPath(): void {
    this.trial = undefined;
    this.pathMtu = Number.POSITIVE_INFINITY;
    this.followPath();
  }

  /** The payload of a segment if the path takes all that it is not known to refuse. */
  largestPayload(): number {
    return payloadLimit(this.family, this.#peerMss, this.stack.host.mtuFor(this.remoteIp), this.timestamps);
  }

  /** The end of a burst or a call: hands over data, tells credit, decides about acknowledging. */
  flush(now: Instant): void {
    const { host, settings } = this.stack;
    const { receiver, sender, socket } = this;
    if (receiver.delivery.pending) receiver.delivery.flush(host, socket);
    if (sender.starved) this.stack.shareCredit(now);
    if (sender.creditOwed > 0 && this.row.sends) {
      host.emit({ kind: 'tcp-write-credit', socket, bytes: sender.creditOwed });
      sender.creditOwed = 0;
    }
    if (this.#endPending) {
      this.#endPending = false;
      host.emit({ kind: 'tcp-end', socket });
    }
    if (receiver.acks.due(receiver.tuning, this, receiver.mss, settings.delayedAckMs, now)) this.ackDue = true;
  }

  /** As the receiver measured it, or else the sender. */
  get rttMs(): number {
    return this.receiver.tuning.rttMs || this.sender.recovery.rtt.smoothedMs;
  }

  #queueFin(): void {
    this.sender.finQueued = true;
    this.advance('shutdown');
    this.stack.wantsOutput(this);
  }

  #payloadLimit(): number {
    const mtu = Math.min(this.pathMtu, this.stack.host.mtuFor(this.remoteIp));
    return payloadLimit(this.family, this.#peerMss, mtu, this.timestamps);
  }
}
