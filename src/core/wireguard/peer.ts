/** One peer: what its owner may read about it, and the state of its handshake, sessions and timers. */

import type { Endpoint, Prefix } from '../base/address.ts';
import { type Crypto, KEY_LENGTH, type Random } from '../base/crypto.ts';
import type { Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { Initiator } from '../noise/ikpsk2.ts';
import { MAX_STAGED_PACKETS } from './constants.ts';
import { CookieJar } from './cookies.ts';
import type { IndexTable } from './index-table.ts';
import type { Keypair } from './keypair.ts';
import { Keypairs } from './keypairs.ts';
import { Timers } from './timers.ts';

export interface PeerOptions {
  readonly publicKey: Uint8Array;
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: Endpoint;
  readonly allowedIps: readonly Prefix[];
  /** 0 or absent: off. */
  readonly persistentKeepaliveSeconds?: number;
  /** After how long without an answer content makes a new handshake due, in milliseconds. At most, and by default, the paper's 15 s. */
  readonly unansweredAfterMs?: number;
  /**
   * Whether a configured endpoint follows authenticated packets from elsewhere. Default false: it stays where it was
   * configured. A peer without a configured endpoint always follows.
   */
  readonly roaming?: boolean;
}

/** An initiation that waits for its response, under the index that the response will name. */
export interface PendingHandshake {
  readonly kind: 'handshake';
  readonly peer: Peer;
  readonly initiator: Initiator;
  readonly localIndex: number;
}

/** Whom an index belongs to. */
export type IndexOwner = Keypair | PendingHandshake;

export class Peer {
  readonly publicKey: Uint8Array;
  /** Where datagrams to this peer go. */
  endpoint: Endpoint | undefined;
  /** The networks that are this peer's: those configured, without the ones that were given to another peer since. */
  allowedIps: readonly Prefix[] = [];
  /** When the latest session became usable. */
  lastHandshakeAt: Instant | undefined;
  /** When anything authenticated came last: handshake, packet or keepalive. */
  lastReceivedAt: Instant | undefined;
  /** When content was first sent with nothing authenticated received since. */
  dataUnansweredSince: Instant | undefined;
  /** When the first initiation was sent that no handshake has followed yet. */
  initiationUnansweredSince: Instant | undefined;
  /** Bytes of authenticated datagrams, headers included. */
  rxBytes = 0;
  txBytes = 0;

  /** @internal */
  readonly roaming: boolean;
  /** @internal Whether `endpoint` is the owner's word and not what was learned. */
  endpointConfigured: boolean;
  /** @internal */
  readonly cookies: CookieJar;
  /** @internal */
  readonly timers: Timers;
  /** @internal */
  readonly keypairs: Keypairs;
  /** @internal Inner packets that wait for a session. */
  readonly staged: Queue<Uint8Array> = new Queue(MAX_STAGED_PACKETS);
  /** @internal */
  pendingHandshake: PendingHandshake | undefined;
  /** @internal The latest handshake message of either kind: initiations keep their distance from it. */
  lastHandshakeSentAt: Instant | undefined;
  /** @internal The greatest timestamp of an initiation that was answered. */
  greatestTimestamp: Uint8Array | undefined;
  /** @internal */
  lastInitiationReceivedAt: Instant | undefined;
  /** @internal Whether receiving on an old session has asked for a handshake already. */
  lastMinuteHandshakeSent = false;
  readonly #indices: IndexTable<IndexOwner>;
  // Private, as every secret is, so that a peer that is logged or serialised shows none.
  readonly #presharedKey: Uint8Array = new Uint8Array(KEY_LENGTH);
  #staticStatic: Uint8Array | undefined;

  /** @internal Peers are made by `Device.addPeer`. */
  constructor(options: PeerOptions, indices: IndexTable<IndexOwner>, crypto: Crypto, random: Random) {
    this.publicKey = Uint8Array.from(options.publicKey);
    this.endpoint = options.endpoint;
    this.endpointConfigured = options.endpoint !== undefined;
    this.roaming = options.roaming ?? false;
    if (options.presharedKey) this.#presharedKey.set(options.presharedKey);
    this.cookies = new CookieJar(crypto, this.publicKey);
    this.timers = new Timers(random);
    this.timers.setPersistentKeepalive(options.persistentKeepaliveSeconds ?? 0);
    if (options.unansweredAfterMs !== undefined) this.timers.setUnansweredAfter(options.unansweredAfterMs);
    this.#indices = indices;
    this.keypairs = new Keypairs((keypair) => {
      indices.release(keypair.localIndex);
      keypair.wipe();
    });
  }

  /** @internal Whether the endpoint stays where the owner put it. */
  get pinned(): boolean {
    return this.endpointConfigured && !this.roaming;
  }

  /** @internal 32 zero bytes if none was agreed: one is always mixed in. */
  get presharedKey(): Uint8Array {
    return this.#presharedKey;
  }

  /** @internal The static–static Diffie–Hellman result; undefined if it is all zero, and then there is no handshake, ever. */
  get staticStatic(): Uint8Array | undefined {
    return this.#staticStatic;
  }

  set staticStatic(secret: Uint8Array | undefined) {
    this.#staticStatic?.fill(0);
    this.#staticStatic = secret;
  }

  /** @internal Gives up the pending initiation: its index is free and its secrets are zero. */
  dropPendingHandshake(): void {
    if (!this.pendingHandshake) return;
    this.#indices.release(this.pendingHandshake.localIndex);
    this.pendingHandshake.initiator.wipe();
    this.pendingHandshake = undefined;
  }

  /** @internal Forgets every key that was ever agreed with this peer. */
  zeroKeys(): void {
    this.dropPendingHandshake();
    this.keypairs.clear();
    this.cookies.clear();
  }

  /** @internal As `zeroKeys`, and everything else that the owner did not configure, for good or for a new private key. */
  reset(): void {
    this.zeroKeys();
    this.timers.clear();
    for (let packet = this.staged.shift(); packet; packet = this.staged.shift()) packet.fill(0);
    this.staticStatic = undefined;
    this.lastHandshakeAt = undefined;
    this.lastReceivedAt = undefined;
    this.lastHandshakeSentAt = undefined;
    this.dataUnansweredSince = undefined;
    this.initiationUnansweredSince = undefined;
    this.lastMinuteHandshakeSent = false;
  }
}
