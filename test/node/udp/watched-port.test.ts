import { createSocket, Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import type { Libc } from '../../../src/node/udp/ffi.ts';
import { watchedPorts } from '../../../src/node/udp/watched-port.ts';
import type { UdpPort } from '../../../src/node/udp-port.ts';
import { failing, libc } from '../../support/fast-udp.ts';
import {
  describeUdpPort,
  loopback,
  openPair,
  openTestPort,
  PATIENCE,
  plainSocket,
} from '../../support/udp-port-conformance.ts';

const EAGAIN = 11;

/** Datagrams of one byte, their number. */
function send(port: UdpPort, count: number): void {
  for (let i = 0; i < count; i++) {
    port.transmit.append(Uint8Array.of(i), undefined);
    if (port.transmit.full) port.flush();
  }
  port.flush();
}

describe.skipIf(!libc)('UDP port watched by the event loop', () => {
  describeUdpPort((options, handlers) => watchedPorts(libc!)(options, handlers));

  it('reads the first datagram of a turn by node:dgram, and all others ahead of it in one system call', async () => {
    const calls: number[] = [];
    const recvmmsg: Libc['recvmmsg'] = (...values) => {
      calls.push(libc!.recvmmsg(...values));
      return calls.at(-1)!;
    };
    const { client, server } = await openPair(watchedPorts({ ...libc!, recvmmsg }));
    send(client.port, 100);
    await vi.waitFor(() => expect(server.received).toHaveLength(100), PATIENCE);
    expect(calls.filter((result) => result > 0)).toEqual([99]);
    expect(server.bursts).toEqual([100]);
    expect(server.received.map(({ bytes }) => Number.parseInt(bytes, 16))).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    );
    expect(new Set(server.received.map(({ from }) => from)).size).toBe(1);
  });

  it('hands over only so many bursts in one turn, however much comes', async () => {
    const { client, server } = await openPair(watchedPorts(libc!));
    const burstsPerTurn: number[] = [];
    let bursts = 0;
    // As much again as was taken.
    server.onBurst.mockImplementation(() => {
      bursts++;
      send(client.port, 128);
    });
    send(client.port, 128);
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      burstsPerTurn.push(bursts);
      bursts = 0;
    }
    await server.port.close();
    expect(Math.max(...burstsPerTurn)).toBeLessThanOrEqual(3);
    expect(Math.max(...burstsPerTurn)).toBeGreaterThan(1);
  });

  it('waits while the system’s queue is full, and goes on by itself (EAGAIN)', async () => {
    const ports = watchedPorts(failing(libc!, { sendmmsg: (call) => (call < 3 ? EAGAIN : 0) }));
    const { client, server } = await openPair(ports);
    client.port.transmit.append(Uint8Array.of(1), undefined);
    client.port.flush();
    expect(client.port).toMatchObject({ congested: true, transmit: { count: 1 } });
    client.port.flush();
    await vi.waitFor(() => expect(client.onDrain).toHaveBeenCalledTimes(1), PATIENCE);
    expect(client.port).toMatchObject({ congested: false, transmit: { count: 0 } });
    await vi.waitFor(() => expect(server.received).toHaveLength(1), PATIENCE);
  });

  it('sends nothing after close, even what had to wait', async () => {
    const sendmmsg = vi.fn(() => EAGAIN);
    const { client } = await openPair(watchedPorts(failing(libc!, { sendmmsg })));
    client.port.transmit.append(Uint8Array.of(1), undefined);
    client.port.flush();
    await client.port.close();
    const before = sendmmsg.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sendmmsg.mock.calls.length).toBe(before);
    expect(client.onDrain).not.toHaveBeenCalled();
  });

  it('delivers nothing after close, even what it had read in the same turn', async () => {
    const open = watchedPorts(libc!);
    const servers = [await openTestPort(open, { bind: loopback(4) }), await openTestPort(open, { bind: loopback(4) })];
    for (const server of servers)
      server.onBurst.mockImplementation(() => {
        for (const { port } of servers.filter((other) => other !== server)) void port.close();
      });
    const plain = await plainSocket();
    for (const { port } of servers) plain.send(Uint8Array.of(1), port.local.port, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(servers.map(({ onBurst }) => onBurst.mock.calls.length).sort()).toEqual([0, 1]);
  });

  it('gives back its descriptor and its slabs once it is closed', async () => {
    const lent = new Set<Uint8Array>();
    const memory = {
      allocate(bytes: number): Uint8Array {
        const slab = new Uint8Array(bytes);
        lent.add(slab);
        return slab;
      },
      release: (slab: Uint8Array): void => void lent.delete(slab),
    };
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 5; i++) {
      const { port } = await openTestPort(watchedPorts(libc!), { bind: loopback(4), ...memory });
      expect(lent.size).toBe(2);
      await port.close();
      expect(lent.size).toBe(0);
    }
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('leaves nothing open if node:dgram does not take the descriptor (ERR_UDP_PORT)', async () => {
    const before = readdirSync('/proc/self/fd').length;
    vi.spyOn(Socket.prototype, 'bind').mockImplementationOnce(function (this: Socket) {
      process.nextTick(() => this.emit('error', new Error('bind EINVAL')));
      return this;
    });
    await expect(openTestPort(watchedPorts(libc!), { bind: loopback(4) })).rejects.toMatchObject({
      code: 'ERR_UDP_PORT',
      message: expect.stringContaining('at 127.0.0.1:0: bind EINVAL'),
    });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('shares its number with nobody (SO_REUSEADDR, which libuv sets on what it is given)', async () => {
    const { port } = await openTestPort(watchedPorts(libc!), { bind: loopback(4) });
    const thief = createSocket({ type: 'udp4', reuseAddr: true });
    thief.bind(port.local.port, '127.0.0.1');
    const [error] = await Promise.race([once(thief, 'error'), once(thief, 'listening')]);
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
    thief.close();
  });
});
