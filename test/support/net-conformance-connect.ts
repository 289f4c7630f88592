/** What `connect` does: arguments, flags, events in order, failures, aborts. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ConnectOptions } from '../../src/node/net-arguments.ts';
import { closed, delay, dial, failure, listen, pair, readAll, record, type SocketWorld } from './socket-world.ts';

export function describeConnect(world: () => SocketWorld): void {
  describe('connecting', () => {
    it('emits connect, then ready, and calls the listener once', async () => {
      const { port } = await listen(world());
      const seen: string[] = [];
      const socket = world().client.net.connect(port, world().server.address, () => seen.push('listener'));
      socket.on('connect', () => seen.push('connect')).on('ready', () => seen.push('ready'));
      await once(socket, 'ready');
      await delay(10);
      expect(seen).toEqual(['listener', 'connect', 'ready']);
      socket.destroy();
    });

    it('takes options and a listener', async () => {
      const { port } = await listen(world());
      const host = world().server.address;
      await new Promise<void>((resolve) => {
        const socket = world().client.net.createConnection({ port, host }, () => resolve(void socket.destroy()));
      });
    });

    it('takes the port as a numeric string', async () => {
      const { port } = await listen(world());
      const socket = world().client.net.connect(String(port), world().server.address);
      await once(socket, 'connect');
      expect(socket.remotePort).toBe(port);
      socket.destroy();
    });

    it('makes sockets that are instances of net.Socket and of Duplex', async () => {
      const { client, accepted } = await pair(world());
      expect(client).toBeInstanceOf(world().client.net.Socket);
      expect(accepted).toBeInstanceOf(world().server.net.Socket);
      expect(client).toBeInstanceOf(Duplex);
    });

    it.each([-1, 65_536, 1.5, '', 'x1', Number.NaN])('throws ERR_SOCKET_BAD_PORT for the port %s', (port) => {
      const host = world().server.address;
      expect(() => world().client.net.connect({ port, host })).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT', name: 'RangeError' }),
      );
    });

    it('throws ERR_MISSING_ARGS without a port', () => {
      const options = { host: world().server.address } as unknown as ConnectOptions;
      expect(() => world().client.net.connect(options)).toThrow(expect.objectContaining({ code: 'ERR_MISSING_ARGS' }));
    });

    it('throws ERR_INVALID_ARG_TYPE for a port that is neither number nor string', () => {
      const options = { host: world().server.address, port: true } as unknown as ConnectOptions;
      expect(() => world().client.net.connect(options)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' }),
      );
    });

    it('throws ERR_INVALID_IP_ADDRESS for a local address that is none', () => {
      const options = { port: 1, host: world().server.address, localAddress: 'here' };
      expect(() => world().client.net.connect(options)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_IP_ADDRESS' }),
      );
    });

    it('tells by its flags how far it is', async () => {
      const { port } = await listen(world());
      const socket = new (world().client.net.Socket)();
      expect([socket.connecting, socket.pending, socket.readyState]).toEqual([false, true, 'open']);
      socket.connect(port, world().server.address);
      expect([socket.connecting, socket.pending, socket.readyState]).toEqual([true, true, 'opening']);
      await once(socket, 'connect');
      expect([socket.connecting, socket.pending, socket.readyState]).toEqual([false, false, 'open']);
      socket.destroy();
      expect([socket.connecting, socket.pending, socket.readyState]).toEqual([false, true, 'closed']);
    });

    it('names both ends alike on both sides', async () => {
      const { client, accepted, port } = await pair(world());
      const near = [client.localAddress, client.localPort, client.localFamily];
      const far = [client.remoteAddress, client.remotePort, client.remoteFamily];
      expect([accepted.remoteAddress, accepted.remotePort, accepted.remoteFamily]).toEqual(near);
      expect([accepted.localAddress, accepted.localPort, accepted.localFamily]).toEqual(far);
      expect(far).toEqual([world().server.address, port, 'IPv4']);
      expect(near[0]).toBe(world().client.address);
      expect(client.address()).toEqual({ address: near[0], port: near[1], family: 'IPv4' });
    });

    it('has no addresses before the connect, and no local one after the end', async () => {
      const idle = new (world().client.net.Socket)();
      expect([idle.remoteAddress, idle.localPort, idle.address()]).toEqual([undefined, undefined, {}]);
      const { client } = await pair(world());
      client.destroy();
      await closed(client);
      expect([client.localAddress, client.localPort, client.address()]).toEqual([undefined, undefined, {}]);
    });

    it('fails with ECONNREFUSED, as an error of connect, where nobody listens', async () => {
      const { server, port } = await listen(world());
      await new Promise((resolve) => server.close(resolve));
      const socket = dial(world(), port);
      const seen = record(socket, 'connect', 'ready', 'error', 'close', 'end', 'finish');
      const error = await failure(socket);
      const address = world().server.address;
      expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address, port });
      expect(error.message).toBe(`connect ECONNREFUSED ${address}:${port}`);
      expect(error.errno).toBeLessThan(0);
      await closed(socket);
      expect(seen).toEqual(['error(ECONNREFUSED)', 'close(true)']);
    });

    it('delivers what was written before the connection stood', async () => {
      const received = new Promise<Buffer>((resolve) => {
        void listen(world(), (socket) => resolve(readAll(socket))).then(({ port }) => {
          const socket = dial(world(), port);
          socket.write('early ');
          socket.end('words');
        });
      });
      expect(String(await received)).toBe('early words');
    });

    it('passes on an end that came before the connection stood', async () => {
      const ended = new Promise<void>((resolve) => {
        void listen(world(), (socket) => socket.resume().on('end', resolve)).then(({ port }) =>
          dial(world(), port).end(),
        );
      });
      await ended;
    });

    it('calls back a write made before the connection stood, after connect', async () => {
      const { port } = await listen(world());
      const socket = dial(world(), port);
      const seen = record(socket, 'connect');
      await new Promise<void>((resolve) => socket.write('x', () => resolve(void seen.push('written'))));
      expect(seen).toEqual(['connect', 'written']);
    });

    it('ends in silence when it is destroyed while connecting', async () => {
      const { port } = await listen(world());
      const socket = dial(world(), port);
      const seen = record(socket, 'connect', 'ready', 'error', 'close', 'end');
      socket.destroy();
      expect(socket.connecting).toBe(false);
      await closed(socket);
      await delay(20);
      expect(seen).toEqual(['close(false)']);
    });

    it('fails a pending write with ERR_SOCKET_CLOSED_BEFORE_CONNECTION when it is destroyed while connecting', async () => {
      const { port } = await listen(world());
      const socket = dial(world(), port);
      const written = new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => socket.write('x', resolve));
      socket.destroy();
      expect((await written)?.code).toBe('ERR_SOCKET_CLOSED_BEFORE_CONNECTION');
    });

    it('reports the error that it is destroyed with while connecting', async () => {
      const { port } = await listen(world());
      const socket = dial(world(), port);
      const seen = record(socket, 'connect', 'error', 'close');
      socket.destroy(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
      await closed(socket);
      expect(seen).toEqual(['error(ENOUGH)', 'close(true)']);
    });

    it('fails with AbortError when the signal aborts while connecting', async () => {
      const { port } = await listen(world());
      const abort = new AbortController();
      const socket = dial(world(), port, { signal: abort.signal });
      const seen = record(socket, 'connect', 'close');
      abort.abort();
      expect(await failure(socket)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      await closed(socket);
      expect(seen).toEqual(['close(true)']);
    });

    it('fails with AbortError when the signal aborts later on', async () => {
      const abort = new AbortController();
      const { client } = await pair(world(), {}, { signal: abort.signal });
      abort.abort();
      expect((await failure(client)).name).toBe('AbortError');
      expect(client.destroyed).toBe(true);
    });

    it('connects from the local port it is told', async () => {
      const { port: free, server } = await listen(world());
      await new Promise((resolve) => server.close(resolve));
      const { client, accepted } = await pair(world(), {}, { localPort: free, localAddress: world().client.address });
      expect(client.localPort).toBe(free);
      expect(accepted.remotePort).toBe(free);
    });

    it('fails with EADDRNOTAVAIL, as an error of bind, from a local address that is not its own', async () => {
      const { port } = await listen(world());
      const error = await failure(dial(world(), port, { localAddress: '203.0.113.77' }));
      expect(error).toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind', address: '203.0.113.77' });
      expect(error.message).toBe('bind EADDRNOTAVAIL 203.0.113.77');
    });

    it('resolves a name first, and says what it found', async () => {
      const { port } = await listen(world());
      const socket = dial(world(), port, { host: world().serverName, family: 4 });
      const lookup = once(socket, 'lookup');
      await once(socket, 'connect');
      expect(await lookup).toEqual([null, world().server.address, 4, world().serverName]);
    });

    it('connects anew after it was closed', async () => {
      const { port } = await listen(world(), (socket) => socket.end('again'));
      const socket = dial(world(), port);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      await closed(socket);
      expect(text).toBe('again');
      socket.connect(port, world().server.address);
      await once(socket, 'connect');
      expect(socket.write('writable once more')).toBe(true);
      socket.end();
      const late = new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => socket.write('x', resolve));
      expect((await late)?.code).toBe('ERR_STREAM_WRITE_AFTER_END');
      if (!socket.destroyed) await closed(socket);
    });

    it('reads anew after it was closed', async () => {
      const { port } = await listen(world(), (socket) => socket.end('again'));
      const socket = dial(world(), port);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      await closed(socket);
      socket.connect(port, world().server.address);
      await closed(socket);
      expect(text).toBe('againagain');
      expect(socket.bytesRead).toBe(5);
    });

    it('fails a write with ERR_SOCKET_CLOSED if it was never connected', async () => {
      const socket = new (world().client.net.Socket)();
      socket.on('error', () => {});
      const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) =>
        socket.write('x', resolve),
      );
      expect(error?.code).toBe('ERR_SOCKET_CLOSED');
    });

    it('returns itself from the setters, at any time', async () => {
      const { client } = await pair(world());
      for (const socket of [new (world().client.net.Socket)(), client]) {
        expect(socket.setNoDelay().setNoDelay(false).setKeepAlive(true, 1000).setKeepAlive()).toBe(socket);
        expect(socket.ref().unref().setTimeout(1000).setTimeout(0)).toBe(socket);
      }
    });

    it('runs its listeners in the async context of the code that opened it', async () => {
      const context = new AsyncLocalStorage<string>();
      const seen = new Set<string>();
      const note = (name: string) => (): void => void seen.add(`${name} in ${context.getStore()}`);
      const server = world().server.net.createServer((socket) => {
        note('connection')();
        socket.on('error', () => {}).resume();
        socket.end('x');
      });
      context.run('server', () => server.listen(0, world().server.address));
      onTestFinished(() => void server.close());
      await once(server, 'listening');
      const { port } = server.address()!;
      const sockets = ['one', 'two'].map((name) =>
        context.run(name, () => {
          const socket = dial(world(), port, { host: world().serverName, family: 4 });
          socket.on('lookup', note('lookup')).on('connect', note('connect')).on('data', note('data'));
          return socket.on('close', note('close'));
        }),
      );
      for (const socket of sockets) socket.end('y');
      await Promise.all(sockets.map(closed));
      const events = ['lookup', 'connect', 'data', 'close'].flatMap((name) => [`${name} in one`, `${name} in two`]);
      expect([...seen].sort()).toEqual([...events, 'connection in server'].sort());
    });

    it('refuses object mode with ERR_INVALID_ARG_VALUE', () => {
      for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode'])
        expect(() => new (world().client.net.Socket)({ [name]: true })).toThrow(
          expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
        );
    });
  });
}
