/**
 * A stand-in for a tunnel: Node's own sockets on loopback, names from a list of its own, and every call noted. It shows what a
 * client asks for before, and without, a tunnel.
 */
import dgram from 'node:dgram';
import net from 'node:net';
import { createDispatcher, createFetch } from '../../src/node/fetch.ts';
import type { TunnelNet } from '../../src/node/net.ts';
import type { HostDgram, HostNet, TunnelHost } from '../../src/torrent/webtorrent.ts';

export interface LoopbackHost extends TunnelHost {
  /** What was asked for, in order, each with its argument: `net.connect 127.0.0.1:6881`. */
  readonly notes: string[];
  /** The notes that begin with one of `kinds`. */
  noted(...kinds: string[]): string[];
  /** Bytes read from TCP connections. */
  readonly received: number;
  /** Cuts every connection, and refuses new ones until it is called with true. */
  setUp(up: boolean): void;
  close(): Promise<void>;
}

/** `names`: what the host's DNS knows. */
export function loopbackHost(names: Readonly<Record<string, string>> = {}): LoopbackHost {
  const notes: string[] = [];
  const sockets = new Set<net.Socket>();
  const state = { up: true, received: 0 };
  const addressOf = (name: string): string => {
    const address = net.isIP(name) ? name : names[name];
    if (!address) throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
    return address;
  };
  const keep = (socket: net.Socket): net.Socket => {
    sockets.add(socket);
    socket.on('close', () => {
      state.received += socket.bytesRead;
      sockets.delete(socket);
    });
    if (!state.up) process.nextTick(() => socket.destroy(new Error('the host is down')));
    return socket;
  };
  const hostNet: HostNet = {
    connect(target) {
      notes.push(`net.connect ${target.host}:${target.port}`);
      try {
        return keep(net.connect({ ...target, host: addressOf(target.host) }));
      } catch (error) {
        return new net.Socket().destroy(error as Error);
      }
    },
    createServer() {
      notes.push('net.createServer');
      const server = net.createServer((socket) => keep(socket));
      const listen = server.listen.bind(server) as (options: object, done?: () => void) => unknown;
      return Object.assign(server, {
        listen(given: number | { port: number }, done?: () => void) {
          const port = typeof given === 'number' ? given : given.port;
          notes.push(`listen ${port}`);
          return listen({ port, host: '127.0.0.1' }, done);
        },
      });
    },
  };
  const hostDgram: HostDgram = {
    createSocket(options) {
      notes.push('dgram.createSocket');
      const socket = dgram.createSocket(options as dgram.SocketType);
      const bind = socket.bind.bind(socket);
      const send = socket.send.bind(socket) as (...args: unknown[]) => void;
      socket.bind = ((port?: number, ...rest: unknown[]) =>
        bind(typeof port === 'number' ? port : 0, '127.0.0.1', rest.at(-1) as () => void)) as typeof socket.bind;
      const sendWithin = (...args: [Uint8Array | unknown[], ...unknown[]]): void => {
        const [bytes, from, length, port, name, done] = args as [
          Uint8Array,
          number,
          number,
          number,
          string,
          () => void,
        ];
        if (Array.isArray(bytes))
          send(...args); // Node itself, once the socket is bound
        else notes.push(`dgram.send ${name}:${port}`);
        if (Array.isArray(bytes) || !state.up) return;
        try {
          send(bytes.subarray(from, from + length), Number(port), addressOf(name), done);
        } catch (error) {
          process.nextTick(() => socket.emit('error', error));
        }
      };
      return Object.assign(socket, { send: sendWithin }) as unknown as ReturnType<HostDgram['createSocket']>;
    },
  };
  const dispatcher = createDispatcher(hostNet as unknown as TunnelNet);
  const fetch = createFetch(dispatcher);
  return {
    net: hostNet,
    dgram: hostDgram,
    dns: {
      lookup(name, _options, callback) {
        notes.push(`dns.lookup ${name}`);
        queueMicrotask(() => (names[name] ? callback(null, names[name], 4) : callback(new Error(`ENOTFOUND ${name}`))));
      },
    },
    fetch(url, init) {
      notes.push(`fetch ${url}`);
      return fetch(url, init);
    },
    notes,
    noted: (...kinds) => notes.filter((note) => kinds.some((kind) => note.startsWith(kind))),
    get received() {
      return [...sockets].reduce((sum, socket) => sum + socket.bytesRead, state.received);
    },
    setUp(up) {
      state.up = up;
      if (!up) for (const socket of sockets) socket.destroy();
    },
    close: () => dispatcher.destroy(),
  };
}
