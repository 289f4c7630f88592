/**
 * The backend on WebAssembly SIMD, from a source in this repository (`wasm/assembly`): the fastest one, on every processor and system
 * that Node runs on. It works in place on its own memory, which `allocate`
 * hands out; packets that lie elsewhere are copied in and out. X25519 is OpenSSL's, BLAKE2s and XChaCha20 the reference backend's.
 */

import { type AeadKey, type Crypto, KEY_LENGTH, TAG_LENGTH } from '../../core/base/crypto.ts';
import { sumMemoryWith } from '../../core/wire/word-view.ts';
import { copyKey, nobleCrypto } from './noble.ts';
import { nodeCrypto } from './node.ts';
import { Arena } from './wasm/arena.ts';
import { type AeadInstance, instantiate } from './wasm/instance.ts';

// V8 makes constants of a module's own, and looks imported ones up each time.
const KEY_WORDS = KEY_LENGTH / 4;
const TAG = TAG_LENGTH;

let loaded: Crypto | undefined;

/** One for each thread. Throws if there is no WebAssembly with SIMD here. */
export function loadWasm(): Crypto {
  return (loaded ??= wasmCrypto(instantiate()));
}

function wasmCrypto(instance: AeadInstance): Crypto {
  const arena = new Arena(instance.memory.buffer, instance.FREE.value);
  sumMemoryWith(instance.memory.buffer, instance.sum);
  const aead = new WasmAead(instance, arena.allocate(ELSEWHERE_BYTES));
  return {
    name: 'wasm',
    aeadKey: (key) => new WasmAeadKey(key, aead),
    allocate: (bytes) => arena.allocate(bytes),
    release: (memory) => arena.release(memory),
    xaeadSeal: nobleCrypto.xaeadSeal,
    xaeadOpen: nobleCrypto.xaeadOpen,
    keyPair: nodeCrypto.keyPair,
    blake2s: nobleCrypto.blake2s,
  };
}

/** Room for the largest datagram, its associated data, and what aligns them. */
const ELSEWHERE_BYTES = 1 << 17;

/** `nonce` is open for the vectors, which also have nonces that do not begin with four zero bytes. */
class WasmAeadKey implements AeadKey {
  readonly nonce: Uint8Array = new Uint8Array(12);
  readonly #nonce: Int32Array = new Int32Array(this.nonce.buffer);
  readonly #key: Int32Array;
  readonly #aead: WasmAead;

  constructor(key: Uint8Array, aead: WasmAead) {
    this.#key = new Int32Array(copyKey('key', key).buffer);
    this.#aead = aead;
  }

  seal(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): void {
    this.#aead.sealing.use(this.#key, this.#nonce, low, high);
    this.#aead.seal(buffer, offset, length, ad);
  }

  open(buffer: Uint8Array, offset: number, length: number, low: number, high: number, ad?: Uint8Array): boolean {
    if (length < TAG) return false;
    this.#aead.opening.use(this.#key, this.#nonce, low, high);
    return this.#aead.open(buffer, offset, length - TAG, ad);
  }

  wipe(): void {
    this.#key.fill(0);
    this.#aead.forget(this.#key);
  }
}

/** The instance, in terms of buffers. */
class WasmAead {
  readonly sealing: KeyPlace;
  readonly opening: KeyPlace;
  readonly #instance: AeadInstance;
  readonly #bytes: Uint8Array;
  readonly #secrets: Uint8Array;
  readonly #elsewhere: number;
  readonly #sealed: SlabPlace;
  readonly #opened: SlabPlace;

  constructor(instance: AeadInstance, elsewhere: Uint8Array) {
    const { buffer } = instance.memory;
    this.#instance = instance;
    this.#bytes = new Uint8Array(buffer);
    this.sealing = new KeyPlace(buffer, instance.SEALING.value);
    this.opening = new KeyPlace(buffer, instance.OPENING.value);
    this.#secrets = new Uint8Array(buffer, 0, instance.FREE.value);
    this.#elsewhere = elsewhere.byteOffset;
    this.#sealed = new SlabPlace(buffer);
    this.#opened = new SlabPlace(buffer);
  }

