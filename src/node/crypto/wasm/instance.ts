/**
 * An instance of the module in `assembly/`: compiled when the first is made, with a memory of its own that never grows. Its functions
 * take addresses in this memory, and keys and nonces from fixed places; nothing checks them, so the caller must.
 */

import { fromBase64 } from '../../../core/base/bytes.ts';
import { MODULE } from './module.ts';

export interface AeadInstance {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly SEALING: Address;
  readonly OPENING: Address;
  readonly FREE: Address;
  /** See assembly/aead.ts. */
  seal(text: number, length: number, associated: number, associatedLength: number): void;
  /** 1 if the tag is right, else 0. */
  open(text: number, length: number, associated: number, associatedLength: number): number;
  /** See assembly/checksum.ts. */
  sum(address: number, length: number): number;
}

interface Address {
  readonly value: number;
}

/** What is used of WebAssembly, which the types of Node leave out. It is absent under `--jitless`. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: object };
};

/** V8 compiles a function well after it has run for a while, and then in the background: an acknowledgement costs ten times as much before. */
const WARM_UP_PACKETS = 500;
const WARM_UP_LENGTHS = [64, 1424] as const;

/** Throws if there is no WebAssembly here, none with SIMD, or no room for the memory. Takes a few milliseconds. */
export function instantiate(): AeadInstance {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(fromBase64(MODULE)!)).exports as AeadInstance;
  const packet = instance.FREE.value;
  for (let i = 0; i < WARM_UP_PACKETS; i++) {
    for (const length of WARM_UP_LENGTHS) {
      instance.seal(packet, length, packet, 0);
      instance.open(packet, length, packet, 0);
      instance.sum(packet, length);
    }
  }
  return instance;
}
