/** Agents for node:http and node:https whose every connection is a tunnel's. */

import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import type { TunnelNet } from './net.ts';
import type { ConnectOptions } from './net-arguments.ts';

type Created = (error: Error | null, stream: Duplex) => void;

/** What Node's own global agents use. */
const KEEP_ALIVE: http.AgentOptions = { keepAlive: true, scheduling: 'lifo', timeout: 5_000 };

/** For `http.request({ agent })`. `socketPath` is refused. */
export class TunnelHttpAgent extends http.Agent {
  readonly #net: TunnelNet;

  constructor(net: TunnelNet, options: http.AgentOptions = KEEP_ALIVE) {
    super(options);
    this.#net = net;
  }

  override createConnection(options: http.ClientRequestArgs, _created?: Created): Duplex {
    return this.#net.connect(connectOptions(options));
  }
}

/** For `https.request({ agent })`. TLS sessions are reused per server, as node:https does. */
export class TunnelHttpsAgent extends https.Agent {
  readonly #net: TunnelNet;

  constructor(net: TunnelNet, options: https.AgentOptions = KEEP_ALIVE) {
    super(options);
    this.#net = net;
  }

  override createConnection(options: https.RequestOptions, created?: Created): Duplex | null | undefined {
    const socket = this.#net.connect(connectOptions(options));
    // `socket` is an option of tls.connect, to which node:https hands all of them; then it opens no socket of its own.
    return super.createConnection({ ...options, socket } as https.RequestOptions, created);
  }
}

/** What of a request's options concerns the connection; a `lookup` of the caller's would ask the host's resolver. */
function connectOptions(options: http.ClientRequestArgs): ConnectOptions {
  const { host, port, localAddress, localPort, family, timeout, path } = options as ConnectOptions & { path?: string };
  return { host, port, localAddress, localPort, family, timeout, ...(path ? { path } : {}) };
}
