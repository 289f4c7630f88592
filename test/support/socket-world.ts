/**
 * Two hosts that can reach each other, made of one kind of sockets: Node's own on loopback, or the tunnel's over some engine. The
 * conformance tests run in each world; what holds in Node's is the specification.
 */

import { once } from 'node:events';
import net from 'node:net';
import { onTestFinished } from 'vitest';
import type { TunnelDgram } from '../../src/node/dgram.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import type { TunnelNet } from '../../src/node/net.ts';
import type { ConnectOptions } from '../../src/node/net-arguments.ts';
import type { ConnectionListener, TunnelServer } from '../../src/node/net-server.ts';
import type { ServerOptions } from '../../src/node/net-server-options.ts';
import type { TunnelSocket } from '../../src/node/net-socket.ts';
import type { SocketOptions } from '../../src/node/net-socket-options.ts';
import { WebLayer } from '../../src/node/web-layer.ts';
import { LoopbackNetwork } from './loopback-engine.ts';
import { SlowSeam } from './slow-seam.ts';

export interface WorldHost {
  readonly net: TunnelNet;
  readonly dgram: TunnelDgram;
  readonly address: string;
}

export interface SocketWorld {
  readonly client: WorldHost;
  readonly server: WorldHost;
  /** A name that the client resolves to the server. */
  readonly serverName: string;
  /** Bytes that a paused reader lets through at the very most; the kernel's own buffers are generous. */
  readonly mostUnread: number;
  /** The tunnel's layer at the client; absent where the sockets are Node's own. */
  readonly layer?: WebLayer;
  close(): Promise<void>;
}

export type MakeWorld = () => Promise<SocketWorld>;

/** The specification. */
export async function nodeWorld(): Promise<SocketWorld> {
  const { default: dgram } = await import('node:dgram');
  const host = {
    net: net as unknown as TunnelNet,
    dgram: dgram as unknown as TunnelDgram,
    address: '127.0.0.1',
  };
  return {
    client: host,
    server: host,
    serverName: 'localhost',
    mostUnread: 32 << 20,
    close: async () => {},
  };
}

/** The tunnel's sockets over engines in memory, each behind `seam`. */
export function loopbackWorld(seam: (engine: EnginePort, index: number) => EnginePort = (engine) => engine): MakeWorld {
  return async () => {
    const network = new LoopbackNetwork();
    network.names.set('server.test', ['10.9.0.2']);
    const client = new WebLayer(seam(network.host('10.9.0.1', 'fd00:9::1'), 0));
    const server = new WebLayer(seam(network.host('10.9.0.2', 'fd00:9::2'), 1));
    return tunnelWorld(client, server, '10.9.0.1', '10.9.0.2', 1 << 20);
  };
}

export function slow(engine: EnginePort, index: number): EnginePort {
  return new SlowSeam(engine, { seed: 1000 + index });
}

export function tunnelWorld(
  client: WebLayer,
  server: WebLayer,
  clientAddress: string,
  serverAddress: string,
  mostUnread: number,
  close: () => void = () => {},
): SocketWorld {
  return {
    client: { net: client.net, dgram: client.dgram, address: clientAddress },
    server: { net: server.net, dgram: server.dgram, address: serverAddress },
    serverName: 'server.test',
    mostUnread,
    layer: client,
    close: async () => {
      await client.close();
      await server.close();
      close();
    },
  };
}

/** A listening server, closed with all of its connections when the test ends. */
export async function listen(
  world: SocketWorld,
  onConnection: ConnectionListener = () => {},
  options: ServerOptions = {},
): Promise<{ server: TunnelServer; port: number }> {
  const server = world.server.net.createServer(options, (socket) => {
    discardLater(socket);
    onConnection(socket);
  });
  server.listen(0, world.server.address);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { server, port: server.address()!.port };
}

/** A client that is destroyed when the test ends; errors are the test's to look at. */
export function dial(
  world: SocketWorld,
  port: number,
  options: Partial<ConnectOptions> & SocketOptions = {},
): TunnelSocket {
  const socket = world.client.net.connect({ port, host: world.server.address, ...options });
  discardLater(socket);
  return socket;
}

/** A connection, both ends. */
export async function pair(
  world: SocketWorld,
  serverOptions: ServerOptions = {},
  clientOptions: Partial<ConnectOptions> & SocketOptions = {},
): Promise<{ client: TunnelSocket; accepted: TunnelSocket; server: TunnelServer; port: number }> {
  let onAccepted: ConnectionListener = () => {};
  const arrived = new Promise<TunnelSocket>((resolve) => {
    onAccepted = resolve;
  });
  const { server, port } = await listen(world, (socket) => onAccepted(socket), serverOptions);
  const client = dial(world, port, clientOptions);
  const [accepted] = await Promise.all([arrived, once(client, 'connect')]);
  return { client, accepted, server, port };
}

/** Every event of `names`, in order, as it comes; the values of `error` and `close` are kept with them. */
export function record(emitter: NodeJS.EventEmitter, ...names: string[]): string[] {
  const seen: string[] = [];
  for (const name of names)
    emitter.on(name, (value: unknown) => {
      const detail =
        name === 'close' ? `(${String(value)})` : name === 'error' ? `(${(value as { code?: string }).code})` : '';
      seen.push(`${name}${detail}`);
    });
  return seen;
}

/** All of a stream as one buffer. */
export async function readAll(stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}

/** As `readAll`, but leaves the stream alone at its end: an iterator destroys it. */
export async function collect(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

/** Waits for `close`, whether or not an error comes first. */
export function closed(socket: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** The next `error`. */
export async function failure(socket: NodeJS.EventEmitter): Promise<NodeJS.ErrnoException & Record<string, unknown>> {
  const [error] = await once(socket, 'error');
  return error;
}

/** Pseudo-random bytes that differ at every distance that matters. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed * 2654435761;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function discardLater(socket: TunnelSocket): void {
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
}
