/**
 * The part of node:dgram that clients use, for one tunnel; the same tests hold both. What is different, on purpose:
 *
 * - names are resolved inside the tunnel, always: a `lookup` function is ignored;
 * - what was sent before `close` in the same turn still leaves, and `disconnect` keeps the port;
 * - at most 4 MiB wait for a bind or a name, then `send` fails with ENOBUFS;
 * - there is no multicast (ENOSYS); broadcast, TTL and buffer sizes are taken without effect; `ref` and `unref` do nothing.
 */

import { type DgramSocketOptions, type MessageListener, type SocketType, TunnelDgramSocket } from './dgram-socket.ts';
import type { SocketTable } from './socket-table.ts';

export interface TunnelDgram {
  readonly createSocket: (options: SocketType | DgramSocketOptions, listener?: MessageListener) => TunnelDgramSocket;
  readonly Socket: new (options: SocketType | DgramSocketOptions, listener?: MessageListener) => TunnelDgramSocket;
}

/** Builds the `dgram` object of one tunnel. */
export function createDgram(table: SocketTable): TunnelDgram {
  class Socket extends TunnelDgramSocket {
    constructor(options: SocketType | DgramSocketOptions, listener?: MessageListener) {
      super(table, options, listener);
    }
  }
  return { createSocket: (options, listener) => new Socket(options, listener), Socket };
}