  /** Key stream and factors of the last packet go with it. */
  forget(key: Int32Array): void {
    if (!this.sealing.holds(key) && !this.opening.holds(key)) return;
    this.sealing.clear();
    this.opening.clear();
    this.#secrets.fill(0);
  }

  seal(buffer: Uint8Array, offset: number, length: number, ad: Uint8Array | undefined): void {
    requireRoom(buffer, offset, length);
    const base = this.#sealed.baseOf(buffer);
    const adLength = ad ? this.#copyIn(ad, 0) : 0;
    if (base !== ELSEWHERE) {
      this.#instance.seal(base + offset, length, this.#elsewhere, adLength);
      return;
    }
    const at = this.#elsewhere + adLength;
    this.#copyIn(buffer.subarray(offset, offset + length), adLength);
    this.#instance.seal(at, length, this.#elsewhere, adLength);
    buffer.set(this.#bytes.subarray(at, at + length + TAG), offset);
  }

  open(buffer: Uint8Array, offset: number, length: number, ad: Uint8Array | undefined): boolean {
    requireRoom(buffer, offset, length);
    const base = this.#opened.baseOf(buffer);
    const adLength = ad ? this.#copyIn(ad, 0) : 0;
    if (base !== ELSEWHERE) return this.#instance.open(base + offset, length, this.#elsewhere, adLength) === 1;
    const at = this.#elsewhere + adLength;
    this.#copyIn(buffer.subarray(offset, offset + length + TAG), adLength);
    if (this.#instance.open(at, length, this.#elsewhere, adLength) === 0) return false;
    buffer.set(this.#bytes.subarray(at, at + length), offset);
    return true;
  }

  /** Copies `bytes` to where packets from elsewhere lie, `distance` bytes into it. Returns their number. */
  #copyIn(bytes: Uint8Array, distance: number): number {
    if (distance + bytes.length + TAG > ELSEWHERE_BYTES)
      throw new RangeError(`"buffer" expected a datagram, got ${distance + bytes.length} bytes`);
    this.#bytes.set(bytes, this.#elsewhere + distance);
    return bytes.length;
  }
}

/** Where a key lies in the memory, with the nonce behind it. The one used last stays there, since packets come in bursts. */
class KeyPlace {
  readonly #words: Int32Array;
  readonly #at: number;
  #key: Int32Array | undefined;

  constructor(memory: ArrayBuffer, address: number) {
    this.#words = new Int32Array(memory);
    this.#at = address >>> 2;
  }

  use(key: Int32Array, nonce: Int32Array, low: number, high: number): void {
    const words = this.#words;
    const nonceAt = this.#at + KEY_WORDS;
    if (this.#key !== key) {
      for (let i = 0; i < KEY_WORDS; i++) words[this.#at + i] = key[i]!;
      words[nonceAt] = nonce[0]!;
      this.#key = key;
    }
    words[nonceAt + 1] = low;
    words[nonceAt + 2] = high;
  }

  holds(key: Int32Array): boolean {
    return this.#key === key;
  }

  /** What lies there is no key any more. */
  clear(): void {
    this.#key = undefined;
  }
}

const ELSEWHERE = -1;

/** Where a slab lies in the memory. The one used last is remembered: asking a typed array for its buffer takes tens of nanoseconds. */
class SlabPlace {
  readonly #memory: ArrayBuffer;
  #slab: Uint8Array | undefined;
  #base = ELSEWHERE;

  constructor(memory: ArrayBuffer) {
    this.#memory = memory;
  }

  /** The address of the first byte, or ELSEWHERE. */
  baseOf(slab: Uint8Array): number {
    if (this.#slab !== slab) {
      this.#slab = slab;
      this.#base = slab.buffer === this.#memory ? slab.byteOffset : ELSEWHERE;
    }
    return this.#base;
  }
}

/** Throws RangeError unless `length` bytes and a tag fit at `offset`: the module itself would write past the end. */
function requireRoom(buffer: Uint8Array, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length + TAG > buffer.length)
    throw new RangeError(`"buffer" expected room for ${length} bytes and a tag at ${offset}, has ${buffer.length}`);
}
