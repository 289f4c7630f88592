/**
 * The one seam between sockets and the engine: commands in, events out, bytes in chunks. Nothing is returned and nothing is
 * shared, so the same sockets run over an engine on this thread, behind a slow queue, or on a worker.
 *
 * Flow control is credit, both ways. Reading: the engine hands over stream bytes as soon as they are in order; the receive
 * window it advertises shrinks by what was handed over and not yet given back with `tcp-credit`. Writing: `tcp-connected` and
 * `tcp-accepted` grant an initial number of bytes that may be written, each `tcp-write-credit` grants more.
 *
 * The union is open for raw IP packets (a TUN in a namespace): they will share the port allocator of `Netstack`.
 */

import type { IpAddress } from '../base/address.ts';

/** Names one socket. Positive: chosen by the embedder, never reused. Negative: chosen by the engine, for accepted connections. */
export type SocketId = number;

/** An address and port inside the tunnel. */
export interface SocketAddress {
  readonly address: IpAddress;
  readonly port: number;
}

export type SocketCommand =
  | TcpConnect
  | TcpListen
  /** At most the granted credit. The engine has copied `bytes` when the matching credit comes back. */
  | { readonly kind: 'tcp-write'; readonly socket: SocketId; readonly bytes: Uint8Array }
  /** The reader has taken `bytes` more bytes of those handed over. */
  | { readonly kind: 'tcp-credit'; readonly socket: SocketId; readonly bytes: number }
  /** No more writes: FIN after what was written. Reading goes on. */
  | { readonly kind: 'tcp-shutdown'; readonly socket: SocketId }
  /** RST, at once; what was not sent is dropped. `closed` follows. */
  | { readonly kind: 'tcp-abort'; readonly socket: SocketId }
  | TcpOptions
  | UdpBind
  | {
      readonly kind: 'udp-send';
      readonly socket: SocketId;
      readonly bytes: Uint8Array;
      readonly to: SocketAddress;
    }
  /** Closes a listener or a UDP socket. `closed` follows; connections that a listener had accepted live on. */
  | { readonly kind: 'close'; readonly socket: SocketId }
  | Resolve
  | { readonly kind: 'resolve-cancel'; readonly query: number };

export interface TcpConnect {
  readonly kind: 'tcp-connect';
  readonly socket: SocketId;
  readonly to: SocketAddress;
  /** 0 or absent: any free port (RFC 6056). */
  readonly localPort?: number;
  readonly localAddress?: IpAddress;
}

export interface TcpListen {
  readonly kind: 'tcp-listen';
  readonly socket: SocketId;
  /** 0: any free port. */
  readonly port: number;
  /** Absent: every address of the stack, both families. */
  readonly address?: IpAddress;
  /** Connections established and not yet announced, at most. */
  readonly backlog: number;
}

export interface TcpOptions {
  readonly kind: 'tcp-options';
  readonly socket: SocketId;
  readonly noDelay?: boolean;
  /** Idle time before the first probe, in milliseconds; 0 switches keepalive off (RFC 9293 §3.8.4). */
  readonly keepAliveMs?: number;
}

export interface UdpBind {
  readonly kind: 'udp-bind';
  readonly socket: SocketId;
  readonly family: 4 | 6;
  /** 0: any free port. */
  readonly port: number;
  readonly address?: IpAddress;
  readonly reuseAddress?: boolean;
}

export interface Resolve {
  readonly kind: 'resolve';
  readonly query: number;
  readonly name: string;
  /** 4: A, 6: AAAA, 0: both. */
  readonly family: 4 | 6 | 0;
}

export type SocketEvent =
  | {
      readonly kind: 'tcp-connected';
      readonly socket: SocketId;
      readonly local: SocketAddress;
      readonly remote: SocketAddress;
      readonly writeCredit: number;
    }
  | {
      readonly kind: 'tcp-accepted';
      readonly listener: SocketId;
      readonly socket: SocketId;
      readonly local: SocketAddress;
      readonly remote: SocketAddress;
      readonly writeCredit: number;
    }
  /** The listener or UDP socket is bound; `local.address` is all zero if every address is meant. */
  | { readonly kind: 'bound'; readonly socket: SocketId; readonly local: SocketAddress }
  /** In-order stream bytes. The memory belongs to the receiver, unless it gives it back (`Netstack.reclaim`). */
  | { readonly kind: 'tcp-data'; readonly socket: SocketId; readonly bytes: Uint8Array }
  /** The peer's FIN, behind all of its data. Writing may go on. */
  | { readonly kind: 'tcp-end'; readonly socket: SocketId }
  | { readonly kind: 'tcp-write-credit'; readonly socket: SocketId; readonly bytes: number }
  | {
      readonly kind: 'udp-datagram';
      readonly socket: SocketId;
      readonly bytes: Uint8Array;
      readonly from: SocketAddress;
    }
  /** The last event of every socket: both directions ended, or `error` says why it could not be opened or went on no longer. */
  | { readonly kind: 'closed'; readonly socket: SocketId; readonly error?: SocketErrorCode }
  | { readonly kind: 'resolved'; readonly query: number; readonly result: ResolveResult };

/** Node's own names, so that the shell passes them on. */
export type SocketErrorCode =
  | 'EADDRINUSE'
  | 'EADDRNOTAVAIL'
  | 'ECONNABORTED'
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'EHOSTUNREACH'
  | 'EMFILE'
  | 'EMSGSIZE'
  | 'ENETUNREACH'
  | 'ETIMEDOUT';

export type ResolveResult =
  | { readonly kind: 'addresses'; readonly addresses: readonly ResolvedAddress[] }
  | { readonly kind: 'failed'; readonly code: ResolveErrorCode };

export interface ResolvedAddress {
  readonly address: IpAddress;
  readonly ttlSeconds: number;
}

/**
 * Names as node:dns has them. `ENOTFOUND`: the name does not exist; `ENODATA`: it has no address of this family; `ETIMEOUT`: no
 * server answered; `ESERVFAIL`, `EREFUSED`, `EFORMERR`: the servers' own words; `ENODNS` is ours: no DNS server is configured.
 */
export type ResolveErrorCode =
  | 'ENOTFOUND'
  | 'ENODATA'
  | 'ETIMEOUT'
  | 'ESERVFAIL'
  | 'EREFUSED'
  | 'EFORMERR'
  | 'EBADNAME'
  | 'ECANCELLED'
  | 'ENODNS';
