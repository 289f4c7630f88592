/**
 * In-order bytes on their way to the embedder: each is copied once, out of the packet and into memory that all connections carve
 * from, and what one connection got in a burst leaves as few chunks as possible. Memory is never written again while a reader may
 * look: the garbage collector has it when the last chunk is gone, unless the embedder gives its chunks back. The chunks of different
 * sockets may share one `ArrayBuffer`.
 */

import { copyFromSlot } from './copy.ts';
import type { TcpHost } from './host.ts';

/** Small enough to stay in the cache of a core, and for a reader that keeps a few bytes of it. */
const PIECE_SIZE = 64 * 1024;
/** A connection reserves at most this much of a piece ahead of its data. */
const RESERVE_MAX = 32 * 1024;
/** Chunks begin at multiples of this: copies to and from shared memory are four times slower if only one end does. */
const ALIGNMENT = 8;
/** Pieces that are watched for chunks to come back: more than one burst fills, which is up to 1 MiB where the system joins datagrams. */
const WATCHED = 24;
/** Chunks of a piece whose views are kept. */
const VIEWS = 64;

class Piece {
  readonly bytes: Uint8Array;
  /** Of `bytes`, which takes long to say. */
  readonly memory: ArrayBufferLike;
  /** Carved up to here. */
  used = 0;
  /** Chunks that a reader has, and regions that are being filled. */
  users = 0;
  /** Of the chunks in their order, this time or the last: cut to the same measure again, they need no new view. */
  readonly #views: Uint8Array[] = [];
  #cut = 0;
  #returned = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.memory = this.bytes.buffer;
  }

  /** A chunk, filled and for a reader. */
  chunk(start: number, end: number): Uint8Array {
    const place = this.#cut++;
    const kept = this.#views[place];
    if (kept !== undefined && kept.byteOffset === start && kept.length === end - start) return kept;
    const view = this.bytes.subarray(start, end);
    if (place < VIEWS) this.#views[place] = view;
    return view;
  }

  /** True if `chunk` is the next to come back of those cut, in their order: `memory` takes longer to ask for. */
  returns(chunk: Uint8Array): boolean {
    if (this.#returned >= this.#cut || this.#views[this.#returned] !== chunk) return false;
    this.#returned++;
    return true;
  }

  /** Nobody uses it: it is carved anew. */
  restart(): void {
    this.used = 0;
    this.#cut = 0;
    this.#returned = 0;
  }
}

/** The memory that is carved, piece by piece. One for all connections of a stack. */
export class Slab {
  piece: Piece = new Piece(0);
  /** The latest pieces, this one too: those of them that nobody uses are used again. */
  readonly #watched: Piece[] = [];

  /** Room for `length` bytes in `piece`, at its `used`. */
  ensure(length: number): void {
    if (this.piece.used + length <= this.piece.bytes.length) return;
    this.piece = this.#free(length) ?? this.#make(Math.max(PIECE_SIZE, aligned(length)));
    this.piece.restart();
  }

  /** A reader is done with a chunk that was handed over, and keeps no view of it. */
  reclaim(chunk: Uint8Array): void {
    const piece = this.piece.returns(chunk) ? this.piece : this.#holder(chunk.buffer);
    if (piece) this.leave(piece);
  }

  /** One user less. The last one leaves all of it. */
  leave(piece: Piece): void {
    if (--piece.users === 0) piece.restart();
  }

  #free(length: number): Piece | undefined {
    return this.#watched.find((piece) => piece.users === 0 && piece.bytes.length >= length);
  }

  #holder(memory: ArrayBufferLike): Piece | undefined {
    return this.piece.memory === memory ? this.piece : this.#watched.find((piece) => piece.memory === memory);
  }

  #make(size: number): Piece {
    const piece = new Piece(size);
    if (this.#watched.length === WATCHED) this.#watched.shift();
    this.#watched.push(piece);
    return piece;
  }
}

export class Delivery {
  /** The chunk being filled: `#piece.bytes[#start..#at)`, with room up to `#end`. */
  #piece: Piece | undefined;
  #at = 0;
  #end = 0;
  #start = 0;
  #burstBytes = 0;
  #lastBurstBytes = 0;
  readonly #slab: Slab;
  /** Those filled before it, if there are any. */
  #chunks: Uint8Array[] | undefined;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get pending(): boolean {
    return this.#burstBytes > 0;
  }

  /** Copies stream bytes out of a packet. */
  append(bytes: Uint8Array, offset: number, length: number): void {
    if (this.#piece === undefined || this.#at + length > this.#end) this.#makeRoom(length);
    copyFromSlot(bytes, offset, this.#piece!.bytes, this.#at, length);
    this.#at += length;
    this.#burstBytes += length;
  }

  /** Stream bytes that lie in memory which is theirs already. */
  appendView(view: Uint8Array): void {
    this.#closeChunk();
    this.#push(view);
    this.#burstBytes += view.length;
  }

  /** Emits everything since the last time, in order. Called at the end of a burst. */
  flush(host: TcpHost, socket: number): void {
    const last = this.#cutChunk();
    this.#lastBurstBytes = this.#burstBytes;
    this.#burstBytes = 0;
    if (this.#chunks !== undefined) {
      for (const bytes of this.#chunks) host.emit({ kind: 'tcp-data', socket, bytes });
      this.#chunks = undefined;
    }
    if (last !== undefined) host.emit({ kind: 'tcp-data', socket, bytes: last });
  }

  /** Forgets what was not emitted: after an abort nothing may be delivered. */
  discard(): void {
    this.#closeChunk();
    for (const chunk of this.#chunks ?? []) this.#slab.reclaim(chunk);
    this.#chunks = undefined;
    this.#burstBytes = 0;
  }

  #makeRoom(length: number): void {
    const slab = this.#slab;
    const before = this.#piece;
    // The region ends where carving goes on: it can simply grow.
    if (
      before !== undefined &&
      before === slab.piece &&
      this.#end === before.used &&
      this.#at + length <= before.bytes.length
    ) {
      before.used = Math.max(before.used, aligned(this.#at + length));
      this.#end = before.used;
      return;
    }
    this.#closeChunk();
    slab.ensure(length);
    const { piece } = slab;
    const reserve = aligned(
      Math.max(length, Math.min(this.#lastBurstBytes, RESERVE_MAX, piece.bytes.length - piece.used)),
    );
    this.#piece = piece;
    this.#start = this.#at = piece.used;
    this.#end = piece.used += reserve;
    piece.users++;
  }

  #closeChunk(): void {
    const chunk = this.#cutChunk();
    if (chunk !== undefined) this.#push(chunk);
  }

  #push(chunk: Uint8Array): void {
    if (this.#chunks === undefined) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
  }

  /** The chunk being filled, which then is none any more. Undefined if there is nothing in it. */
  #cutChunk(): Uint8Array | undefined {
    const piece = this.#piece;
    if (piece === undefined) return undefined;
    this.#piece = undefined;
    if (piece === this.#slab.piece && this.#end === piece.used) piece.used = aligned(this.#at);
    if (this.#at > this.#start) return piece.chunk(this.#start, this.#at);
    this.#slab.leave(piece);
    return undefined;
  }
}

function aligned(bytes: number): number {
  return (bytes + ALIGNMENT - 1) & -ALIGNMENT;
}
