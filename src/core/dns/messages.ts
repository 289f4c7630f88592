/** What goes into a resolver and comes out of it. The shapes agree with `core/netstack/messages.ts`, which this layer cannot see. */

import type { IpAddress } from '../base/address.ts';

export interface ResolverQuery {
  /** Chosen by the embedder, never reused. */
  readonly query: number;
  readonly name: string;
  /** 4: A, 6: AAAA, 0: both. */
  readonly family: 4 | 6 | 0;
}

/** As node:dns names them; `ENODNS` is ours. */
export type ResolverErrorCode =
  | 'ENOTFOUND'
  | 'ENODATA'
  | 'ETIMEOUT'
  | 'ESERVFAIL'
  | 'EREFUSED'
  | 'EFORMERR'
  | 'EBADNAME'
  | 'ECANCELLED'
  | 'ENODNS';

export interface ResolverAddress {
  readonly address: IpAddress;
  readonly ttlSeconds: number;
}

export type ResolverResult =
  | { readonly kind: 'addresses'; readonly addresses: readonly ResolverAddress[] }
  | { readonly kind: 'failed'; readonly code: ResolverErrorCode };

/**
 * One question to one server over a socket of its own, so that every query has a fresh random port (RFC 5452 §9.2). Numbered from
 * 1, never reused.
 */
export type ExchangeId = number;

export type ResolverOutput =
  /** Open a socket, send `bytes` to port 53 of `server`; what comes back goes to `handleReply` or `handleStream`. */
  | {
      readonly kind: 'open';
      readonly exchange: ExchangeId;
      readonly transport: 'udp' | 'tcp';
      readonly server: IpAddress;
      readonly bytes: Uint8Array;
    }
  /** The socket of the exchange is not needed any more. */
  | { readonly kind: 'close'; readonly exchange: ExchangeId }
  | { readonly kind: 'resolved'; readonly query: number; readonly result: ResolverResult };

/** Why a reply was not taken: names of drop counters. */
export type DnsDrop =
  /** Of an exchange that is over, from another address than the server's, or with another id or question. */
  'dns-unmatched' | 'dns-malformed';
