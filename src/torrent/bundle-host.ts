/** The sockets of one instance of the bundle: the five modules that stand for Node's inside it, over one tunnel. */

import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { isIP } from '../node/is-ip.ts';
import { quietWhenClosed } from './closed-datagrams.ts';
import type { HostDatagramSocket, HostDgram, HostNet, HostServer, TunnelHost } from './host.ts';
import { createHttpServer } from './http-server.ts';
import { readWhole } from './whole-response.ts';

/** What scripts/webtorrent/alias/*.js call. Read at each call, so that the self-check can go first. */
export interface BundleHost {
  net: { connect: HostNet['connect']; createServer(): HostServer };
  dgram: HostDgram;
  dns: { lookup(name: string, callback: (error: Error | null, address?: string) => void): void };
  http: { createServer(): Server };
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  isIP(text: string): 0 | 4 | 6;
}

export interface BundleHostOptions {
  /** Peers, and questions of the DHT, are accepted on the port that the provider forwards. */
  readonly forwarded?: boolean;
  /** UDP over IPv6 is only pretended: the socket binds and stays silent. */
  readonly ipv4Only?: boolean;
  /** Notes every server and UDP socket that is made. */
  readonly made?: WeakSet<object>;
}

/** Everything that the bundle can reach of the network, once `host` is a tunnel: that tunnel. */
export function bundleHost(host: TunnelHost, { forwarded, ipv4Only, made }: BundleHostOptions = {}): BundleHost {
  const noted = <T extends object>(socket: T): T => {
    made?.add(socket);
    return socket;
  };
  return {
    net: {
      connect: (target) => host.net.connect(target),
      createServer: () => noted(forwarded ? forwardedServer(host.net.createServer()) : host.net.createServer()),
    },
    dgram: {
      createSocket: (options) => {
        const { type } = typeof options === 'string' ? { type: options } : options;
        if (ipv4Only && type === 'udp6') return noted(silentSocket());
        const socket = quietWhenClosed(host.dgram.createSocket(options));
        return noted(forwarded ? forwardedWhenBound(socket) : socket);
      },
    },
    // The DHT has IPv4 sockets only (BEP 5), so an IPv6 address would be of no use to it.
    dns: { lookup: (name, callback) => host.dns.lookup(name, { family: 4 }, callback) },
    http: { createServer: () => createHttpServer(host.net) },
    fetch: (url, init = {}) => readWhole(host, url, init),
    isIP,
  };
}

/** WebTorrent calls `listen(port, callback)`, and can announce no port 0: until there is a lease, it tells the port inside. */
function forwardedServer(server: HostServer): HostServer {
  const listen = server.listen.bind(server);
  const address = server.address.bind(server);
  return Object.assign(server, {
    listen: (port: number, onListening?: () => void): unknown => listen({ port, forwarded: true }, onListening),
    address() {
      const told = address();
      return told && typeof told === 'object' ? { ...told, port: told.port || (server.internalPort ?? 0) } : told;
    },
  }) as unknown as HostServer;
}

/** Only the DHT binds its socket by itself: what asks a tracker need not be reached. It too must tell a port that is none of before. */
function forwardedWhenBound(socket: HostDatagramSocket): HostDatagramSocket {
  const bind = socket.bind.bind(socket) as (...args: unknown[]) => unknown;
  const address = socket.address.bind(socket);
  let bound = false;
  return Object.assign(socket, {
    bind(...args: unknown[]) {
      if (typeof args[0] !== 'number') return bind(...args);
      bound = true;
      return bind({ port: args[0], forwarded: true }, args.at(-1));
    },
    address() {
      const told = address();
      return bound ? { ...told, port: told.port || (socket.internalPort ?? 0) } : told;
    },
  });
}

/** The tracker server binds IPv6 whether there is any or not, and waits for both. */
function silentSocket(): HostDatagramSocket {
  const socket = new EventEmitter();
  const bind = (): void => void process.nextTick(() => socket.emit('listening'));
  const address = (): object => ({ address: '::', port: 0 });
  return Object.assign(socket, { bind, address, send: () => {}, close: () => {} }) as unknown as HostDatagramSocket;
}
