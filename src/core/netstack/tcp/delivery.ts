/**
 * In-order bytes on their way to the embedder: each is copied once, out of the packet and into a slab that all connections carve
 * from, and what one connection got in a burst leaves as few chunks as possible. Slabs are never written again where a reader may
 * look; the garbage collector has them when the last chunk is gone. The chunks of different sockets may share one `ArrayBuffer`.
 */

import { copyBytes } from './copy.ts';
import type { TcpHost } from './host.ts';

const SLAB_SIZE = 256 * 1024;
/** A connection reserves at most this much of a slab ahead of its data. */
const RESERVE_MAX = 64 * 1024;

/** The memory that is being carved. One for all connections of a stack. */
export class Slab {
  bytes: Uint8Array = new Uint8Array(0);
  used = 0;

  /** Room for `length` bytes at `used`. */
  ensure(length: number): void {
    if (this.used + length <= this.bytes.length) return;
    this.bytes = new Uint8Array(Math.max(SLAB_SIZE, length));
    this.used = 0;
  }
}

export class Delivery {
  readonly #slab: Slab;
  #chunks: Uint8Array[] = [];
  /** The chunk being filled: `#region[#start..#at)`, with room up to `#end`. */
  #region: Uint8Array | undefined;
  #start = 0;
  #at = 0;
  #end = 0;
  #burstBytes = 0;
  #lastBurstBytes = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get pending(): boolean {
    return this.#burstBytes > 0;
  }

  /** Copies stream bytes out of a packet. */
  append(bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#region || this.#at + length > this.#end) this.#makeRoom(length);
    copyBytes(bytes, offset, this.#region!, this.#at, length);
    this.#at += length;
    this.#burstBytes += length;
  }

  /** Stream bytes that lie in memory which is theirs already. */
  appendView(view: Uint8Array): void {
    this.#closeChunk();
    this.#chunks.push(view);
    this.#burstBytes += view.length;
  }

  /** Emits everything since the last time, in order. Called at the end of a burst. */
  flush(host: TcpHost, socket: number): void {
    this.#closeChunk();
    this.#lastBurstBytes = this.#burstBytes;
    this.#burstBytes = 0;
    if (this.#chunks.length === 1) {
      const bytes = this.#chunks.pop()!;
      host.emit({ kind: 'tcp-data', socket, bytes });
      return;
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    for (const bytes of chunks) host.emit({ kind: 'tcp-data', socket, bytes });
  }

  /** Forgets what was not emitted: after an abort nothing may be delivered. */
  discard(): void {
    this.#closeChunk();
    this.#chunks = [];
    this.#burstBytes = 0;
  }

  #makeRoom(length: number): void {
    const slab = this.#slab;
    // The region ends where carving goes on: it can simply grow.
    if (this.#region === slab.bytes && this.#end === slab.used && this.#at + length <= slab.bytes.length) {
      slab.used = Math.max(slab.used, this.#at + length);
      this.#end = slab.used;
      return;
    }
    this.#closeChunk();
    slab.ensure(length);
    const reserve = Math.max(length, Math.min(this.#lastBurstBytes, RESERVE_MAX, slab.bytes.length - slab.used));
    this.#region = slab.bytes;
    this.#start = this.#at = slab.used;
    this.#end = slab.used += reserve;
  }

  #closeChunk(): void {
    const region = this.#region;
    if (!region) return;
    if (this.#at > this.#start) this.#chunks.push(region.subarray(this.#start, this.#at));
    if (region === this.#slab.bytes && this.#end === this.#slab.used) this.#slab.used = this.#at;
    this.#region = undefined;
  }
}
