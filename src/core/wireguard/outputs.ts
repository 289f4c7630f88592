/** What a device has to say: datagrams for the wire and events for its owner, in the order in which they arose. */

import type { Endpoint } from '../base/address.ts';
import type { DropCounter } from '../base/drops.ts';
import type { Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { MAX_QUEUED_OUTPUTS } from './constants.ts';
import type { Peer } from './peer.ts';

/** Why the device dropped a datagram, an inner packet or an intention. Kebab-case, as in the status. */
export type WireGuardDrop =
  /** Neither type nor length is that of a WireGuard message. */
  | 'malformed'
  | 'bad-mac1'
  /** Under load, and the sender has not proven its address: a cookie was sent. */
  | 'cookie-required'
  /** Under load, and the sender has proven its address but sends too much; or it had too many cookies. */
  | 'rate-limited'
  /** The receiver index is nobody's, or that of a handshake where a session was needed. */
  | 'unknown-index'
  | 'unknown-peer'
  /** A Diffie–Hellman result was all zero. */
  | 'low-order-key'
  /** The AEAD tag is wrong: forged, corrupted, or made with another key. */
  | 'bad-tag'
  /** An initiation that is not newer than one already answered. */
  | 'old-timestamp'
  /** Initiations of one peer too close to each other. */
  | 'initiation-flood'
  | 'unexpected-response'
  | 'bad-cookie-reply'
  /** A packet on a session past REJECT_AFTER_TIME. */
  | 'session-expired'
  /** A packet whose counter is REJECT_AFTER_MESSAGES or more. */
  | 'counter-limit'
  | 'replayed'
  /** The decrypted bytes are no IP packet. */
  | 'bad-inner-packet'
  /** The inner source address does not belong to the peer that sent it. */
  | 'source-not-allowed'
  /** Outgoing: no peer is allowed this destination. */
  | 'no-route'
  /** Outgoing: the packet does not fit the slot it was written in. */
  | 'oversized-packet'
  /** Outgoing: the oldest packet that waited for a session gave way to a newer one. */
  | 'staging-full'
  /** Outgoing: packets that waited for a session that did not come. */
  | 'handshake-failed'
  /** A handshake was wanted but the peer's endpoint is not known. */
  | 'no-endpoint'
  /** A handshake was wanted but the wall clock is implausible. */
  | 'clock-implausible'
  /** Nobody drained the outputs. */
  | 'output-queue-full';

export type DeviceOutput =
  /** Send `bytes` to `to`: a handshake message, a cookie reply, a keepalive, or a packet that had waited for a session. */
  | { readonly kind: 'datagram'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** A new session with this peer can be used. */
  | { readonly kind: 'handshake'; readonly peer: Peer; readonly role: 'initiator' | 'responder'; readonly at: Instant }
  /** No answer from this peer; another initiation goes out. The path may be at fault: time to bind a fresh socket. */
  | { readonly kind: 'handshake-retry'; readonly peer: Peer; readonly attempt: number }
  /** `no-answer`: all initiations of a series were in vain. `clock-implausible`: none can be sent, the host's date is wrong. */
  | { readonly kind: 'handshake-failed'; readonly peer: Peer; readonly reason: 'no-answer' | 'clock-implausible' }
  /** The current session is too old to be used, and there is no newer one. */
  | { readonly kind: 'session-expired'; readonly peer: Peer }
  /** An authenticated message came from a new address; it is the peer's endpoint now. */
  | { readonly kind: 'endpoint-changed'; readonly peer: Peer; readonly endpoint: Endpoint };

export class OutputQueue {
  readonly #queue: Queue<DeviceOutput> = new Queue(MAX_QUEUED_OUTPUTS);
  readonly #drops: DropCounter<WireGuardDrop>;

  constructor(drops: DropCounter<WireGuardDrop>) {
    this.#drops = drops;
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  push(output: DeviceOutput): void {
    if (!this.#queue.push(output)) this.#drops.count('output-queue-full');
  }

  shift(): DeviceOutput | undefined {
    return this.#queue.shift();
  }

  clear(): void {
    this.#queue.clear();
  }
}
