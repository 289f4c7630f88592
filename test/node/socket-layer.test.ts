/** The layer as a whole: closing, cutting, and what the embedder's own exceptions do. */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import type { SocketCommand, SocketEvent } from '../../src/core/netstack/messages.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import type { TunnelSocket } from '../../src/node/net-socket.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { SocketTable } from '../../src/node/socket-table.ts';
import { type LoopbackEngine, LoopbackNetwork } from '../support/loopback-engine.ts';
import { closed, failure, record } from '../support/socket-world.ts';

const CLOSED = expect.objectContaining({ name: 'SluiceError', code: 'ERR_CLOSED' });

let near: LoopbackEngine;
let network: LoopbackNetwork;
let client: SocketLayer;
let server: SocketLayer;

beforeEach(() => {
  network = new LoopbackNetwork();
  near = network.host('10.9.0.1');
  client = new SocketLayer(near);
  server = new SocketLayer(network.host('10.9.0.2'));
});

async function connection(): Promise<{ socket: TunnelSocket; accepted: TunnelSocket }> {
  const listener = server.net.createServer().listen(0);
  await once(listener, 'listening');
  const socket = client.net.connect(listener.address()!.port, '10.9.0.2');
  const [[accepted]] = await Promise.all([once(listener, 'connection'), once(socket, 'connect')]);
  accepted.on('error', () => {});
  return { socket, accepted };
}

