/** An HTTP server whose connections come from a tunnel's `net`: node:http parses, and opens no socket. */

import { createServer, Server } from 'node:http';
import type { HostNet } from './host.ts';

/** For the tracker server. `listen(port, host)`, `address()` and `close(callback)` are those of the tunnel's listener. */
export function createHttpServer(net: HostNet): Server {
  const server = createServer();
  const listener = net.createServer();
  for (const event of ['connection', 'listening', 'error'])
    listener.on(event, (value: unknown) => {
      server.emit(event, value);
    });
  return Object.assign(server, {
    listen(port = 0, host?: string): Server {
      listener.listen({ port, ...(host === undefined ? {} : { host }) });
      return server;
    },
    address: () => listener.address(),
    close(onClosed?: (error?: Error) => void): Server {
      Server.prototype.close.call(server, () => {}); // ends node:http's own timer; there is nothing else to close
      server.closeAllConnections();
      listener.close(onClosed);
      return server;
    },
  }) as Server;
}
