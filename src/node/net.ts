/**
 * The part of node:net that clients use, for one tunnel. `import net from 'node:net'` and `tunnel.net` are called alike, and one set
 * of tests holds both to the same behaviour. What is different, on purpose:
 *
 * - names are resolved inside the tunnel, always: a `lookup` function is ignored;
 * - several addresses of a name are tried one after another, 2.5 s each but the last, never two at once;
 * - a server's `address()` answers from `listening` on, and `close` comes when the engine has let go of the port;
 * - `listen({ forwarded: true })` listens for what the provider forwards;
 * - Unix sockets, file descriptors and handles are refused with ERR_INVALID_ARG_VALUE;
 * - `ref` and `unref` do nothing.
 */

import { isIP, isIPv4, isIPv6 } from './is-ip.ts';
import { type ConnectOptions, normalizeArguments } from './net-arguments.ts';
import { type ConnectionListener, TunnelServer } from './net-server.ts';
import type { ServerOptions } from './net-server-options.ts';
import { type Accepted, TunnelSocket } from './net-socket.ts';
import type { SocketOptions } from './net-socket-options.ts';
import type { SocketTable } from './socket-table.ts';

type Listener = () => void;

export interface ConnectFunction {
  (options: ConnectOptions & SocketOptions, listener?: Listener): TunnelSocket;
  (port: number | string, host?: string | Listener, listener?: Listener): TunnelSocket;
}

export interface TunnelNet {
  readonly connect: ConnectFunction;
  readonly createConnection: ConnectFunction;
  readonly createServer: (
    options?: ServerOptions | ConnectionListener | null,
    listener?: ConnectionListener,
  ) => TunnelServer;
  readonly Socket: new (options?: SocketOptions) => TunnelSocket;
  readonly Server: new (
    options?: ServerOptions | ConnectionListener | null,
    listener?: ConnectionListener,
  ) => TunnelServer;
  readonly isIP: (text: string) => 0 | 4 | 6;
  readonly isIPv4: (text: string) => boolean;
  readonly isIPv6: (text: string) => boolean;
}

/** Builds the `net` object of one tunnel. */
export function createNet(table: SocketTable): TunnelNet {
  class Socket extends TunnelSocket {
    constructor(options?: SocketOptions, accepted?: Accepted) {
      super(table, options, accepted);
    }
  }
  class Server extends TunnelServer {
    constructor(options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener) {
      super(table, (socketOptions, accepted) => new Socket(socketOptions, accepted), options, listener);
    }
  }
  const connect = (...args: unknown[]): TunnelSocket => {
    const [options] = normalizeArguments(args);
    const socket = new Socket(options as SocketOptions);
    if (options['timeout']) socket.setTimeout(options['timeout'] as number);
    return socket.connect(...(args as [ConnectOptions]));
  };
  return {
    connect: connect as ConnectFunction,
    createConnection: connect as ConnectFunction,
    createServer: (options, listener) => new Server(options, listener),
    Socket,
    Server,
    isIP,
    isIPv4,
    isIPv6,
  };
}
