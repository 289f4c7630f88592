/** One event per listener and tick, as Node has it. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { beforeEach, describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import type { SocketCommand, SocketEvent } from '../../src/core/netstack/messages.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { TurnQueue, Turns } from '../../src/node/turns.ts';

describe('turns', () => {
  it('are one per tick, and who is refused is called when every promise callback has run', async () => {
    const told: string[] = [];
    const turns = new Turns(() => told.push('called'));
    expect(turns.take()).toBe(true);
    expect(turns.take()).toBe(false);
    expect(turns.take()).toBe(false);
    let chain = Promise.resolve();
    for (let i = 0; i < 5; i++) chain = chain.then(() => void told.push(`then ${i}`));
    await new Promise(setImmediate);
    expect(told).toEqual(['then 0', 'then 1', 'then 2', 'then 3', 'then 4', 'called']);
    expect(turns.take()).toBe(true);
  });

  it('of two listeners are apart', () => {
    const one = new Turns(() => {});
    const other = new Turns(() => {});
    expect([one.take(), other.take(), one.take(), other.take()]).toEqual([true, true, false, false]);
  });

  it('hand everything over in order, before the event loop goes on, though a listener throws', async () => {
    const told: number[] = [];
    const queue = new TurnQueue<number>((item) => {
      told.push(item);
      if (item === 0) throw new Error('of the listener');
    });
    expect(() => queue.push(0)).toThrow('of the listener');
    for (let i = 1; i < 100; i++) queue.push(i);
    expect(told).toEqual([0]);
    await new Promise(setImmediate);
    expect(told).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});

describe('who awaits one event after the other misses none that an engine tells in one call stack, as with node:net and node:dgram', () => {
  let commands: SocketCommand[];
  let engine: EnginePort;
  let layer: SocketLayer;
  beforeEach(() => {
    commands = [];
    engine = { post: (command) => void commands.push(command), onEvent: () => {} };
    layer = new SocketLayer(engine);
  });
  const local = { address: ip('10.9.0.1'), port: 4000 };
  const remote = { address: ip('10.9.0.2'), port: 80 };
  const tell = (...events: SocketEvent[]): void => {
    for (const event of events) engine.onEvent(event);
  };
  const data = (text: string): SocketEvent => ({ kind: 'tcp-data', socket: 1, bytes: Buffer.from(text) });

  async function connected(): Promise<Socket> {
    const socket = layer.net.connect(remote.port, '10.9.0.2');
    await new Promise(setImmediate);
    const opened = once(socket, 'connect');
    tell({ kind: 'tcp-connected', socket: 1, local, remote, writeCredit: 1000 });
    await opened;
    await new Promise(setImmediate);
    return socket as Socket;
  }

  it('a connection: chunks and the end', async () => {
    const socket = await connected();
    const first = once(socket, 'data');
    tell(data('one'), data('two'), data('three'), { kind: 'tcp-end', socket: 1 });
    expect(String(await first)).toBe('one');
    expect(String(await once(socket, 'data'))).toBe('two');
    expect(String(await once(socket, 'data'))).toBe('three');
    await once(socket, 'end');
  });

  it('a connection that was paused meanwhile', async () => {
    const socket = await connected();
    socket.on('data', () => {});
    socket.pause().removeAllListeners('data');
    tell(data('x'.repeat(100_000)), data('two'), data('three'), { kind: 'tcp-end', socket: 1 });
    let text = '';
    const end = once(socket, 'end');
    socket.on('data', (chunk) => (text += chunk)).resume();
    await end;
    expect(text).toBe(`${'x'.repeat(100_000)}twothree`);
  });

  it('a UDP socket: datagrams', async () => {
    const socket = layer.dgram.createSocket('udp4');
    socket.bind(4000);
    await new Promise(setImmediate);
    const bound = once(socket, 'listening');
    tell({ kind: 'bound', socket: 1, local });
    await bound;
    const first = once(socket, 'message');
    const datagram = (text: string): SocketEvent => ({
      kind: 'udp-datagram',
      socket: 1,
      bytes: Buffer.from(text),
      from: remote,
    });
    tell(datagram('one'), datagram('two'), datagram('three'));
    expect(String((await first)[0])).toBe('one');
    expect(String((await once(socket, 'message'))[0])).toBe('two');
    expect(String((await once(socket, 'message'))[0])).toBe('three');
  });
});
