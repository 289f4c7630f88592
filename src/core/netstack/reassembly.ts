/**
 * Puts fragmented UDP datagrams together (RFC 791 §3.2, RFC 815, RFC 8200 §4.5). Fragments of anything else are dropped: TCP and ICMP
 * have no need of them. Everything is bounded, since anybody can send fragments: datagrams, pieces of one, bytes of all, time.
 * Pieces that overlap condemn their datagram (RFC 5722 §4), over IPv4 too.
 */

import { toHex } from '../base/bytes.ts';
import { after, type Instant } from '../base/instant.ts';
import { type IpHeader, PROTOCOL_UDP } from '../wire/ip.ts';
import { ipHeaderLength, writeIpHeader } from '../wire/ip-packet.ts';
import type { NetstackDrop } from './drops.ts';

/** Between the 15 s of RFC 791 §3.2 and the 60 s of RFC 8200 §4.5; what Linux does. */
const LIFETIME_MS = 30_000;
const MAX_DATAGRAMS = 64;
const MAX_PIECES = 64;
const MAX_BYTES = 512 * 1024;
const MAX_PAYLOAD = 65_515;

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface PartialDatagram {
  readonly key: string;
  readonly expiresAt: Instant;
  /** In order, without overlap. Emptied, but remembered, once condemned. */
  pieces: Piece[];
  condemned: boolean;
  /** Known once the last piece is there. */
  total: number | undefined;
  /** Sum of the pieces' lengths. */
  received: number;
}

export class Reassembly {
  readonly #count: (reason: NetstackDrop) => void;
  /** The oldest first. */
  readonly #partials: Map<string, PartialDatagram> = new Map();
  #bytes = 0;

  constructor(count: (reason: NetstackDrop) => void) {
    this.#count = count;
  }

  /** Takes one fragment, whose bytes are copied. A whole IP packet if it was the one that was missing. */
  add(bytes: Uint8Array, ip: IpHeader, now: Instant): Uint8Array | undefined {
    const { payloadOffset, payloadLength, fragmentOffset, moreFragments, protocol } = ip;
    const end = fragmentOffset + payloadLength;
    if (protocol !== PROTOCOL_UDP) this.#count('fragment-unsupported');
    else if (payloadLength === 0 || (moreFragments && payloadLength % 8 !== 0) || end > MAX_PAYLOAD)
      this.#count('fragment-invalid');
    else {
      const partial = this.#partialFor(bytes, ip, now);
      const piece = { offset: fragmentOffset, bytes: bytes.slice(payloadOffset, payloadOffset + payloadLength) };
      const fault = this.#insert(partial, piece, moreFragments);
      if (fault) this.#count(fault);
      else if (partial.received === partial.total) return this.#finish(partial, bytes, ip);
      this.#makeRoom();
    }
    return undefined;
  }

  handleTimeout(now: Instant): void {
    for (const partial of this.#partials.values()) {
      if (partial.expiresAt > now) return;
      this.#forget(partial, 'fragment-timeout');
    }
  }

  nextTimeout(): Instant | undefined {
    if (this.#partials.size === 0) return undefined;
    for (const partial of this.#partials.values()) return partial.expiresAt;
    return undefined;
  }

  clear(): void {
    this.#partials.clear();
    this.#bytes = 0;
  }

  #partialFor(bytes: Uint8Array, ip: IpHeader, now: Instant): PartialDatagram {
    const addresses = toHex(bytes.subarray(ip.sourceOffset, ip.sourceOffset + (ip.family === 4 ? 8 : 32)));
    const key = `${addresses} ${ip.identification}`;
    const known = this.#partials.get(key);
    if (known) return known;
    const expiresAt = after(now, LIFETIME_MS);
    const partial = { key, expiresAt, pieces: [], condemned: false, total: undefined, received: 0 };
    this.#partials.set(key, partial);
    return partial;
  }

  #insert(partial: PartialDatagram, piece: Piece, moreFragments: boolean): NetstackDrop | undefined {
    const { pieces } = partial;
    if (partial.condemned) return 'fragment-overlap';
    const end = piece.offset + piece.bytes.length;
    const at = pieces.findIndex((other) => other.offset >= piece.offset);
    const before = at < 0 ? pieces.at(-1) : pieces[at - 1];
    const behind = at < 0 ? undefined : pieces[at];
    if (behind?.offset === piece.offset && behind.bytes.length === piece.bytes.length) return undefined;
    const overlaps =
      (before !== undefined && before.offset + before.bytes.length > piece.offset) ||
      (behind !== undefined && behind.offset < end);
    const pastEnd = partial.total !== undefined && (end > partial.total || !moreFragments);
    if (overlaps || pastEnd || (!moreFragments && behind !== undefined)) {
      this.#condemn(partial);
      return 'fragment-overlap';
    }
    if (pieces.length === MAX_PIECES) {
      this.#condemn(partial);
      return 'fragment-memory';
    }
    if (!moreFragments) partial.total = end;
    pieces.splice(at < 0 ? pieces.length : at, 0, piece);
    partial.received += piece.bytes.length;
    this.#bytes += piece.bytes.length;
    return undefined;
  }

  /** The datagram as one packet that was never cut. */
  #finish(partial: PartialDatagram, bytes: Uint8Array, ip: IpHeader): Uint8Array {
    const addressLength = ip.family === 4 ? 4 : 16;
    const headerLength = ipHeaderLength(ip.family);
    const packet = new Uint8Array(headerLength + partial.received);
    const source = bytes.slice(ip.sourceOffset, ip.sourceOffset + addressLength);
    const destination = bytes.slice(ip.destinationOffset, ip.destinationOffset + addressLength);
    writeIpHeader(packet, 0, partial.received, PROTOCOL_UDP, source, destination, ip.hopLimit);
    for (const piece of partial.pieces) packet.set(piece.bytes, headerLength + piece.offset);
    this.#condemn(partial);
    this.#partials.delete(partial.key);
    return packet;
  }

  /** Frees its bytes. What comes later of the datagram finds it and is dropped. */
  #condemn(partial: PartialDatagram): void {
    this.#bytes -= partial.received;
    partial.received = 0;
    partial.pieces = [];
    partial.condemned = true;
  }

  #makeRoom(): void {
    for (const partial of this.#partials.values()) {
      if (this.#partials.size <= MAX_DATAGRAMS && this.#bytes <= MAX_BYTES) return;
      this.#forget(partial, 'fragment-memory');
    }
  }

  #forget(partial: PartialDatagram, reason: NetstackDrop): void {
    if (!partial.condemned) this.#count(reason);
    this.#condemn(partial);
    this.#partials.delete(partial.key);
  }
}
