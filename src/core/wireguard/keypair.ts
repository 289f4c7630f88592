/** One session: the keys of both directions, their counters, and whether its age still allows to use it (whitepaper §6.2). */

import type { AeadKey, Crypto } from '../base/crypto.ts';
import { after, type Instant } from '../base/instant.ts';
import type { SessionKeys } from '../noise/ikpsk2.ts';
import {
  atMessageLimit,
  REJECT_AFTER_TIME,
  REKEY_AFTER_MESSAGES_HIGH,
  REKEY_AFTER_TIME,
  REKEY_ON_RECEIVE_AFTER_TIME,
} from './constants.ts';
import type { Peer } from './peer.ts';
import { ReplayWindow } from './replay-window.ts';

export interface KeypairOptions {
  readonly peer: Peer;
  /** Whether this side sent the initiation: only that side renews the session by age. */
  readonly initiator: boolean;
  readonly localIndex: number;
  readonly remoteIndex: number;
}

export class Keypair {
  readonly kind = 'keypair';
  readonly peer: Peer;
  readonly initiator: boolean;
  /** The index the peer addresses us by. */
  readonly localIndex: number;
  /** The index we address the peer by, signed: V8 keeps that as a small integer, so that no packet makes a heap number of it. */
  readonly remoteIndex: number;
  readonly createdAt: Instant;
  /** The moments from which each use of the key asks for a new session, or is refused. */
  readonly #rejectFrom: Instant;
  readonly #rekeyOnSendFrom: Instant;
  readonly #rekeyOnReceiveFrom: Instant;
  readonly send: AeadKey;
  readonly receive: AeadKey;
  readonly window: ReplayWindow = new ReplayWindow();
  /** The counter of the next packet sent, in two halves because it is a 64-bit number. */
  sendLow = 0;
  sendHigh = 0;
  /** Its keys are gone, and so is the session. */
  wiped = false;

  /** Takes the keys over: their bytes are zeroed here. */
  constructor(options: KeypairOptions, keys: SessionKeys, crypto: Crypto, now: Instant) {
    this.peer = options.peer;
    this.initiator = options.initiator;
    this.localIndex = options.localIndex;
    this.remoteIndex = options.remoteIndex | 0;
    this.createdAt = now;
    this.#rejectFrom = after(now, REJECT_AFTER_TIME);
    this.#rekeyOnSendFrom = after(now, REKEY_AFTER_TIME);
    this.#rekeyOnReceiveFrom = after(now, REKEY_ON_RECEIVE_AFTER_TIME);
    this.send = crypto.aeadKey(keys.send);
    this.receive = crypto.aeadKey(keys.receive);
    keys.send.fill(0);
    keys.receive.fill(0);
  }

  /** Past REJECT_AFTER_TIME. Judged when the key is used, so that no stall of the event loop prolongs its life. */
  expired(now: Instant): boolean {
    return now >= this.#rejectFrom;
  }

  canSend(now: Instant): boolean {
    return !this.expired(now) && !atMessageLimit(this.sendLow, this.sendHigh);
  }

  /** Makes the next counter the current one. Only after `canSend`. */
  advance(): void {
    this.sendLow = (this.sendLow + 1) >>> 0;
    if (this.sendLow === 0) this.sendHigh++;
  }

  /** §6.2: whether having sent on this key asks for a new handshake. */
  wantsRekeyAfterSending(now: Instant): boolean {
    if (this.initiator && now >= this.#rekeyOnSendFrom) return true;
    return (
      this.sendHigh > REKEY_AFTER_MESSAGES_HIGH || (this.sendHigh === REKEY_AFTER_MESSAGES_HIGH && this.sendLow > 0)
    );
  }

  /** §6.2: whether having received while this key is current asks for a new handshake. */
  wantsRekeyAfterReceiving(now: Instant): boolean {
    return this.initiator && now >= this.#rekeyOnReceiveFrom;
  }

  wipe(): void {
    this.wiped = true;
    this.send.wipe();
    this.receive.wipe();
  }
}
