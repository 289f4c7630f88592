/** The forms of `send`, what arrives, and what is refused. */

import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DgramSocketOptions, RemoteInfo, TunnelDgramSocket } from '../../src/node/dgram-socket.ts';
import { pattern, type SocketWorld, type WorldHost } from './socket-world.ts';

export function describeSend(world: () => SocketWorld): void {
  describe('sending datagrams', () => {
    /** What one call of `send` delivers to a bound socket. */
    const delivered = async (
      send: (socket: TunnelDgramSocket, port: number, address: string) => void,
    ): Promise<Buffer> => {
      const server = await bound(world().server);
      const client = open(world().client);
      const message = once(server, 'message');
      send(client, server.address().port, world().server.address);
      return (await message)[0];
    };

    it.each<[string, (socket: TunnelDgramSocket, port: number, address: string) => void, string]>([
      ['(string, port, address)', (socket, port, address) => socket.send('text é', port, address), 'text é'],
      ['(buffer, port, address)', (socket, port, address) => socket.send(Buffer.from('bytes'), port, address), 'bytes'],
      [
        '(Uint8Array, port, address)',
        (socket, port, address) => socket.send(Uint8Array.of(104, 105), port, address),
        'hi',
      ],
      [
        '(DataView, …)',
        (socket, port, address) => socket.send(new DataView(Uint8Array.of(0, 104, 105).buffer, 1), port, address),
        'hi',
      ],
      [
        '(list, port, address)',
        (socket, port, address) => socket.send(['a', Buffer.from('b'), Uint8Array.of(99)], port, address),
        'abc',
      ],
      ['([], port, address)', (socket, port, address) => socket.send([], port, address), ''],
      [
        '(buffer, offset, length, port, address)',
        (socket, port, address) => socket.send(Buffer.from('-slice-'), 1, 5, port, address),
        'slice',
      ],
      [
        '(string, offset, length, port, address)',
        (socket, port, address) => socket.send('-slice-', 1, 5, port, address),
        'slice',
      ],
      [
        '(buffer, offset, length, port, address, callback)',
        (socket, port, address) => socket.send(Buffer.from('-cb-'), 1, 2, port, address, () => {}),
        'cb',
      ],
    ])('takes the form send%s', async (_form, send, expected) => {
      expect(String(await delivered(send))).toBe(expected);
    });

    it('takes the name of a host', async () => {
      expect(String(await delivered((socket, port) => socket.send('by name', port, world().serverName)))).toBe(
        'by name',
      );
    });

    it('calls back with null and the number of bytes', async () => {
      const server = await bound(world().server);
      const client = open(world().client);
      const result = await new Promise<unknown[]>((resolve) =>
        client.send('12345', server.address().port, world().server.address, (...args: unknown[]) => resolve(args)),
      );
      expect(result).toEqual([null, 5]);
    });

    it('says who sent it: address, family, port and size', async () => {
      const server = await bound(world().server);
      const client = await bound(world().client);
      const message = once(server, 'message');
      client.send('1234567', server.address().port, world().server.address);
      const [bytes, remote] = (await message) as [Buffer, RemoteInfo];
      expect(Buffer.isBuffer(bytes)).toBe(true);
      expect(remote).toEqual({ address: world().client.address, family: 'IPv4', port: client.address().port, size: 7 });
    });

    it('can be answered', async () => {
      const server = await bound(world().server);
      server.on('message', (bytes: Buffer, { port, address }: RemoteInfo) => server.send(bytes, port, address));
      const client = open(world().client);
      const answer = once(client, 'message');
      client.send('ping', server.address().port, world().server.address);
      const [bytes, remote] = await answer;
      expect([String(bytes), remote.address]).toEqual(['ping', world().server.address]);
    });

    it('binds by itself first', async () => {
      const client = open(world().client);
      client.send('x', 9, world().server.address);
      await once(client, 'listening');
      expect(client.address().port).toBeGreaterThan(0);
    });

    it('gives the listener of createSocket the messages', async () => {
      const server = await bound(world().server);
      const answer = new Promise<string>((resolve) => {
        const client = world().client.dgram.createSocket('udp4', (bytes) => resolve(String(bytes)));
        onTestFinished(() => void client.close());
        client.send('x', server.address().port, world().server.address);
      });
      const [, remote] = await once(server, 'message');
      server.send('y', remote.port, remote.address);
      expect(await answer).toBe('y');
    });

    it('lets the caller reuse the memory after the callback', async () => {
      const server = await bound(world().server);
      const client = await bound(world().client);
      const message = once(server, 'message');
      const bytes = Buffer.from('original');
      client.send(bytes, server.address().port, world().server.address, () => bytes.fill(0));
      expect(String((await message)[0])).toBe('original');
    });

    it('carries large datagrams whole', async () => {
      const bytes = pattern(1372);
      expect((await delivered((socket, port, address) => socket.send(bytes, port, address))).equals(bytes)).toBe(true);
    });

    it('fails with EMSGSIZE, an error of send, for more than a datagram holds', async () => {
      const client = open(world().client);
      const { address } = world().server;
      const error = await new Promise<NodeJS.ErrnoException | null>((resolve) =>
        client.send(Buffer.alloc(65_508), 9, address, resolve),
      );
      expect(error).toMatchObject({ code: 'EMSGSIZE', syscall: 'send', address, port: 9 });
      expect(error?.message).toBe(`send EMSGSIZE ${address}:9`);
    });

    it.each([0, -1, 65_536, Number.NaN, null, undefined])('throws ERR_SOCKET_BAD_PORT for the port %s', (port) => {
      expect(() => open(world().client).send('x', port, world().server.address)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }),
      );
    });

    it('throws ERR_INVALID_ARG_TYPE for a message or an address of the wrong type', () => {
      const wrong = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' });
      for (const message of [5, null, {}, ['a', 5]])
        expect(() => open(world().client).send(message as never, 9, world().server.address)).toThrow(wrong);
      expect(() => open(world().client).send('x', 9, 5)).toThrow(wrong);
    });

    it('throws ERR_BUFFER_OUT_OF_BOUNDS for a slice outside of the message', () => {
      const outside = expect.objectContaining({ code: 'ERR_BUFFER_OUT_OF_BOUNDS' });
      const { address } = world().server;
      expect(() => open(world().client).send(Buffer.alloc(4), 5, 0, 9, address)).toThrow(outside);
      expect(() => open(world().client).send(Buffer.alloc(4), 2, 3, 9, address)).toThrow(outside);
    });

    it('calls back, and emits nothing, where nobody is bound', async () => {
      const client = open(world().client);
      const error = await new Promise<Error | null>((resolve) => client.send('x', 9, world().server.address, resolve));
      expect(error).toBeNull();
    });

    it('delivers many datagrams to the right socket each', async () => {
      const servers = await Promise.all([bound(world().server), bound(world().server)]);
      const client = await bound(world().client);
      const counts = [0, 0];
      const all = new Promise<void>((resolve) => {
        for (const [i, server] of servers.entries())
          server.on('message', (bytes: Buffer) => {
            expect(String(bytes)).toBe(`for ${i}`);
            counts[i]!++;
            if (counts[0] === 20 && counts[1] === 20) resolve();
          });
      });
      for (let n = 0; n < 20; n++)
        for (const [i, server] of servers.entries())
          client.send(`for ${i}`, server.address().port, world().server.address);
      await all;
    });
  });
}

/** A socket that is closed when the test ends. */
export function open(host: WorldHost, options: DgramSocketOptions = { type: 'udp4' }): TunnelDgramSocket {
  const socket = host.dgram.createSocket(options);
  let over = false;
  socket.on('close', () => {
    over = true;
  });
  onTestFinished(() => {
    try {
      if (!over) socket.close();
    } catch {
      // It was closed by the test and has not said so yet.
    }
  });
  return socket;
}

export async function bound(host: WorldHost): Promise<TunnelDgramSocket> {
  const socket = open(host);
  socket.bind(0, host.address);
  await once(socket, 'listening');
  return socket;
}