describe('closing the layer', () => {
  it('ends connections with ERR_CLOSED, and resets their peers', async () => {
    const { socket, accepted } = await connection();
    const [ours, theirs] = [record(socket, 'error', 'close'), record(accepted, 'error', 'close')];
    accepted.resume();
    await client.close();
    await closed(accepted);
    expect(ours).toEqual(['error(ERR_CLOSED)', 'close(true)']);
    expect(theirs).toEqual(['error(ECONNRESET)', 'close(true)']);
  });

  it('ends connections in silence if nobody listens for their errors', async () => {
    const { socket } = await connection();
    const over = closed(socket);
    await client.close();
    await over;
  });

  it('ends connects and lookups that are under way', async () => {
    network.silent.add('10.9.0.2');
    const connecting = client.net.connect(80, '10.9.0.2');
    const failed = failure(connecting);
    const lookup = client.dns.promises.lookup('server.test');
    await new Promise((resolve) => process.nextTick(resolve));
    const rejected = expect(lookup).rejects.toEqual(CLOSED);
    await client.close();
    expect(await failed).toEqual(CLOSED);
    await rejected;
  });

  it('closes servers and UDP sockets without an error', async () => {
    const listener = client.net.createServer().listen(0);
    const socket = client.dgram.createSocket('udp4').bind(0);
    await Promise.all([once(listener, 'listening'), once(socket, 'listening')]);
    const seen = [record(listener, 'error', 'close'), record(socket, 'error', 'close')];
    await client.close();
    expect(seen).toEqual([['close(undefined)'], ['close(undefined)']]);
  });

  it('completes a server’s close that waits for an engine that says no more', async () => {
    const engine: EnginePort = { post: () => {}, onEvent: () => {} };
    const layer = new SocketLayer(engine);
    const listener = layer.net.createServer().listen(80);
    engine.onEvent({ kind: 'bound', socket: 1, local: { address: ip('10.9.0.1'), port: 80 } });
    const seen = record(listener, 'close');
    const over = new Promise((resolve) => listener.close(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual([]);
    await layer.close();
    expect(await over).toBeUndefined();
  });

  it('fails whatever is opened after with ERR_CLOSED', async () => {
    await client.close();
    expect(await failure(client.net.connect(80, '10.9.0.2'))).toEqual(CLOSED);
    expect(await failure(client.net.connect(80, 'server.test'))).toEqual(CLOSED);
    expect(await failure(client.net.createServer().listen(80))).toEqual(CLOSED);
    expect(await failure(client.dgram.createSocket('udp4').bind(0))).toEqual(CLOSED);
    await expect(client.dns.promises.resolve4('server.test')).rejects.toEqual(CLOSED);
    expect(near.log).toEqual([]);
  });

  it('may happen twice', async () => {
    await client.close();
    await client.close();
  });
});

describe('cutting all connections', () => {
  it('ends them with the code, and leaves servers and UDP sockets alone', async () => {
    const { socket } = await connection();
    const listener = client.net.createServer().listen(90);
    const datagrams = client.dgram.createSocket('udp4').bind(0);
    await Promise.all([once(listener, 'listening'), once(datagrams, 'listening')]);
    const failed = failure(socket);
    client.destroyAll('ECONNRESET');
    expect(await failed).toMatchObject({ code: 'ECONNRESET', syscall: 'read' });
    expect(listener.listening).toBe(true);
    expect(datagrams.address().port).toBeGreaterThan(0);
    const next = server.net.connect(90, '10.9.0.1');
    await once(next, 'connect');
  });

  it('aborts those that were destroyed and still linger', async () => {
    const { socket } = await connection();
    socket.destroy();
    await closed(socket);
    expect(near.log).not.toContain('tcp-abort');
    client.destroyAll('ECONNRESET');
    expect(near.log).toContain('tcp-abort');
  });
});

describe('the socket table', () => {
  const table = (): { table: SocketTable; engine: { post(c: SocketCommand): void; onEvent(e: SocketEvent): void } } => {
    const engine = { post: vi.fn(), onEvent: (_event: SocketEvent) => {} };
    return { table: new SocketTable(engine), engine };
  };

  it('lets an exception of a listener surface as uncaught, and goes on', () => {
    const nextTick = vi.spyOn(process, 'nextTick').mockImplementation(() => {});
    try {
      const { table: sockets, engine } = table();
      const heard = vi.fn();
      sockets.adopt(-1, () => {
        throw new Error('a bad listener');
      });
      sockets.adopt(-2, heard);
      engine.onEvent({ kind: 'tcp-end', socket: -1 });
      engine.onEvent({ kind: 'tcp-end', socket: -2 });
      expect(heard).toHaveBeenCalledTimes(1);
      expect(nextTick.mock.calls[0]![0]).toThrow('a bad listener');
    } finally {
      nextTick.mockRestore();
    }
  });

  it('never reuses a number, and ignores events for sockets it does not know', () => {
    const { table: sockets, engine } = table();
    const first = sockets.open(() => {});
    sockets.forget(first);
    expect(sockets.open(() => {})).toBeGreaterThan(first);
    engine.onEvent({ kind: 'tcp-end', socket: first });
    engine.onEvent({ kind: 'resolved', query: 77, result: { kind: 'failed', code: 'ENOTFOUND' } });
    expect(engine.post).not.toHaveBeenCalled();
  });

  it('aborts a connection that was accepted for a listener it does not know', () => {
    const { engine } = table();
    const at = { address: ip('10.9.0.1'), port: 80 };
    engine.onEvent({ kind: 'tcp-accepted', listener: 1, socket: -1, local: at, remote: at, writeCredit: 1 });
    expect(engine.post).toHaveBeenCalledWith({ kind: 'tcp-abort', socket: -1 });
  });

  it('lets a connection linger while it makes progress, and for a minute without', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { table: sockets, engine } = table();
      sockets.linger(-1, true);
      for (let i = 0; i < 3; i++) {
        vi.advanceTimersByTime(50_000);
        engine.onEvent({ kind: 'tcp-write-credit', socket: -1, bytes: 1 });
      }
      expect(engine.post).not.toHaveBeenCalled();
      vi.advanceTimersByTime(61_000);
      expect(engine.post).toHaveBeenCalledWith({ kind: 'tcp-abort', socket: -1 });
      sockets.linger(-2, true);
      engine.onEvent({ kind: 'closed', socket: -2 });
      vi.advanceTimersByTime(61_000);
      expect(engine.post).toHaveBeenCalledTimes(1);
    } finally {
      vi.useRealTimers();
    }
  });
});

it('no module of the sockets imports node:net, node:dgram, node:dns or node:tls, but for types and TLS over a tunnel’s socket', () => {
  const folder = new URL('../../src/node/', import.meta.url);
  const modules = readdirSync(folder).filter((name) =>
    /^(net|dgram|dns|http|fetch|socket|is-ip|engine|idle)/.test(name),
  );
  const offences = modules.flatMap((name) =>
    readFileSync(new URL(name, folder), 'utf8')
      .split('\n')
      .filter((line) => /^import (?!type ).*'(node:(net|dgram|dns|tls|http2)|net|dgram|dns|tls)(\/\w+)?'/.test(line))
      .map((line) => `${name}: ${line}`),
  );
  expect(modules.length).toBeGreaterThan(10);
  expect(offences).toEqual(["fetch.ts: import tls from 'node:tls';"]);
});
