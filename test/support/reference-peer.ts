/**
 * A second, independent reading of the whitepaper for tests, written for plainness: no state machine, no timers, every value in the
 * caller's hands. It shares no code with `src`.
 */

import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import nacl from 'tweetnacl';

const CONSTRUCTION = Buffer.from('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s');
const IDENTIFIER = Buffer.from('WireGuard v1 zx2c4 Jason@zx2c4.com');

const hash = (...parts: Uint8Array[]): Uint8Array => blake2s(Buffer.concat(parts));
const mac = (key: Uint8Array, input: Uint8Array): Uint8Array => blake2s(input, { key, dkLen: 16 });
const hmacBlake2s = (key: Uint8Array, input: Uint8Array): Uint8Array => hmac(blake2s, key, input);
const zeros = (length: number): Uint8Array => new Uint8Array(length);

function kdf(key: Uint8Array, input: Uint8Array, count: number): Uint8Array[] {
  const secret = hmacBlake2s(key, input);
  const outputs: Uint8Array[] = [];
  for (let i = 1; i <= count; i++)
    outputs.push(hmacBlake2s(secret, Buffer.concat([outputs.at(-1) ?? zeros(0), Buffer.of(i)])));
  return outputs;
}

function nonce(counter: bigint): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64LE(counter, 4);
  return bytes;
}

const seal = (key: Uint8Array, counter: bigint, plaintext: Uint8Array, ad: Uint8Array): Uint8Array =>
  chacha20poly1305(key, nonce(counter), ad).encrypt(plaintext);

