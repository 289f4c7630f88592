/** What `tunnel.net` asks of an engine, and what it makes of what an engine says, command by command. */

import { once } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import type { SocketCommand } from '../../src/core/netstack/messages.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { type LoopbackEngine, LoopbackNetwork } from '../support/loopback-engine.ts';
import { WINDOW } from '../support/loopback-stream.ts';
import { closed, collect, delay, pattern, record } from '../support/socket-world.ts';

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

function nextTick(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

describe('tunnel.net: the seam', () => {
  it('gives back every byte it was handed, and no more than a window is ever outstanding', async () => {
    const listener = server.net.createServer();
    listener.listen(80);
    const socket = client.net.connect(80, '10.9.0.2');
    const [accepted] = await once(listener, 'connection');
    socket.end(pattern(1_000_000));
    await delay(30);
    const stream = [...far.streams.values()].at(-1)!;
    expect(stream.mostUnread).toBe(WINDOW);
    expect(stream.unread).toBe(WINDOW);
    expect(stream.handedOver).toBeLessThanOrEqual(WINDOW + accepted.readableHighWaterMark);
    expect((await collect(accepted)).length).toBe(1_000_000);
    expect(stream.unread).toBe(0);
    expect(stream.mostUnread).toBe(WINDOW);
  });

  it('cancels the lookup of a socket that is destroyed', async () => {
    network.names.set('server.test', ['10.9.0.2']);
    const socket = client.net.connect(80, 'server.test');
    await nextTick();
    socket.destroy();
    await closed(socket);
    expect(near.log).toEqual(['resolve', 'resolve-cancel']);
  });

  it('does not go on with localhost either', async () => {
    const socket = client.net.connect(80, 'localhost');
    const seen = record(socket, 'lookup', 'connectionAttempt');
    process.nextTick(() => socket.destroy());
    await closed(socket);
    await delay(10);
    expect([seen, near.log]).toEqual([[], []]);
  });

  it('aborts the connect of a socket that is destroyed', async () => {
    network.silent.add('10.9.0.2');
    const socket = client.net.connect(80, '10.9.0.2');
    await nextTick();
    socket.destroy();
    expect(near.log).toEqual(['tcp-connect', 'tcp-abort']);
  });

  it('passes on noDelay and keepAlive, those set early as soon as it is connected', async () => {
    await listen(80);
    const socket = client.net.connect({ port: 80, host: '10.9.0.2', noDelay: true, keepAlive: true });
    await once(socket, 'connect');
    expect(near.log.filter((kind) => kind === 'tcp-options').length).toBe(2);
    socket.setNoDelay(false).setNoDelay(false).setKeepAlive(true, 30_000);
    expect(near.log.filter((kind) => kind === 'tcp-options').length).toBe(4);
  });

  it('shuts down, and does not abort, a connection that is destroyed with nothing unread', async () => {
    const listener = server.net.createServer((accepted) => accepted.resume()).listen(80);
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.9.0.2');
    await once(socket, 'connect');
    socket.destroy();
    await delay(10);
    expect(near.log).toEqual(['tcp-connect', 'tcp-shutdown']);
  });

  it('puts off the idle timer when a write that waits makes progress, but not when it only waits', async () => {
    const engine: EnginePort = { post: () => {}, onEvent: () => {} };
    const socket = new SocketLayer(engine).net.connect(80, '10.9.0.2');
    await nextTick();
    const at = { address: ip('10.9.0.2'), port: 80 };
    engine.onEvent({ kind: 'tcp-connected', socket: 1, local: at, remote: at, writeCredit: 40_000 });
    await new Promise((resolve) => setImmediate(resolve));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const onTimeout = vi.fn();
      socket.write(Buffer.alloc(200_000));
      socket.setTimeout(100).on('timeout', onTimeout);
      for (let i = 0; i < 3; i++) {
        vi.advanceTimersByTime(90);
        engine.onEvent({ kind: 'tcp-write-credit', socket: 1, bytes: 1_000 });
      }
      expect(onTimeout).not.toHaveBeenCalled();
      vi.advanceTimersByTime(110);
      expect(onTimeout).toHaveBeenCalledTimes(1);
    } finally {
      vi.useRealTimers();
      socket.destroy();
    }
  });

  it('gives up on a peer that never ends, a minute after it was destroyed', async () => {
    const listener = server.net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(80);
    listener.on('connection', (accepted) => accepted.on('error', () => {}));
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.9.0.2');
    await once(socket, 'connect');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      socket.destroy();
      vi.advanceTimersByTime(59_000);
      expect(near.log).not.toContain('tcp-abort');
      vi.advanceTimersByTime(2_000);
      expect(near.log).toContain('tcp-abort');
    } finally {
      vi.useRealTimers();
    }
  });

  it('lets code that awaits connect add its listeners before the rest of the same burst is told', async () => {
    const engine: EnginePort = { post: () => {}, onEvent: () => {} };
    const socket = new SocketLayer(engine).net.connect(80, '10.9.0.2');
    await nextTick();
    setImmediate(() => {
      const at = { address: ip('10.9.0.2'), port: 80 };
      engine.onEvent({ kind: 'tcp-connected', socket: 1, local: at, remote: at, writeCredit: 65_536 });
      engine.onEvent({ kind: 'tcp-data', socket: 1, bytes: Uint8Array.of(1) });
      engine.onEvent({ kind: 'closed', socket: 1, error: 'ECONNRESET' });
    });
    await once(socket, 'connect');
    const seen = record(socket, 'data', 'error', 'close');
    await closed(socket);
    expect(seen).toEqual(['data', 'error(ECONNRESET)', 'close(true)']);
  });

  it('finds in the same burst what a listener of connect does not wait for', async () => {
    const posted: SocketCommand['kind'][] = [];
    const engine: EnginePort = { post: ({ kind }) => void posted.push(kind), onEvent: () => {} };
    const socket = new SocketLayer(engine).net.connect(80, '10.9.0.2', () => process.nextTick(() => socket.destroy()));
    await nextTick();
    const at = { address: ip('10.9.0.2'), port: 80 };
    engine.onEvent({ kind: 'tcp-connected', socket: 1, local: at, remote: at, writeCredit: 65_536 });
    engine.onEvent({ kind: 'tcp-data', socket: 1, bytes: Uint8Array.of(1) });
    await closed(socket);
    expect(posted).toEqual(['tcp-connect', 'tcp-abort']);
  });

  it('looks at lent bytes only while it is told of them, and says when it borrows no more', async () => {
    const lent: string[] = [];
    const engine: EnginePort = {
      post: () => {},
      onEvent: () => {},
      lend: (socket, on) => void lent.push(`${socket} ${on}`),
    };
    const tell = (bytes: Uint8Array): void => {
      engine.onEvent({ kind: 'tcp-data', socket: 1, bytes });
      bytes.fill(0xee);
    };
    const got: number[] = [];
    const callback = (length: number, buffer: Uint8Array): void => {
      got.push(...buffer.subarray(0, length));
      if (got.length === 3) throw new Error('of the embedder');
    };
    const onread = { buffer: new Uint8Array(2), callback };
    const socket = new SocketLayer(engine).net.connect({ port: 80, host: '10.9.0.2', onread });
    await nextTick();
    const at = { address: ip('10.9.0.2'), port: 80 };
    const thrown = new Promise<Error>((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
    try {
      engine.onEvent({ kind: 'tcp-connected', socket: 1, local: at, remote: at, writeCredit: 65_536 });
      tell(Uint8Array.of(1));
      await delay(1);
      tell(Uint8Array.of(2, 3, 4, 5));
      await delay(1);
      expect((await thrown).message).toBe('of the embedder');
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }
    expect(got).toEqual([1, 2, 3, 4, 5]);
    tell(Uint8Array.of(6));
    expect(got).toEqual([1, 2, 3, 4, 5, 6]);
    expect(lent).toEqual(['1 true']);
    engine.onEvent({ kind: 'closed', socket: 1, error: 'ECONNRESET' });
    expect((await once(socket, 'error'))[0]).toMatchObject({ code: 'ECONNRESET' });
    expect(lent).toEqual(['1 true', '1 false']);
  });

  it('keeps the bytes that came before a reset for a reader that is slow', async () => {
    const listener = server.net.createServer((accepted) => {
      for (let i = 0; i < 5; i++) accepted.write(pattern(10_000, i));
      accepted.write(pattern(10_000), () => accepted.resetAndDestroy());
    });
    listener.listen(80);
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.9.0.2');
    const parts: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of socket) {
        await delay(2);
        parts.push(chunk);
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(Buffer.concat(parts).length).toBe(60_000);
  });

  it('ends a connection that was reset a second later though nobody reads what came before', async () => {
    const listener = server.net.createServer((accepted) => {
      accepted.write(pattern(10_000), () => accepted.resetAndDestroy());
    });
    listener.listen(80);
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.9.0.2');
    const seen = record(socket, 'error', 'close');
    await closed(socket);
    expect(seen).toEqual(['error(ECONNRESET)', 'close(true)']);
    expect(socket.bytesRead).toBe(10_000);
  });

  it('aborts a connection that was accepted for a server that has just closed', async () => {
    const listener = server.net.createServer().listen(80);
    await once(listener, 'listening');
    const socket = client.net.connect(80, '10.9.0.2');
    const seen = record(socket, 'connect', 'error', 'close');
    await nextTick();
    listener.close();
    await closed(socket);
    expect(seen).toEqual(['connect', 'error(ECONNRESET)', 'close(true)']);
    expect(far.log).toContain('tcp-abort');
  });
});
