/**
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (Noise §7.5 and §9; whitepaper §5.4): the two messages of the handshake and the keys
 * that come out of it.
 *
 *     <- s                        the initiator knows the responder's static key
 *     -> e, es, s, ss             initiation, with one payload
 *     <- e, ee, se, psk           response, with one payload
 *
 * Nothing here knows WireGuard's message layout, indices or MACs. The static–static result `ss` is computed once per peer by
 * the caller, because it never changes. A state that fails to read a message is as it was before.
 */

import { ascii, concat } from '../base/bytes.ts';
import { type Crypto, KEY_LENGTH, type KeyPair, TAG_LENGTH } from '../base/crypto.ts';
import { SymmetricState } from './symmetric-state.ts';

const PROTOCOL_NAME = ascii('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s');
const SEALED_STATIC_LENGTH = KEY_LENGTH + TAG_LENGTH;

/** Keys of one session as seen from one side. Whoever makes AEAD keys of them zeroes them. */
export interface SessionKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/** Why a message was not read: its tag was wrong, or a Diffie–Hellman result was all zero. */
export type NoiseFailure = 'bad-tag' | 'low-order-key';

/** What both sides have before the first message. */
export interface NoiseParty {
  readonly crypto: Crypto;
  readonly prologue: Uint8Array;
  readonly localStatic: KeyPair;
}

/** The initiator, from the moment its initiation exists until the response is read. */
export class Initiator {
  readonly #party: NoiseParty;
  readonly #ephemeral: KeyPair;
  readonly #symmetric: SymmetricState;
  /** e ‖ sealed s ‖ sealed payload. */
  readonly message: Uint8Array;

  private constructor(party: NoiseParty, ephemeral: KeyPair, symmetric: SymmetricState, message: Uint8Array) {
    this.#party = party;
    this.#ephemeral = ephemeral;
    this.#symmetric = symmetric;
    this.message = message;
  }

  /**
   * Writes the initiation. `ephemeral` becomes this object's, to be wiped by it; `staticStatic` is only read. Undefined if the
   * responder's static key has low order.
   */
  static create(
    party: NoiseParty,
    remoteStatic: Uint8Array,
    staticStatic: Uint8Array,
    ephemeral: KeyPair,
    payload: Uint8Array,
  ): Initiator | undefined {
    const es = ephemeral.dh(remoteStatic);
    if (!es) return undefined;
    const symmetric = SymmetricState.start(party.crypto, PROTOCOL_NAME, party.prologue);
    symmetric.mixHash(remoteStatic);
    symmetric.mixHash(ephemeral.publicKey);
    symmetric.mixChain(ephemeral.publicKey);
    symmetric.mixKey(es);
    const sealedStatic = symmetric.sealAndHash(party.localStatic.publicKey);
    symmetric.mixKey(Uint8Array.from(staticStatic));
    const sealedPayload = symmetric.sealAndHash(payload);
    return new Initiator(party, ephemeral, symmetric, concat(ephemeral.publicKey, sealedStatic, sealedPayload));
  }

  /** Reads the response `e ‖ sealed payload`. After success the object is of no further use and should be wiped. */
  readResponse(
    message: Uint8Array,
    presharedKey: Uint8Array,
  ): { readonly keys: SessionKeys; readonly payload: Uint8Array; readonly hash: Uint8Array } | NoiseFailure {
    const remoteEphemeral = message.subarray(0, KEY_LENGTH);
    const ee = this.#ephemeral.dh(remoteEphemeral);
    const se = this.#party.localStatic.dh(remoteEphemeral);
    if (!ee || !se) return 'low-order-key';
    const symmetric = this.#symmetric.clone();
    symmetric.mixHash(remoteEphemeral);
    symmetric.mixChain(remoteEphemeral);
    symmetric.mixKey(ee);
    symmetric.mixKey(se);
    symmetric.mixKeyAndHash(presharedKey);
    const payload = symmetric.openAndHash(message.subarray(KEY_LENGTH));
    if (!payload) {
      symmetric.wipe();
      return 'bad-tag';
    }
    const [send, receive] = symmetric.split();
    const hash = Uint8Array.from(symmetric.hash);
    symmetric.wipe();
    return { keys: { send, receive }, payload, hash };
  }

  /** Zeroes the ephemeral key, the chaining key and the hash. */
  wipe(): void {
    this.#ephemeral.wipe();
    this.#symmetric.wipe();
  }
}

/** The responder, from the moment an initiation has named its sender until the response is written. */
export class Responder {
  readonly #symmetric: SymmetricState;
  readonly #remoteEphemeral: Uint8Array;
  readonly #sealedPayload: Uint8Array;
  /** The static key that the initiation claims. It is proven only once `readPayload` has succeeded. */
  readonly remoteStatic: Uint8Array;

  private constructor(symmetric: SymmetricState, message: Uint8Array, remoteStatic: Uint8Array) {
    this.#symmetric = symmetric;
    this.#remoteEphemeral = Uint8Array.from(message.subarray(0, KEY_LENGTH));
    this.#sealedPayload = message.subarray(KEY_LENGTH + SEALED_STATIC_LENGTH);
    this.remoteStatic = remoteStatic;
  }

  /** Reads `e` and `s` of an initiation. `message` must stay unchanged until `readPayload` has returned. */
  static open(party: NoiseParty, message: Uint8Array): Responder | NoiseFailure {
    const remoteEphemeral = message.subarray(0, KEY_LENGTH);
    const es = party.localStatic.dh(remoteEphemeral);
    if (!es) return 'low-order-key';
    const symmetric = SymmetricState.start(party.crypto, PROTOCOL_NAME, party.prologue);
    symmetric.mixHash(party.localStatic.publicKey);
    symmetric.mixHash(remoteEphemeral);
    symmetric.mixChain(remoteEphemeral);
    symmetric.mixKey(es);
    const remoteStatic = symmetric.openAndHash(message.subarray(KEY_LENGTH, KEY_LENGTH + SEALED_STATIC_LENGTH));
    if (remoteStatic) return new Responder(symmetric, message, remoteStatic);
    symmetric.wipe();
    return 'bad-tag';
  }

  /** The payload, now that the caller knows `ss` for the claimed static key; `undefined` if the tag is wrong. */
  readPayload(staticStatic: Uint8Array): Uint8Array | undefined {
    this.#symmetric.mixKey(Uint8Array.from(staticStatic));
    return this.#symmetric.openAndHash(this.#sealedPayload);
  }

  /** Writes the response `e ‖ sealed payload`. Undefined if the initiator's static key has low order. */
  writeResponse(
    ephemeral: KeyPair,
    presharedKey: Uint8Array,
    payload: Uint8Array,
  ): { readonly message: Uint8Array; readonly keys: SessionKeys; readonly hash: Uint8Array } | undefined {
    const ee = ephemeral.dh(this.#remoteEphemeral);
    const se = ephemeral.dh(this.remoteStatic);
    if (!ee || !se) return undefined;
    const symmetric = this.#symmetric;
    symmetric.mixHash(ephemeral.publicKey);
    symmetric.mixChain(ephemeral.publicKey);
    symmetric.mixKey(ee);
    symmetric.mixKey(se);
    symmetric.mixKeyAndHash(presharedKey);
    const message = concat(ephemeral.publicKey, symmetric.sealAndHash(payload));
    const [receive, send] = symmetric.split();
    return { message, keys: { send, receive }, hash: Uint8Array.from(symmetric.hash) };
  }

  /** Zeroes the chaining key and the hash. The ephemeral key of the response is the caller's. */
  wipe(): void {
    this.#symmetric.wipe();
  }
}
