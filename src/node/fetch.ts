/** undici over a tunnel: a dispatcher whose connections are the tunnel's, and `fetch` bound to it. HTTP/1.1 only. */

import type { Socket } from 'node:net';
import tls from 'node:tls';
import * as undici from 'undici';
import { isIP } from './is-ip.ts';
import type { TunnelNet } from './net.ts';
import type { TunnelSocket } from './net-socket.ts';

export type FetchFunction = typeof undici.fetch;

/** For the connection and the TLS handshake together, in milliseconds; undici's own default. */
const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const SESSIONS = 100;

/** A dispatcher for undici and for `fetch(url, { dispatcher })`. `tlsOptions` adds, say, a CA. */
export function createDispatcher(net: TunnelNet, tlsOptions: tls.ConnectionOptions = {}): undici.Agent {
  return new undici.Agent({ connect: connector(net, tlsOptions) });
}

/** `fetch` through `dispatcher`, whatever dispatcher the call names: nothing it does can leave the tunnel. */
export function createFetch(dispatcher: undici.Dispatcher): FetchFunction {
  return async (input, init) => {
    const [url, options] = input instanceof globalThis.Request ? ownRequest(input, init) : [input, init];
    return undici.fetch(url, { ...options, dispatcher });
  };
}

function connector(net: TunnelNet, tlsOptions: tls.ConnectionOptions): undici.buildConnector.connector {
  const sessions = new Map<string, Buffer>();
  return (target, callback) => {
    const { hostname, protocol, localAddress } = target;
    const secure = protocol === 'https:';
    const port = Number(target.port) || (secure ? 443 : 80);
    const raw = net.connect({ host: hostname, port, localAddress: localAddress ?? undefined, highWaterMark: 65_536 });
    raw.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    const servername = target.servername || (isIP(hostname) ? undefined : hostname);
    const socket = secure ? secured(raw, servername ?? hostname, servername, tlsOptions, sessions) : raw;
    const timer = setTimeout(() => {
      const message = `Connect Timeout Error (attempted address: ${hostname}:${port}, timeout: ${CONNECT_TIMEOUT_MS}ms)`;
      socket.destroy(new undici.errors.ConnectTimeoutError(message));
    }, CONNECT_TIMEOUT_MS);
    const onClose = (): void => onError(new undici.errors.SocketError('other side closed'));
    const onError = (error: Error): void => {
      settle();
      callback(error, null);
    };
    const settle = (): void => {
      clearTimeout(timer);
      socket.off('error', onError).off('close', onClose);
      // Errors before undici listens for itself must not be uncaught.
      socket.on('error', () => {});
    };
    socket
      .once('error', onError)
      .once('close', onClose)
      .once(secure ? 'secureConnect' : 'connect', () => {
        settle();
        // undici's type asks for net.Socket; it uses a Duplex with ref, unref, setNoDelay and setKeepAlive.
        callback(null, socket as unknown as Socket);
      });
  };
}

/** TLS over the tunnel's socket, with the last session of the same server. */
function secured(
  socket: TunnelSocket,
  key: string,
  servername: string | undefined,
  tlsOptions: tls.ConnectionOptions,
  sessions: Map<string, Buffer>,
): tls.TLSSocket {
  const session = sessions.get(key);
  const connection = tls.connect({
    ALPNProtocols: ['http/1.1'],
    ...tlsOptions,
    socket,
    ...(servername ? { servername } : {}),
    ...(session ? { session } : {}),
  });
  connection.on('session', (fresh) => {
    if (sessions.size >= SESSIONS) sessions.delete(sessions.keys().next().value!);
    sessions.set(key, fresh);
  });
  return connection;
}

/** Node's own `Request` is another class than undici's: it is taken apart. */
function ownRequest(
  request: globalThis.Request,
  init: undici.RequestInit | undefined,
): [url: string, init: undici.RequestInit] {
  const { method, headers, body, redirect, signal } = request;
  return [
    request.url,
    {
      method,
      headers: [...headers] as [string, string][],
      redirect,
      signal,
      ...(body ? { body: body as unknown as undici.BodyInit, duplex: 'half' as const } : {}),
      ...init,
    },
  ];
}
