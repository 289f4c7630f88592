/**
 * Handshake messages, out and in (whitepaper §5.4.2 to §5.4.4, §6.4). An incoming message passes, in this order, its length, mac1, and
 * under load mac2 and the rate limit, before it costs a Diffie–Hellman; and it changes state only after all of it is authenticated.
 */

import type { Endpoint } from '../base/address.ts';
import { ascii, compareBytes, u32le } from '../base/bytes.ts';
import { KEY_LENGTH, type KeyPair } from '../base/crypto.ts';
import { elapsedMs, type Instant } from '../base/instant.ts';
import { randomBytes } from '../base/random.ts';
import { Initiator, type NoiseParty, Responder } from '../noise/ikpsk2.ts';
import {
  COOKIE_REPLY,
  encodeInitiation,
  encodeResponse,
  INITIATION,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  RESPONSE,
} from '../wire/wireguard.ts';
import { MIN_INITIATION_INTERVAL, PROLOGUE, REKEY_TIMEOUT } from './constants.ts';
import { type DeviceContext, learnEndpoint, peerKey } from './context.ts';
import { CookieIssuer } from './cookies.ts';
import { Keypair } from './keypair.ts';
import { CookieBudget, type LoadMeter } from './load.ts';
import type { WireGuardDrop } from './outputs.ts';
import type { IndexOwner, Peer, PendingHandshake } from './peer.ts';
import { RateLimiter } from './rate-limiter.ts';
import { laterTimestamp, TIMESTAMP_LENGTH } from './timestamps.ts';

const EMPTY = new Uint8Array(0);

export class Handshakes {
  readonly #context: DeviceContext;
  readonly #load: LoadMeter;
  readonly #rateLimiter: RateLimiter = new RateLimiter();
  readonly #cookieBudget: CookieBudget;
  #party: NoiseParty;
  #issuer: CookieIssuer;
  /** The timestamp sent last under this identity. */
  #lastTimestamp: Uint8Array | undefined;

