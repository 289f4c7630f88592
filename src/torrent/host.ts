/**
 * What a torrent client needs of a tunnel. The public `Tunnel` satisfies it, and so does a host of the sandbox. The types name the
 * little that is used, so that anything socket-shaped fits.
 */

import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { ClientDriver } from '../node/client-driver.ts';

export interface TunnelHost {
  readonly net: HostNet;
  readonly dgram: HostDgram;
  readonly dns: HostDns;
  /** Follows redirects, opens connections only where `net` would, and obeys `signal`. */
  fetch(url: string, init?: HostRequest): Promise<HostResponse>;
  /** Present if the host tells its clients when to pause, and which port they are reached by. */
  attachClient?(driver: ClientDriver): void;
  detachClient?(driver: ClientDriver): void;
}

export interface HostNet {
  connect(options: { readonly host: string; readonly port: number }): Duplex;
  createServer(): HostServer;
}

type Events = Pick<EventEmitter, 'on' | 'once' | 'removeListener' | 'emit'>;

/** The part of `net.Server` that is used, with `listen` in both of Node's forms. */
export interface HostServer extends Events {
  listen(port: number, onListening?: () => void): unknown;
  listen(options: HostListenOptions, onListening?: () => void): unknown;
  /** The port that peers can reach: the external one of a forwarded listener. */
  address(): { readonly port: number } | string | null;
  /** The port inside the tunnel, for a forwarded listener without a lease. */
  readonly internalPort?: number | undefined;
  close(onClosed?: (error?: Error) => void): unknown;
}

export interface HostListenOptions {
  readonly port: number;
  readonly host?: string | undefined;
  /** Listens for what the provider forwards. */
  readonly forwarded?: boolean | undefined;
}

export interface HostDgram {
  createSocket(
    type: 'udp4' | 'udp6' | { readonly type: 'udp4' | 'udp6'; readonly reuseAddr?: boolean },
  ): HostDatagramSocket;
}

export interface HostDatagramSocket extends Events {
  bind(port?: number, address?: string, onListening?: () => void): unknown;
  bind(options: HostListenOptions, onListening?: () => void): unknown;
  /** A name in `host` is resolved inside the tunnel; `port` may be text, as in node:dgram. */
  send(
    bytes: Uint8Array,
    offset: number,
    length: number,
    port: number | string,
    host: string,
    onSent?: (error: Error | null) => void,
  ): void;
  address(): { readonly address: string; readonly port: number };
  /** The port inside the tunnel, for a forwarded socket without a lease. */
  readonly internalPort?: number | undefined;
  close(onClosed?: () => void): unknown;
}

export interface HostDns {
  lookup(
    name: string,
    options: { readonly family: 4 },
    callback: (error: Error | null, address?: string, family?: number) => void,
  ): void;
}

export interface HostRequest {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export interface HostResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Iterable<[string, string]>;
  readonly body: AsyncIterable<Uint8Array> | null;
}
