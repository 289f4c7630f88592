/** What `tunnel.dgram` does that node:dgram cannot be asked on loopback, or does otherwise. */

import { once } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { type LoopbackEngine, LoopbackNetwork } from '../support/loopback-engine.ts';
import { closed, delay, failure, record } from '../support/socket-world.ts';

let network: LoopbackNetwork;
let near: LoopbackEngine;
let client: SocketLayer;
let server: SocketLayer;

beforeEach(() => {
  network = new LoopbackNetwork();
  near = network.host('10.9.0.1', 'fd00:9::1');
  client = new SocketLayer(near);
  server = new SocketLayer(network.host('10.9.0.2', 'fd00:9::2'));
});

describe('tunnel.dgram', () => {
  it('binds every address of its family without one, and reports the unspecified address', async () => {
    const four = client.dgram.createSocket('udp4').bind();
    const six = client.dgram.createSocket('udp6').bind(4000);
    await Promise.all([once(four, 'listening'), once(six, 'listening')]);
    expect(four.address()).toMatchObject({ address: '0.0.0.0', family: 'IPv4' });
    expect(six.address()).toEqual({ address: '::', family: 'IPv6', port: 4000 });
  });

  it('binds in the form bind(listener)', async () => {
    await new Promise<void>((resolve) => void client.dgram.createSocket('udp4').bind(resolve));
  });

  it('fails with EADDRNOTAVAIL, as an error of bind, on an address that is not its own', async () => {
    const socket = client.dgram.createSocket('udp4').bind(7, '203.0.113.77');
    expect(await failure(socket)).toMatchObject({
      code: 'EADDRNOTAVAIL',
      message: 'bind EADDRNOTAVAIL 203.0.113.77:7',
    });
  });

  it('shares a port with reuseAddr', async () => {
    for (let i = 0; i < 2; i++) {
      const socket = client.dgram.createSocket({ type: 'udp4', reuseAddr: true }).bind(4000);
      await once(socket, 'listening');
    }
  });

  it('speaks IPv6', async () => {
    const socket = server.dgram.createSocket('udp6').bind(4000);
    await once(socket, 'listening');
    const message = once(socket, 'message');
    client.dgram.createSocket('udp6').send('six', 4000, 'fd00:9::2');
    const [bytes, remote] = await message;
    expect([String(bytes), remote.address, remote.family]).toEqual(['six', 'fd00:9::1', 'IPv6']);
  });

  it('asks names for its own family only', async () => {
    network.names.set('both.test', ['fd00:9::2', '10.9.0.2']);
    const socket = server.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const message = once(socket, 'message');
    client.dgram.createSocket('udp4').send('x', 4000, 'both.test');
    await message;
  });

  it.each<[string, unknown[]]>([
    ['(buffer, "port", address)', [Buffer.from('port'), '4000', '10.9.0.2']],
    [
      '(Uint8Array, offset, length, "port", name, callback), as trackers do',
      [Uint8Array.from(Buffer.from('-port-')), 1, 4, '4000', 'server.test', () => {}],
    ],
  ])('takes the form send%s', async (_form, [bytes, ...rest]) => {
    network.names.set('server.test', ['10.9.0.2']);
    const socket = server.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const message = once(socket, 'message');
    client.dgram.createSocket('udp4').send(bytes as Buffer, ...rest);
    expect(String((await message)[0])).toBe('port');
  });

  it('fails a send to an unknown name with ENOTFOUND, to the callback or else as an error event', async () => {
    const socket = client.dgram.createSocket('udp4');
    const expected = expect.objectContaining({ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'nowhere.test' });
    expect(await new Promise((resolve) => socket.send('x', 9, 'nowhere.test', resolve))).toEqual(expected);
    const failed = failure(socket);
    socket.send('x', 9, 'nowhere.test');
    expect(await failed).toEqual(expected);
  });

  it('fails a send to an address of the other family with EINVAL', async () => {
    const socket = client.dgram.createSocket('udp4');
    const error = await new Promise<NodeJS.ErrnoException | null>((resolve) =>
      socket.send('x', 9, 'fd00:9::2', resolve),
    );
    expect(error).toMatchObject({ code: 'EINVAL', message: 'send EINVAL fd00:9::2:9' });
  });

  it('sends to names in the order of their lookups, and counts what waits', async () => {
    network.names.set('server.test', ['10.9.0.2']);
    const socket = server.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const seen: string[] = [];
    socket.on('message', (bytes: Buffer) => seen.push(String(bytes)));
    const sender = client.dgram.createSocket('udp4');
    for (const text of ['one', 'two', 'three']) sender.send(text, 4000, 'server.test');
    expect([sender.getSendQueueCount(), sender.getSendQueueSize()]).toEqual([3, 11]);
    while (seen.length < 3) await delay(2);
    expect(seen).toEqual(['one', 'two', 'three']);
    expect([sender.getSendQueueCount(), sender.getSendQueueSize()]).toEqual([0, 0]);
  });

  it('fails with ENOBUFS when too much waits for a name', async () => {
    network.names.set('server.test', ['10.9.0.2']);
    const socket = client.dgram.createSocket('udp4');
    const results: (string | undefined)[] = [];
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 80; i++)
        socket.send(Buffer.alloc(60_000), 9, 'server.test', (error: NodeJS.ErrnoException | null) => {
          results.push(error?.code);
          if (results.length === 80) resolve();
        });
    });
    expect(results.filter((code) => code === 'ENOBUFS').length).toBe(80 - Math.floor((4 << 20) / 60_000));
  });

  it('copies what waits: the caller may reuse the memory at once', async () => {
    network.names.set('server.test', ['10.9.0.2']);
    const socket = server.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const message = once(socket, 'message');
    const bytes = Buffer.from('original');
    client.dgram.createSocket('udp4').send(bytes, 4000, 'server.test');
    bytes.fill(0);
    expect(String((await message)[0])).toBe('original');
  });

  it('delivers what was sent before close in the same turn, which Node would lose', async () => {
    const socket = server.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const message = once(socket, 'message');
    const sender = client.dgram.createSocket('udp4');
    const over = closed(sender);
    sender.send('last', 4000, '10.9.0.2');
    sender.close();
    expect(String((await message)[0])).toBe('last');
    await over;
  });

  it('keeps its port through disconnect, and hears everyone again', async () => {
    const socket = client.dgram.createSocket('udp4').bind(4000);
    await once(socket, 'listening');
    const [friend, stranger] = [server.dgram.createSocket('udp4').bind(1), server.dgram.createSocket('udp4').bind(2)];
    await new Promise<void>((resolve) => socket.connect(1, '10.9.0.2', () => resolve()));
    const seen: string[] = [];
    socket.on('message', (bytes: Buffer) => seen.push(String(bytes)));
    stranger.send('unheard', 4000, '10.9.0.1');
    friend.send('heard', 4000, '10.9.0.1');
    while (seen.length < 1) await delay(2);
    socket.disconnect();
    expect(socket.address().port).toBe(4000);
    stranger.send('now', 4000, '10.9.0.1');
    while (seen.length < 2) await delay(2);
    expect(seen).toEqual(['heard', 'now']);
  });

  it('reports an unknown name to the listener of connect, or else as an error, and can connect again', async () => {
    const socket = client.dgram.createSocket('udp4');
    const error = await new Promise<Error | undefined>((resolve) => socket.connect(9, 'nowhere.test', resolve));
    expect(error).toMatchObject({ code: 'ENOTFOUND' });
    expect(socket.listenerCount('connect')).toBe(0);
    const failed = failure(socket);
    socket.connect(9, 'nowhere.test');
    expect((await failed).code).toBe('ENOTFOUND');
    socket.connect(9, '10.9.0.2');
    await once(socket, 'connect');
  });

  it('throws ENOSYS for multicast, in words that say why, and takes broadcast without effect', () => {
    const socket = client.dgram.createSocket('udp4');
    for (const method of ['addMembership', 'dropMembership'] as const)
      expect(() => socket[method]('224.0.0.1')).toThrow(
        expect.objectContaining({ code: 'ENOSYS', syscall: method, message: expect.stringContaining('no multicast') }),
      );
    expect(() => socket.addSourceSpecificMembership('10.9.0.2', '232.0.0.1')).toThrow('no multicast');
    expect(socket.setBroadcast(true)).toBeUndefined();
  });

  it('is closed at once by a signal that had aborted', async () => {
    const socket = client.dgram.createSocket({ type: 'udp4', signal: AbortSignal.abort() });
    await closed(socket);
  });

  it('tells the engine of its close, and hears nothing after', async () => {
    const socket = client.dgram.createSocket('udp4').bind(4000);
    const sender = server.dgram.createSocket('udp4').bind();
    await Promise.all([once(socket, 'listening'), once(sender, 'listening')]);
    const seen = record(socket, 'message');
    sender.send('late', 4000, '10.9.0.1');
    socket.close();
    await delay(20);
    expect(near.log).toEqual(['udp-bind', 'close']);
    expect(seen).toEqual([]);
  });
});
