/** What `dgram.Socket` does: bind, connect, settings, close. The forms of `send` are in `dgram-conformance-send.ts`. */

import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { bound, describeSend, open } from './dgram-conformance-send.ts';
import { closed, delay, failure, record, type SocketWorld } from './socket-world.ts';

export function describeDgram(world: () => SocketWorld): void {
  describeSend(world);

  describe('UDP sockets', () => {
    it('emit listening after bind, and know their address from then on', async () => {
      const socket = open(world().server);
      const seen = record(socket, 'listening', 'error');
      expect(socket.bind(0, world().server.address)).toBe(socket);
      expect(seen).toEqual([]);
      await once(socket, 'listening');
      const address = socket.address();
      expect(address).toEqual({ address: world().server.address, family: 'IPv4', port: address.port });
      expect(address.port).toBeGreaterThan(0);
    });

    it('take bind with options and a listener', async () => {
      const socket = open(world().server);
      await new Promise<void>((resolve) => {
        socket.bind({ port: 0, address: world().server.address, exclusive: true }, resolve);
      });
      expect(socket.address().address).toBe(world().server.address);
    });

    it('call the listener of a bind once, though listening is emitted again by hand', async () => {
      const socket = open(world().server);
      let calls = 0;
      socket.bind(0, world().server.address, () => void calls++);
      await once(socket, 'listening');
      socket.emit('listening');
      expect(calls).toBe(1);
    });

    it('throw EBADF for an address before bind', () => {
      expect(() => open(world().server).address()).toThrow(
        expect.objectContaining({ code: 'EBADF', syscall: 'getsockname' }),
      );
    });

    it('throw ERR_SOCKET_ALREADY_BOUND for a second bind', async () => {
      const socket = await bound(world().server);
      expect(() => socket.bind(0, world().server.address)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_ALREADY_BOUND' }),
      );
    });

    it('fail with EADDRINUSE, as an error of bind, where another is bound, and can be bound elsewhere after', async () => {
      const { port } = (await bound(world().server)).address();
      const socket = open(world().server);
      const { address } = world().server;
      socket.bind(port, address);
      const error = await failure(socket);
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', address, port });
      expect(error.message).toBe(`bind EADDRINUSE ${address}:${port}`);
      socket.bind(0, address);
      await once(socket, 'listening');
    });

    it('free their port when they close', async () => {
      const first = await bound(world().server);
      const { port } = first.address();
      await new Promise<void>((resolve) => void first.close(resolve));
      const second = open(world().server);
      second.bind(port, world().server.address);
      await once(second, 'listening');
      expect(second.address().port).toBe(port);
    });

    it('throw ERR_SOCKET_BAD_TYPE for a type that is none', () => {
      for (const type of ['udp5', undefined, { type: 'tcp' }])
        expect(() => world().client.dgram.createSocket(type as never)).toThrow(
          expect.objectContaining({ code: 'ERR_SOCKET_BAD_TYPE' }),
        );
    });

    it('tell their type', () => {
      expect([open(world().client).type, open(world().client, { type: 'udp6' }).type]).toEqual(['udp4', 'udp6']);
    });

    it('connect, name their peer, and send without a destination', async () => {
      const server = await bound(world().server);
      const client = open(world().client);
      const { port } = server.address();
      const message = once(server, 'message');
      client.connect(port, world().server.address);
      await once(client, 'connect');
      expect(client.remoteAddress()).toEqual({ address: world().server.address, family: 'IPv4', port });
      client.send('straight');
      expect(String((await message)[0])).toBe('straight');
    });

    it('hear only their peer while connected', async () => {
      const [friend, stranger] = [await bound(world().server), await bound(world().server)];
      const client = await bound(world().client);
      const { port, address } = client.address();
      const seen: string[] = [];
      client.on('message', (bytes: Buffer) => seen.push(String(bytes)));
      client.connect(friend.address().port, world().server.address);
      await once(client, 'connect');
      stranger.send('psst', port, address);
      friend.send('hello', port, address);
      await until(() => seen.includes('hello'));
      expect(seen).toEqual(['hello']);
    });

    it('throw for connect and send with a destination while connected, and for disconnect while not', async () => {
      const server = await bound(world().server);
      const client = open(world().client);
      const { port, address } = server.address();
      const notConnected = expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
      expect(() => client.disconnect()).toThrow(notConnected);
      expect(() => client.remoteAddress()).toThrow(notConnected);
      await new Promise<void>((resolve) => client.connect(port, address, () => resolve()));
      const connected = expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
      expect(() => client.connect(port, address)).toThrow(connected);
      expect(() => client.send('x', 0, 1, port, address)).toThrow(connected);
    });

    it('throw ERR_SOCKET_BAD_PORT for connect to port 0', () => {
      expect(() => open(world().client).connect(0, world().server.address)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }),
      );
    });

    it('emit close after close, and are of no use then', async () => {
      const socket = await bound(world().server);
      const seen = record(socket, 'close');
      expect(socket.close()).toBe(socket);
      expect(seen).toEqual([]);
      await closed(socket);
      const gone = expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
      expect(() => socket.close()).toThrow(gone);
      expect(() => socket.address()).toThrow(gone);
      expect(() => socket.bind(0, world().client.address)).toThrow(gone);
      expect(() => socket.send('x', 9, world().server.address)).toThrow(gone);
    });

    it('close when their signal aborts', async () => {
      const abort = new AbortController();
      const socket = open(world().client, { type: 'udp4', signal: abort.signal });
      abort.abort();
      await closed(socket);
    });

    it('throw ERR_INVALID_ARG_TYPE for a signal that is none', () => {
      const signal = {} as AbortSignal;
      expect(() => world().client.dgram.createSocket({ type: 'udp4', signal })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    });

    it('are closed by await using', async () => {
      const socket = await bound(world().client);
      await socket[Symbol.asyncDispose]();
      await socket[Symbol.asyncDispose]();
      expect(() => socket.address()).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' }));
    });

    it('take the settings of TTL and multicast, and check them', async () => {
      const socket = await bound(world().client);
      expect([socket.setTTL(64), socket.setMulticastTTL(1), socket.setMulticastLoopback(true)]).toEqual([64, 1, true]);
      expect(socket.setBroadcast(false)).toBeUndefined();
      expect(() => socket.setTTL(256)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
      expect(() => socket.setTTL('1' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    });

    it('take buffer sizes, and report at least as much', async () => {
      const socket = await bound(world().client);
      socket.setRecvBufferSize(10_000);
      socket.setSendBufferSize(10_000);
      expect(socket.getRecvBufferSize()).toBeGreaterThanOrEqual(10_000);
      expect(socket.getSendBufferSize()).toBeGreaterThanOrEqual(10_000);
      expect(() => socket.setRecvBufferSize(-1)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_BUFFER_SIZE' }),
      );
    });

    it('have nothing queued when all was sent', async () => {
      const server = await bound(world().server);
      const client = open(world().client);
      const message = once(server, 'message');
      client.send('x', server.address().port, world().server.address);
      await message;
      expect([client.getSendQueueSize(), client.getSendQueueCount()]).toEqual([0, 0]);
    });

    it('return themselves from ref and unref', () => {
      const socket = open(world().client);
      expect(socket.unref().ref()).toBe(socket);
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(2);
}