function open(key: Uint8Array, counter: bigint, sealed: Uint8Array, ad: Uint8Array): Uint8Array | undefined {
  try {
    return chacha20poly1305(key, nonce(counter), ad).decrypt(sealed);
  } catch {
    return undefined;
  }
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** An ephemeral key; the public key may be forged. */
export interface Ephemeral {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface InitiationOptions {
  readonly index: number;
  readonly timestamp: Uint8Array;
  readonly ephemeral: Ephemeral;
  readonly cookie?: Uint8Array;
  /** In place of the true result: an attacker knows that of a key of low order. */
  readonly staticStatic?: Uint8Array;
}

/** Keys of one session as this side sees it. */
export class ReferenceSession {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly remoteIndex: number;

  constructor(sendKey: Uint8Array, receiveKey: Uint8Array, remoteIndex: number) {
    this.sendKey = sendKey;
    this.receiveKey = receiveKey;
    this.remoteIndex = remoteIndex;
  }

  /** A transport message with exactly this plaintext, unpadded. */
  seal(counter: bigint, plaintext: Uint8Array = zeros(0)): Uint8Array {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(4, 0);
    header.writeUInt32LE(this.remoteIndex, 4);
    header.writeBigUInt64LE(counter, 8);
    return Buffer.concat([header, seal(this.sendKey, counter, plaintext, zeros(0))]);
  }

  open(message: Uint8Array): { readonly counter: bigint; readonly plaintext: Uint8Array } | undefined {
    const bytes = Buffer.from(message);
    const counter = bytes.readBigUInt64LE(8);
    const plaintext = open(this.receiveKey, counter, bytes.subarray(16), zeros(0));
    return plaintext && { counter, plaintext };
  }
}

export class ReferencePeer {
  readonly privateKey: Uint8Array;
  publicKey: Uint8Array;
  readonly remoteKey: Uint8Array;
  presharedKey: Uint8Array = zeros(32);
  #chain: Uint8Array = zeros(0);
  #hash: Uint8Array = zeros(0);
  #ephemeral: Ephemeral | undefined;

  constructor(privateKey: Uint8Array, remoteKey: Uint8Array) {
    this.privateKey = privateKey;
    this.publicKey = nacl.scalarMult.base(privateKey);
    this.remoteKey = remoteKey;
  }

  static ephemeral(privateKey: Uint8Array): Ephemeral {
    return { privateKey, publicKey: nacl.scalarMult.base(privateKey) };
  }

  /** §5.4.2. Remembers what `readResponse` needs. */
  initiation({ index, timestamp, ephemeral, cookie, staticStatic }: InitiationOptions): Uint8Array {
    let [chain, running] = this.#start(this.remoteKey, ephemeral.publicKey);
    let key: Uint8Array;
    [chain, key] = kdf(chain, nacl.scalarMult(ephemeral.privateKey, this.remoteKey), 2) as [Uint8Array, Uint8Array];
    const sealedStatic = seal(key, 0n, this.publicKey, running);
    running = hash(running, sealedStatic);
    const ss = staticStatic ?? nacl.scalarMult(this.privateKey, this.remoteKey);
    [chain, key] = kdf(chain, ss, 2) as [Uint8Array, Uint8Array];
    const sealedTimestamp = seal(key, 0n, timestamp, running);
    this.#hash = hash(running, sealedTimestamp);
    this.#chain = chain;
    this.#ephemeral = ephemeral;
    return this.sign(
      Buffer.concat([u32(1), u32(index), ephemeral.publicKey, sealedStatic, sealedTimestamp, zeros(32)]),
      cookie,
    );
  }

  /** §5.4.3 as the initiator reads it; undefined if the tag is wrong. */
  readResponse(message: Uint8Array): ReferenceSession | undefined {
    const bytes = Buffer.from(message);
    const remote = bytes.subarray(12, 44);
    const [chain, running, key] = this.#mixResponse(
      remote,
      nacl.scalarMult(this.#ephemeral!.privateKey, remote),
      nacl.scalarMult(this.privateKey, remote),
    );
    if (!open(key, 0n, bytes.subarray(44, 60), running)) return undefined;
    const [send, receive] = kdf(chain, zeros(0), 2) as [Uint8Array, Uint8Array];
    return new ReferenceSession(send, receive, bytes.readUInt32LE(4));
  }

  /** §5.4.2 as the responder reads it, and §5.4.3 as it answers. Throws if a tag is wrong. */
  respond(message: Uint8Array, index: number, ephemeral: Ephemeral): ReferenceResponse {
    const bytes = Buffer.from(message);
    const remote = bytes.subarray(8, 40);
    let [chain, running] = this.#start(this.publicKey, remote);
    let key: Uint8Array;
    [chain, key] = kdf(chain, nacl.scalarMult(this.privateKey, remote), 2) as [Uint8Array, Uint8Array];
    const remoteStatic = open(key, 0n, bytes.subarray(40, 88), running);
    if (!remoteStatic) throw new Error('the static key does not open');
    running = hash(running, bytes.subarray(40, 88));
    [chain, key] = kdf(chain, nacl.scalarMult(this.privateKey, remoteStatic), 2) as [Uint8Array, Uint8Array];
    const timestamp = open(key, 0n, bytes.subarray(88, 116), running);
    if (!timestamp) throw new Error('the timestamp does not open');
    this.#chain = chain;
    this.#hash = hash(running, bytes.subarray(88, 116));
    const mixed = this.#mixResponse(
      ephemeral.publicKey,
      nacl.scalarMult(ephemeral.privateKey, remote),
      nacl.scalarMult(ephemeral.privateKey, remoteStatic),
    );
    const sealed = seal(mixed[2], 0n, zeros(0), mixed[1]);
    const remoteIndex = bytes.readUInt32LE(4);
    const body = Buffer.concat([u32(2), u32(index), u32(remoteIndex), ephemeral.publicKey, sealed, zeros(32)]);
    const [receive, send] = kdf(mixed[0], zeros(0), 2) as [Uint8Array, Uint8Array];
    return {
      message: this.sign(body),
      session: new ReferenceSession(send, receive, remoteIndex),
      timestamp,
      remoteStatic,
    };
  }

  /** §5.4.4: makes both MACs of a handshake message, in place. */
  sign(message: Uint8Array, cookie?: Uint8Array): Uint8Array {
    const end = message.length - 32;
    message.set(mac(hash(Buffer.from('mac1----'), this.remoteKey), message.subarray(0, end)), end);
    message.set(cookie ? mac(cookie, message.subarray(0, end + 16)) : zeros(16), end + 16);
    return message;
  }

  /** §5.4.7: a cookie reply to a handshake message of the remote peer. */
  cookieReply(message: Uint8Array, cookie: Uint8Array, nonce24: Uint8Array): Uint8Array {
    const mac1 = message.subarray(message.length - 32, message.length - 16);
    const sealed = xchacha20poly1305(hash(Buffer.from('cookie--'), this.publicKey), nonce24, mac1).encrypt(cookie);
    return Buffer.concat([u32(3), message.subarray(4, 8), nonce24, sealed]);
  }

  /** The cookie in a reply to `message`; throws if the tag is wrong. */
  readCookie(reply: Uint8Array, message: Uint8Array): Uint8Array {
    const mac1 = message.subarray(message.length - 32, message.length - 16);
    const key = hash(Buffer.from('cookie--'), this.remoteKey);
    return xchacha20poly1305(key, reply.subarray(8, 32), mac1).decrypt(reply.subarray(32));
  }

  #start(responderStatic: Uint8Array, ephemeral: Uint8Array): [Uint8Array, Uint8Array] {
    const chain = hash(CONSTRUCTION);
    const running = hash(hash(hash(chain, IDENTIFIER), responderStatic), ephemeral);
    return [kdf(chain, ephemeral, 1)[0]!, running];
  }

  #mixResponse(ephemeral: Uint8Array, ee: Uint8Array, se: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
    let chain = kdf(this.#chain, ephemeral, 1)[0]!;
    chain = kdf(kdf(chain, ee, 1)[0]!, se, 1)[0]!;
    const [next, mixin, key] = kdf(chain, this.presharedKey, 3) as [Uint8Array, Uint8Array, Uint8Array];
    return [next, hash(hash(this.#hash, ephemeral), mixin), key];
  }
}

export interface ReferenceResponse {
  readonly message: Uint8Array;
  readonly session: ReferenceSession;
  readonly timestamp: Uint8Array;
  readonly remoteStatic: Uint8Array;
}
