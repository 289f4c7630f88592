/** Options of `net.Server`, and what its `drop` event tells. */

import type { TcpOpened } from './net-connection.ts';
import { info } from './net-socket-options.ts';

export interface ServerOptions {
  readonly allowHalfOpen?: boolean | undefined;
  /** Connections are handed over paused: not a byte is read before `resume`. */
  readonly pauseOnConnect?: boolean | undefined;
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: boolean | undefined;
  readonly keepAliveInitialDelay?: number | undefined;
  readonly highWaterMark?: number | undefined;
}

/** What `drop` tells about a connection that `maxConnections` turned away. */
export interface DropArgument {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly localFamily?: string | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly remoteFamily?: string | undefined;
}

export function dropArgument({ local, remote }: TcpOpened): DropArgument {
  const [here, there] = [info(local), info(remote)];
  return {
    localAddress: here.address,
    localPort: here.port,
    localFamily: here.family,
    remoteAddress: there.address,
    remotePort: there.port,
    remoteFamily: there.family,
  };
}
