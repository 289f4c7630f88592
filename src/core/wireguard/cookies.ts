/**
 * The MACs of handshake messages and the cookies of a loaded responder (whitepaper §5.3, §5.4.4, §5.4.7).
 *
 * mac1 proves that the sender knows the receiver's public key. mac2 proves that it owns its address: its key is a cookie that the
 * receiver sent there, made from the address and a secret that changes every two minutes.
 */

import type { Endpoint } from '../base/address.ts';
import { ascii, concat, equalConstantTime, isAllZero, u32le } from '../base/bytes.ts';
import { type Crypto, KEY_LENGTH, type Random } from '../base/crypto.ts';
import { elapsedMs, type Instant } from '../base/instant.ts';
import { randomBytes } from '../base/random.ts';
import { COOKIE_REPLY, COOKIE_REPLY_LENGTH, encodeCookieReply, INITIATION, MAC_LENGTH } from '../wire/wireguard.ts';
import { COOKIE_REFRESH_TIME, LABEL_COOKIE, LABEL_MAC1 } from './constants.ts';

const NONCE_LENGTH = 24;
const MACS_LENGTH = 2 * MAC_LENGTH;

/** The two keys that follow from a receiver's public key: of mac1, and of the sealed cookie. */
export interface MacKeys {
  readonly mac1: Uint8Array;
  readonly cookie: Uint8Array;
}

export function macKeys(crypto: Crypto, publicKey: Uint8Array): MacKeys {
  return {
    mac1: crypto.blake2s(concat(ascii(LABEL_MAC1), publicKey), KEY_LENGTH),
    cookie: crypto.blake2s(concat(ascii(LABEL_COOKIE), publicKey), KEY_LENGTH),
  };
}

/** The receiving side: checks MACs and issues cookies. One per device. */
export class CookieIssuer {
  readonly #crypto: Crypto;
  readonly #random: Random;
  readonly #keys: MacKeys;
  #secret: { readonly bytes: Uint8Array; readonly since: Instant } | undefined;

  constructor(crypto: Crypto, random: Random, publicKey: Uint8Array) {
    this.#crypto = crypto;
    this.#random = random;
    this.#keys = macKeys(crypto, publicKey);
  }

  /** Whether the first MAC of a handshake message is right: the least that any answer requires. */
  checkMac1(message: Uint8Array): boolean {
    const end = message.length - MACS_LENGTH;
    const expected = this.#crypto.blake2s(message.subarray(0, end), MAC_LENGTH, this.#keys.mac1);
    return equalConstantTime(expected, message.subarray(end, end + MAC_LENGTH));
  }

  /** Whether the second MAC was made with the cookie of this source. */
  checkMac2(message: Uint8Array, source: Endpoint, now: Instant): boolean {
    const end = message.length - MAC_LENGTH;
    const mac2 = message.subarray(end);
    if (isAllZero(mac2)) return false;
    return equalConstantTime(
      this.#crypto.blake2s(message.subarray(0, end), MAC_LENGTH, this.#cookie(source, now)),
      mac2,
    );
  }

  /** The reply that carries a cookie for the sender of `message`, sealed so that only who saw the message can use it. */
  createReply(message: Uint8Array, source: Endpoint, now: Instant): Uint8Array {
    const nonce = randomBytes(this.#random, NONCE_LENGTH);
    const mac1 = message.subarray(message.length - MACS_LENGTH, message.length - MAC_LENGTH);
    const sealed = this.#crypto.xaeadSeal(this.#keys.cookie, nonce, this.#cookie(source, now), mac1);
    return encodeCookieReply(u32le(message, INITIATION.sender), nonce, sealed);
  }

  wipe(): void {
    this.#secret?.bytes.fill(0);
    this.#secret = undefined;
  }

  #cookie({ address, port }: Endpoint, now: Instant): Uint8Array {
    if (!this.#secret || elapsedMs(this.#secret.since, now) >= COOKIE_REFRESH_TIME) {
      this.#secret?.bytes.fill(0);
      this.#secret = { bytes: randomBytes(this.#random, KEY_LENGTH), since: now };
    }
    return this.#crypto.blake2s(concat(address.bytes, Uint8Array.of(port >>> 8, port)), MAC_LENGTH, this.#secret.bytes);
  }
}

/** The sending side: puts MACs on handshake messages and keeps the peer's latest cookie. One per peer. */
export class CookieJar {
  readonly #crypto: Crypto;
  readonly #keys: MacKeys;
  /** The mac1 sent last, until a cookie reply to it was taken. */
  #outstandingMac1: Uint8Array | undefined;
  #cookie: { readonly bytes: Uint8Array; readonly since: Instant } | undefined;

  constructor(crypto: Crypto, peerPublicKey: Uint8Array) {
    this.#crypto = crypto;
    this.#keys = macKeys(crypto, peerPublicKey);
  }

  /** Fills in both MACs of a handshake message; mac2 stays zero without a cookie younger than two minutes. */
  sign(message: Uint8Array, now: Instant): void {
    const end = message.length - MACS_LENGTH;
    const mac1 = this.#crypto.blake2s(message.subarray(0, end), MAC_LENGTH, this.#keys.mac1);
    message.set(mac1, end);
    this.#outstandingMac1 = mac1;
    if (!this.#cookie) return;
    if (elapsedMs(this.#cookie.since, now) >= COOKIE_REFRESH_TIME) {
      this.clear();
      return;
    }
    const unsigned = message.subarray(0, end + MAC_LENGTH);
    message.set(this.#crypto.blake2s(unsigned, MAC_LENGTH, this.#cookie.bytes), end + MAC_LENGTH);
  }

  /** Keeps the cookie of a reply to the message sent last. False if it answers no such message, or its tag is wrong. */
  takeReply(reply: Uint8Array, now: Instant): boolean {
    if (!this.#outstandingMac1) return false;
    const nonce = reply.subarray(COOKIE_REPLY.nonce, COOKIE_REPLY.cookie);
    const sealed = reply.subarray(COOKIE_REPLY.cookie, COOKIE_REPLY_LENGTH);
    const bytes = this.#crypto.xaeadOpen(this.#keys.cookie, nonce, sealed, this.#outstandingMac1);
    if (!bytes) return false;
    this.clear();
    this.#cookie = { bytes, since: now };
    this.#outstandingMac1 = undefined;
    return true;
  }

  /** Forgets the cookie. */
  clear(): void {
    this.#cookie?.bytes.fill(0);
    this.#cookie = undefined;
  }
}
