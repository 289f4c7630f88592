/** Options and addresses of `net.Socket`, in node:net's words. */

import { formatIp } from '../core/base/address.ts';
import type { SocketAddress } from '../core/netstack/messages.ts';
import { invalidArgValue } from './node-errors.ts';
import type { OnReadOptions } from './user-buffer.ts';

const DEFAULT_KEEP_ALIVE_MS = 7_200_000;

export interface SocketOptions {
  /** True: the socket stays writable after the peer's end. */
  readonly allowHalfOpen?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: boolean | undefined;
  /** In milliseconds; below 1000 the system's usual two hours. */
  readonly keepAliveInitialDelay?: number | undefined;
  readonly highWaterMark?: number | undefined;
  readonly readableHighWaterMark?: number | undefined;
  readonly writableHighWaterMark?: number | undefined;
  /** Received bytes go into this memory instead of into the stream: `connect` only. */
  readonly onread?: OnReadOptions | undefined;
}

export interface AddressInfo {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/** The fields of an address as `address()` reports them; `{}` for none. */
export function info(local: SocketAddress | undefined): Partial<AddressInfo> {
  if (!local) return {};
  const { address, port } = local;
  return { address: formatIp(address), family: address.family === 4 ? 'IPv4' : 'IPv6', port };
}

/** Options for the Duplex underneath. Throws ERR_INVALID_ARG_VALUE for what a tunnel's socket cannot do. */
export function streamOptions(options: SocketOptions): object {
  const given = options as Record<string, unknown>;
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode', 'fd', 'handle'])
    if (given[name]) throw invalidArgValue(`options.${name}`, given[name], 'is not supported');
  const { highWaterMark, readableHighWaterMark, writableHighWaterMark } = options;
  const marks = Object.entries({ highWaterMark, readableHighWaterMark, writableHighWaterMark });
  return {
    ...Object.fromEntries(marks.filter(([, value]) => value !== undefined)),
    allowHalfOpen: Boolean(options.allowHalfOpen),
    emitClose: false,
    autoDestroy: true,
  };
}

/** 0 is off; whole seconds, as node:net passes them on. */
export function keepAliveMs(enable: boolean | undefined, initialDelayMs: number | undefined): number {
  if (!enable) return 0;
  return Math.trunc((initialDelayMs ?? 0) / 1000) * 1000 || DEFAULT_KEEP_ALIVE_MS;
}
