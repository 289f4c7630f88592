/** What `tunnel.net` does that node:net cannot be asked: names, several addresses, refusals, forwarded ports, and the seam itself. */

import { once } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConnectOptions } from '../../src/node/net-arguments.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { type LoopbackEngine, LoopbackNetwork } from '../support/loopback-engine.ts';
import { failure, readAll, record } from '../support/socket-world.ts';

let network: LoopbackNetwork;
let near: LoopbackEngine;
let far: LoopbackEngine;
let client: SocketLayer;
let server: SocketLayer;

beforeEach(() => {
  network = new LoopbackNetwork();
  near = network.host('10.9.0.1', 'fd00:9::1');
  far = network.host('10.9.0.2', 'fd00:9::2');
  client = new SocketLayer(near);
  server = new SocketLayer(far);
});

async function listen(port = 80, host?: string): Promise<void> {
  const listener = server.net.createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`${socket.localAddress}`);
  });
  listener.listen({ port, host });
  await once(listener, 'listening');
}

describe('tunnel.net: addresses', () => {
  it('listens on every address of both families without a host', async () => {
    await listen(80);
    expect(String(await readAll(client.net.connect(80, '10.9.0.2')))).toBe('10.9.0.2');
    const six = client.net.connect(80, 'fd00:9::2');
    expect(String(await readAll(six))).toBe('fd00:9::2');
    expect([six.remoteAddress, six.remoteFamily]).toEqual(['fd00:9::2', 'IPv6']);
  });

  it('reports :: as the address of such a server, as Node does', async () => {
    const listener = server.net.createServer().listen();
    await once(listener, 'listening');
    expect(listener.address()).toMatchObject({ address: '::', family: 'IPv6' });
  });

  it('fails to listen on an address that is not its own with EADDRNOTAVAIL', async () => {
    const listener = server.net.createServer().listen(80, '203.0.113.77');
    expect(await failure(listener)).toMatchObject({
      code: 'EADDRNOTAVAIL',
      message: 'listen EADDRNOTAVAIL: address not available 203.0.113.77:80',
    });
  });

  it('listens on a name of its own', async () => {
    network.names.set('me.test', ['10.9.0.2']);
    await listen(80, 'me.test');
    expect(String(await readAll(client.net.connect(80, '10.9.0.2')))).toBe('10.9.0.2');
  });

  it('tries the addresses of a name in turn until one answers', async () => {
    network.names.set('both.test', ['10.9.0.7', 'fd00:9::2']);
    await listen(80);
    const socket = client.net.connect(80, 'both.test');
    const seen = record(socket, 'lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connect');
    expect(String(await readAll(socket))).toBe('fd00:9::2');
    const attempts = ['connectionAttempt', 'connectionAttemptFailed', 'connectionAttempt', 'connect'];
    expect(seen).toEqual(['lookup', 'lookup', ...attempts]);
    expect(socket.autoSelectFamilyAttemptedAddresses).toEqual(['10.9.0.7:80', 'fd00:9::2:80']);
  });

  it('gives up on an address that does not answer in time, but not on the last', async () => {
    network.names.set('slow.test', ['10.9.0.7', '10.9.0.2']);
    network.silent.add('10.9.0.7');
    await listen(80);
    const socket = client.net.connect({ port: 80, host: 'slow.test', autoSelectFamilyAttemptTimeout: 30 });
    const timedOut = once(socket, 'connectionAttemptTimeout');
    expect(String(await readAll(socket))).toBe('10.9.0.2');
    expect(await timedOut).toEqual(['10.9.0.7', 80, 4]);
    expect(near.log).toContain('tcp-abort');
  });

  it('fails with every reason, and the code of the first, if no address answers', async () => {
    network.names.set('none.test', ['10.9.0.2', '10.9.0.7']);
    const error = await failure(client.net.connect(81, 'none.test'));
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.code).toBe('ECONNREFUSED');
    const codes = (error as unknown as AggregateError).errors.map(({ code, address }) => `${code} ${address}`);
    expect(codes).toEqual(['ECONNREFUSED 10.9.0.2', 'EHOSTUNREACH 10.9.0.7']);
  });

  it('tries only the first address with autoSelectFamily: false', async () => {
    network.names.set('none.test', ['10.9.0.7', '10.9.0.2']);
    await listen(80);
    const error = await failure(client.net.connect({ port: 80, host: 'none.test', autoSelectFamily: false }));
    expect(error).toMatchObject({ code: 'EHOSTUNREACH', message: 'connect EHOSTUNREACH 10.9.0.7:80' });
  });

  it('asks for the family that is wanted', async () => {
    network.names.set('both.test', ['10.9.0.2', 'fd00:9::2']);
    await listen(80);
    const socket = client.net.connect({ port: 80, host: 'both.test', family: 6 });
    expect(String(await readAll(socket))).toBe('fd00:9::2');
  });

  it('fails with ENOTFOUND and the name, as an error of getaddrinfo, and says so in lookup', async () => {
    const socket = client.net.connect(80, 'nowhere.test');
    const looked = once(socket, 'lookup');
    const error = await failure(socket);
    expect(error).toMatchObject({ code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'nowhere.test' });
    expect(error.message).toBe('getaddrinfo ENOTFOUND nowhere.test');
    expect(error.errno).toBeLessThan(0);
    expect((await looked)[0]).toBe(error);
  });

  it('ignores a lookup function: names are resolved in the tunnel', async () => {
    network.names.set('server.test', ['10.9.0.2']);
    await listen(80);
    const lookup = vi.fn();
    expect(String(await readAll(client.net.connect({ port: 80, host: 'server.test', lookup })))).toBe('10.9.0.2');
    expect(lookup).not.toHaveBeenCalled();
  });

  it('names its local port in the error of a connect from it', async () => {
    const error = await failure(client.net.connect({ port: 81, host: '10.9.0.2', localPort: 4000 }));
    expect(error.message).toBe('connect ECONNREFUSED 10.9.0.2:81 - Local (0.0.0.0:4000)');
    expect(error).toMatchObject({ localAddress: '0.0.0.0', localPort: 4000 });
  });

  it('does nothing at all with a signal that had aborted', async () => {
    const socket = client.net.connect({ port: 80, host: '10.9.0.2', signal: AbortSignal.abort() });
    expect((await failure(socket)).name).toBe('AbortError');
    expect([socket.connecting, near.log]).toEqual([false, []]);
  });

  it('fails a second connect while the first goes on', async () => {
    await listen(80);
    const socket = client.net.connect(80, '10.9.0.2');
    socket.connect(80, '10.9.0.2');
    expect((await failure(socket)).code).toBe('EISCONN');
  });
});

