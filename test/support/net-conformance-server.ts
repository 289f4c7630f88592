/** What `net.Server` does: listening, accepting, turning away, closing. */

import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { TunnelServer } from '../../src/node/net-server.ts';
import type { TunnelSocket } from '../../src/node/net-socket.ts';
import {
  closed,
  delay,
  dial,
  failure,
  listen,
  pair,
  pattern,
  readAll,
  record,
  type SocketWorld,
} from './socket-world.ts';

export function describeServer(world: () => SocketWorld): void {
  const create = (listener?: (socket: TunnelSocket) => void): TunnelServer => {
    const server = world().server.net.createServer(listener);
    onTestFinished(() => void server.close());
    return server;
  };

  describe('servers', () => {
    it('emit listening, call the listener, and know their address from then on', async () => {
      const server = create();
      expect([server.listening, server.address()]).toEqual([false, null]);
      const seen = record(server, 'listening');
      await new Promise<void>((resolve) => server.listen(0, world().server.address, resolve));
      expect(seen).toEqual(['listening']);
      expect(server.listening).toBe(true);
      const address = server.address()!;
      expect(address).toEqual({ address: world().server.address, family: 'IPv4', port: address.port });
      expect(address.port).toBeGreaterThan(0);
    });

    it('are instances of net.Server', () => {
      expect(create()).toBeInstanceOf(world().server.net.Server);
    });

    it.each<[string, (server: TunnelServer, host: string) => void]>([
      ['(0, host)', (server, host) => server.listen(0, host)],
      ['("0", host)', (server, host) => server.listen('0', host)],
      ['(0, host, backlog)', (server, host) => server.listen(0, host, 5)],
      ['(0, host, callback)', (server, host) => server.listen(0, host, () => {})],
      ['({port: undefined, host})', (server, host) => server.listen({ port: undefined, host })],
      ['({port, host, backlog})', (server, host) => server.listen({ port: 0, host, backlog: 5 })],
    ])('accept the form listen%s', async (_form, start) => {
      const server = create((socket) => socket.end('yes'));
      start(server, world().server.address);
      await once(server, 'listening');
      const client = dial(world(), server.address()!.port);
      expect(String(await readAll(client))).toBe('yes');
    });

    it('throw ERR_SERVER_ALREADY_LISTEN for a second listen', async () => {
      const { server } = await listen(world());
      expect(() => server.listen(0, world().server.address)).toThrow(
        expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }),
      );
    });

    it('throw ERR_SOCKET_BAD_PORT and ERR_INVALID_ARG_VALUE for what is no port', () => {
      expect(() => create().listen(70_000, world().server.address)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }),
      );
      expect(() => create().listen({ host: world().server.address })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    });

    it('fail with EADDRINUSE where another listens, and can listen elsewhere after', async () => {
      const { port } = await listen(world());
      const server = create();
      server.listen(port, world().server.address);
      const error = await failure(server);
      const address = world().server.address;
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', address, port });
      expect(error.message).toBe(`listen EADDRINUSE: address already in use ${address}:${port}`);
      expect(server.listening).toBe(false);
      server.listen(0, address);
      await once(server, 'listening');
    });

    it('free their port when they close', async () => {
      const { server, port } = await listen(world());
      await new Promise((resolve) => server.close(resolve));
      const next = create();
      next.listen(port, world().server.address);
      await once(next, 'listening');
      expect(next.address()!.port).toBe(port);
    });

    it('say themselves to each connection as server', async () => {
      const { accepted, server } = await pair(world());
      expect(accepted.server).toBe(server);
    });

    it('count their connections', async () => {
      const { server, client } = await pair(world());
      const count = (): Promise<number> =>
        new Promise((resolve, reject) =>
          server.getConnections((error, value) => (error ? reject(error) : resolve(value))),
        );
      expect(await count()).toBe(1);
      client.destroy();
      await until(async () => (await count()) === 0);
    });

    it('serve many connections at once', async () => {
      const { port } = await listen(world(), (socket) => socket.pipe(socket));
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const client = dial(world(), port);
          client.end(pattern(5_000 + i, i));
          return (await readAll(client)).equals(pattern(5_000 + i, i));
        }),
      );
      expect(answers.every(Boolean)).toBe(true);
    });

    it('close with open connections only when those are gone, and take no new ones', async () => {
      const { client, accepted, server, port } = await pair(world());
      const seen = record(server, 'close');
      const done = new Promise<Error | undefined>((resolve) => server.close(resolve));
      expect([server.listening, server.address()]).toEqual([false, null]);
      expect(['ECONNREFUSED', 'ECONNRESET']).toContain((await failure(dial(world(), port))).code);
      client.write('!');
      expect(String((await once(accepted, 'data'))[0])).toBe('!');
      expect(seen).toEqual([]);
      client.destroy();
      accepted.resume();
      expect(await done).toBeUndefined();
      expect(seen).toEqual(['close(undefined)']);
    });

    it('call back close with ERR_SERVER_NOT_RUNNING if they do not listen', async () => {
      const error = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => create().close(resolve));
      expect(error?.code).toBe('ERR_SERVER_NOT_RUNNING');
    });

    it('emit no listening if they are closed in the same turn', async () => {
      const server = create();
      const seen = record(server, 'listening', 'close', 'error');
      server.listen(0, world().server.address);
      await new Promise((resolve) => server.close(resolve));
      await delay(30);
      expect(seen).toEqual(['close(undefined)']);
    });

    it('turn away more than maxConnections, with a drop event that names both ends', async () => {
      const { server, port } = await pair(world());
      server.maxConnections = 1;
      const dropped = once(server, 'drop');
      const second = dial(world(), port);
      second.resume();
      await closed(second);
      const [data] = await dropped;
      expect({ ...data }).toEqual({
        localAddress: world().server.address,
        localPort: port,
        localFamily: 'IPv4',
        remoteAddress: world().client.address,
        remotePort: expect.any(Number),
        remoteFamily: 'IPv4',
      });
    });

    it('hand over connections paused with pauseOnConnect', async () => {
      const { client, accepted } = await pair(world(), { pauseOnConnect: true });
      const seen = record(accepted, 'data');
      client.write('x');
      await delay(40);
      expect([accepted.isPaused(), seen]).toEqual([true, []]);
      accepted.resume();
      await once(accepted, 'data');
    });

    it('close when their signal aborts', async () => {
      const abort = new AbortController();
      const server = create();
      server.listen({ port: 0, host: world().server.address, signal: abort.signal });
      await once(server, 'listening');
      abort.abort();
      await closed(server);
      expect(server.listening).toBe(false);
    });

    it('close at once if their signal had aborted', async () => {
      const server = create();
      server.listen({ port: 0, host: world().server.address, signal: AbortSignal.abort() });
      await closed(server);
      expect(server.listening).toBe(false);
    });

    it('throw ERR_INVALID_ARG_TYPE for a signal that is none', () => {
      const signal = 'signal' as unknown as AbortSignal;
      expect(() => create().listen({ port: 0, host: world().server.address, signal })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    });

    it('are closed by await using', async () => {
      const { server } = await listen(world());
      await server[Symbol.asyncDispose]();
      expect(server.listening).toBe(false);
      await server[Symbol.asyncDispose]();
    });

    it('throw ERR_INVALID_ARG_TYPE for options that are none', () => {
      expect(() => world().server.net.createServer('x' as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    });

    it('see a client that resets soon after it connected come and go', async () => {
      const seen: string[] = [];
      const { port } = await listen(world(), (socket) => {
        seen.push('connection');
        socket.resume();
        socket.on('error', (error: NodeJS.ErrnoException) => seen.push(String(error.code)));
        socket.on('close', () => seen.push('close'));
      });
      const client = dial(world(), port);
      client.on('connect', () => setTimeout(() => client.resetAndDestroy(), 10));
      await until(async () => seen.includes('close'));
      expect(seen).toEqual(['connection', 'ECONNRESET', 'close']);
    });

    it('return themselves from ref, unref and close', async () => {
      const { server } = await listen(world());
      expect(server.unref().ref()).toBe(server);
      expect(server.close()).toBe(server);
    });
  });

  describe('isIP', () => {
    it.each([
      ['127.0.0.1', 4],
      ['01.2.3.4', 0],
      ['256.1.1.1', 0],
      ['1.2.3', 0],
      ['::1', 6],
      ['::ffff:1.2.3.4', 6],
      ['fe80::1%eth0', 6],
      ['fe80::1%', 0],
      ['1:2:3:4:5:6:7:8:9', 0],
      ['::1::', 0],
      ['example.com', 0],
      ['', 0],
    ])('says of %j that it is %i', (text, version) => {
      const { isIP, isIPv4, isIPv6 } = world().client.net;
      expect([isIP(text), isIPv4(text), isIPv6(text)]).toEqual([version, version === 4, version === 6]);
    });
  });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(5);
}