  constructor(context: DeviceContext, privateKey: Uint8Array, load: LoadMeter) {
    this.#context = context;
    this.#load = load;
    this.#cookieBudget = new CookieBudget(context.random);
    this.#party = {
      crypto: context.crypto,
      prologue: ascii(PROLOGUE),
      localStatic: context.crypto.keyPair(privateKey),
    };
    this.#issuer = new CookieIssuer(context.crypto, context.random, this.publicKey);
  }

  get publicKey(): Uint8Array {
    return this.#party.localStatic.publicKey;
  }

  /** Another identity. The caller has reset every peer, and calls `introduce` for each of them again. */
  setPrivateKey(privateKey: Uint8Array): void {
    this.wipe();
    this.#party = { ...this.#party, localStatic: this.#context.crypto.keyPair(privateKey) };
    this.#issuer = new CookieIssuer(this.#context.crypto, this.#context.random, this.publicKey);
    this.#lastTimestamp = undefined;
  }

  /** Computes what every handshake with this peer shares. */
  introduce(peer: Peer): void {
    peer.staticStatic = this.#party.localStatic.dh(peer.publicKey);
  }

  wipe(): void {
    this.#party.localStatic.wipe();
    this.#issuer.wipe();
  }

  /** A handshake is wanted now: by a packet without a session, an old key, a silent peer, or the owner. Starts a new series. */
  initiate(peer: Peer, now: Instant): void {
    peer.timers.restartSeries();
    this.#sendInitiation(peer, now);
  }

  /** The next initiation of the current series. */
  retry(peer: Peer, now: Instant): void {
    this.#sendInitiation(peer, now);
  }

  /**
   * Handles a message of one of the three handshake types, whose length is right. Returns why it was dropped; or the peer with
   * whom this side, as initiator, has a session now, on which the caller sends at once.
   */
  handleMessage(
    type: number,
    message: Uint8Array,
    source: Endpoint | undefined,
    now: Instant,
  ): Peer | WireGuardDrop | undefined {
    if (type === MESSAGE_COOKIE_REPLY) return this.#handleCookieReply(message, now);
    const refusal = this.#admit(message, source, now);
    if (refusal) return refusal;
    if (type === MESSAGE_INITIATION) return this.#handleInitiation(message, source, now);
    return this.#handleResponse(message, source, now);
  }

  /** A session can be used from now on: the response came, or a session that this side answered was confirmed. */
  complete(keypair: Keypair, now: Instant): void {
    const { peer } = keypair;
    peer.timers.handshakeCompleted();
    peer.timers.sessionCurrent(keypair.createdAt);
    peer.lastHandshakeAt = now;
    peer.initiationUnansweredSince = undefined;
    peer.lastMinuteHandshakeSent = false;
    const role = keypair.initiator ? 'initiator' : 'responder';
    this.#context.outputs.push({ kind: 'handshake', peer, role, at: now });
  }

  #sendInitiation(peer: Peer, now: Instant): void {
    const { drops, outputs } = this.#context;
    const lastSentAt = peer.lastHandshakeSentAt;
    if (lastSentAt !== undefined && elapsedMs(lastSentAt, now) < REKEY_TIMEOUT) {
      peer.timers.initiationDeferred(lastSentAt);
      return;
    }
    // An initiation that cannot be sent still counts, so that what waits for it is dropped in the end.
    peer.timers.initiationSent(now);
    const message = this.#createInitiation(peer);
    if (typeof message === 'string') {
      drops.count(message);
      if (message === 'clock-implausible' && peer.timers.initiations === 1)
        outputs.push({ kind: 'handshake-failed', peer, reason: message });
      return;
    }
    peer.initiationUnansweredSince ??= now;
    this.#send(peer, message, now);
  }

  /** The message, or why there can be none. Everything in it but the static key is fresh (§5.4.2). */
  #createInitiation(peer: Peer): Uint8Array | 'no-endpoint' | 'clock-implausible' | 'low-order-key' {
    if (!peer.staticStatic) return 'low-order-key';
    if (!peer.endpoint) return 'no-endpoint';
    const timestamp = this.#timestamp();
    if (!timestamp) return 'clock-implausible';
    const initiator = Initiator.create(this.#party, peer.publicKey, peer.staticStatic, this.#ephemeral(), timestamp);
    if (!initiator) return 'low-order-key';
    peer.dropPendingHandshake();
    const { localIndex } = this.#context.indices.allocate((index): PendingHandshake => {
      peer.pendingHandshake = { kind: 'handshake', peer, initiator, localIndex: index };
      return peer.pendingHandshake;
    });
    return encodeInitiation(localIndex, initiator.message);
  }

  /** The shell's timestamp, or the first step after the one sent last: never the same or an earlier one (§5.1). */
  #timestamp(): Uint8Array | undefined {
    const wall = this.#context.timestamp();
    if (!wall) return undefined;
    this.#lastTimestamp = laterTimestamp(this.#lastTimestamp, wall);
    return this.#lastTimestamp;
  }

  /** Why a handshake message is not worth a Diffie–Hellman, if it is not. May send a cookie. */
  #admit(message: Uint8Array, source: Endpoint | undefined, now: Instant): WireGuardDrop | undefined {
    if (!this.#issuer.checkMac1(message)) return 'bad-mac1';
    // Without a source there is nobody to prove an address: the socket is connected to one endpoint.
    if (!source || !this.#load.underLoad(source, now)) return undefined;
    if (this.#issuer.checkMac2(message, source, now))
      return this.#rateLimiter.allow(source.address, now) ? undefined : 'rate-limited';
    if (!this.#cookieBudget.allow(source, now)) return 'rate-limited';
    const bytes = this.#issuer.createReply(message, source, now);
    this.#context.outputs.push({ kind: 'datagram', to: source, bytes });
    return 'cookie-required';
  }

  #handleInitiation(message: Uint8Array, source: Endpoint | undefined, now: Instant): WireGuardDrop | undefined {
    const responder = Responder.open(this.#party, message.subarray(INITIATION.noise, INITIATION.noiseEnd));
    if (typeof responder === 'string') return responder;
    const dropped = this.#answer(responder, message, source, now);
    responder.wipe();
    return dropped;
  }

  #answer(
    responder: Responder,
    message: Uint8Array,
    source: Endpoint | undefined,
    now: Instant,
  ): WireGuardDrop | undefined {
    const peer = this.#context.peers.get(peerKey(responder.remoteStatic));
    if (!peer) return 'unknown-peer';
    if (!peer.staticStatic) return 'low-order-key';
    const timestamp = responder.readPayload(peer.staticStatic);
    if (timestamp?.length !== TIMESTAMP_LENGTH) return 'bad-tag';
    if (peer.greatestTimestamp && compareBytes(timestamp, peer.greatestTimestamp) <= 0) return 'old-timestamp';
    const lastAt = peer.lastInitiationReceivedAt;
    if (lastAt !== undefined && elapsedMs(lastAt, now) < MIN_INITIATION_INTERVAL) return 'initiation-flood';

    const ephemeral = this.#ephemeral();
    const response = responder.writeResponse(ephemeral, peer.presharedKey, EMPTY);
    ephemeral.wipe();
    if (!response) return 'low-order-key';
    peer.greatestTimestamp = Uint8Array.from(timestamp);
    peer.lastInitiationReceivedAt = now;
    const remoteIndex = u32le(message, INITIATION.sender);
    const keypair = this.#derive({ peer, initiator: false, remoteIndex }, response.keys, now);
    peer.keypairs.addResponded(keypair);
    this.#authenticated(peer, message, source, now);
    this.#send(peer, encodeResponse(keypair.localIndex, remoteIndex, response.message), now);
    return undefined;
  }

  #handleResponse(message: Uint8Array, source: Endpoint | undefined, now: Instant): Peer | WireGuardDrop {
    const pending = this.#context.indices.find(u32le(message, RESPONSE.receiver));
    if (pending?.kind !== 'handshake') return 'unexpected-response';
    const { peer, initiator, localIndex } = pending;
    const noise = message.subarray(RESPONSE.noise, RESPONSE.noiseEnd);
    const response = initiator.readResponse(noise, peer.presharedKey);
    if (typeof response === 'string') return response;
    const remoteIndex = u32le(message, RESPONSE.sender);
    const keypair = this.#derive({ peer, initiator: true, remoteIndex, localIndex }, response.keys, now);
    peer.pendingHandshake = undefined;
    initiator.wipe();
    peer.keypairs.addInitiated(keypair);
    this.#authenticated(peer, message, source, now);
    this.complete(keypair, now);
    return peer;
  }

  /** A cookie is kept for the next scheduled initiation; it neither triggers one nor moves the endpoint (§6.6). */
  #handleCookieReply(message: Uint8Array, now: Instant): WireGuardDrop | undefined {
    const owner = this.#context.indices.find(u32le(message, COOKIE_REPLY.receiver));
    if (!owner) return 'unknown-index';
    return owner.peer.cookies.takeReply(message, now) ? undefined : 'bad-cookie-reply';
  }

  /** The session of keys just agreed: under the index of the pending initiation, or under a new one. */
  #derive(
    options: { peer: Peer; initiator: boolean; remoteIndex: number; localIndex?: number },
    keys: { send: Uint8Array; receive: Uint8Array },
    now: Instant,
  ): Keypair {
    const { crypto, indices } = this.#context;
    const create = (localIndex: number): Keypair => new Keypair({ ...options, localIndex }, keys, crypto, now);
    options.peer.timers.sessionDerived(now);
    if (options.localIndex === undefined) return indices.allocate<Keypair>(create);
    const keypair = create(options.localIndex);
    indices.replace(options.localIndex, keypair satisfies IndexOwner);
    return keypair;
  }

  #authenticated(peer: Peer, message: Uint8Array, source: Endpoint | undefined, now: Instant): void {
    learnEndpoint(this.#context, peer, source);
    peer.rxBytes += message.length;
    peer.lastReceivedAt = now;
    peer.dataUnansweredSince = undefined;
    peer.timers.authenticatedReceived(now);
  }

  /** Signs and sends a handshake message, if it is known where to. */
  #send(peer: Peer, message: Uint8Array, now: Instant): void {
    if (!peer.endpoint) return;
    peer.cookies.sign(message, now);
    peer.lastHandshakeSentAt = now;
    peer.txBytes += message.length;
    peer.timers.authenticatedSent(now);
    this.#context.outputs.push({ kind: 'datagram', to: peer.endpoint, bytes: message });
  }

  #ephemeral(): KeyPair {
    const bytes = randomBytes(this.#context.random, KEY_LENGTH);
    const pair = this.#context.crypto.keyPair(bytes);
    bytes.fill(0);
    return pair;
  }
}