describe('tunnel.net: refusals', () => {
  const refused = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' });

  it('refuses Unix sockets: they are not in the tunnel', () => {
    expect(() => client.net.connect('/run/socket')).toThrow(refused);
    expect(() => client.net.connect({ path: '/run/socket' } as unknown as ConnectOptions)).toThrow(refused);
    expect(() => client.net.createServer().listen('/run/socket')).toThrow(refused);
  });

  it('refuses file descriptors and handles', () => {
    for (const name of ['fd', 'handle'])
      expect(() => new client.net.Socket({ [name]: { callback() {} } })).toThrow(refused);
    expect(() => client.net.createServer().listen({ fd: 3 } as never)).toThrow(refused);
  });
});

describe('tunnel.net: forwarded servers', () => {
  it('listen on a free port inside, and report the external port once there is one', async () => {
    const changes = vi.fn();
    server.onForwardedChange = changes;
    const listener = server.net.createServer().listen({ forwarded: true });
    expect(server.forwardedServers).toEqual([]);
    await once(listener, 'listening');
    expect(changes).toHaveBeenCalledTimes(1);
    expect(server.forwardedServers).toEqual([listener]);
    expect([listener.forwarded, listener.address()!.port]).toEqual([true, 0]);
    listener.setForwarding(54_321, []);
    expect(listener.address()!.port).toBe(54_321);
    expect(listener.internalPort).toBeGreaterThan(0);
    const socket = client.net.connect(listener.internalPort!, '10.9.0.2');
    await Promise.all([once(socket, 'connect'), once(listener, 'connection')]);
    listener.close();
    expect(server.forwardedServers).toEqual([]);
    expect(changes).toHaveBeenCalledTimes(2);
  });

  it('are not what a plain server is', async () => {
    await listen(80);
    expect(server.forwardedServers).toEqual([]);
  });
});
