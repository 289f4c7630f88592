import { Socket as DgramSocket } from 'node:dgram';
import { describe, expect, it, vi } from 'vitest';
import { openDgramPort, type UdpPortOptions } from '../../src/node/udp-port.ts';
import {
  describeUdpPort,
  loopback,
  openPair,
  openTestPort,
  PATIENCE,
  plainSocket,
  type TestPort,
} from '../support/udp-port-conformance.ts';

const open = (options: UdpPortOptions): Promise<TestPort> => openTestPort(openDgramPort, options);
const pair = (): ReturnType<typeof openPair> => openPair(openDgramPort);

describe('UDP port on node:dgram', () => {
  describeUdpPort(openDgramPort);

  it('keeps its slabs in the memory it is given, and gives them back once it is closed', async () => {
    const memory = new ArrayBuffer(1 << 20);
    const lent: Uint8Array[] = [];
    const allocate = (bytes: number): Uint8Array => {
      lent.push(new Uint8Array(memory, lent.length << 18, bytes));
      return lent.at(-1)!;
    };
    const released: Uint8Array[] = [];
    const { port, onBurst } = await open({
      bind: loopback(4),
      allocate,
      release: (slab) => released.push(slab),
    });
    expect(port.transmit.slab).toBe(lent[0]);
    const { port: other } = await open({ remote: port.local });
    other.transmit.append(Uint8Array.of(1), undefined);
    other.flush();
    await vi.waitFor(() => expect(onBurst).toHaveBeenCalled(), PATIENCE);
    expect(onBurst.mock.lastCall![0].slab).toBe(lent[1]);
    expect(released).toEqual([]);
    await port.close();
    expect(released.map((slab) => lent.indexOf(slab))).toEqual([0, 1]);
  });

  it('reports once that it carries nothing any more, and again after it had recovered', async () => {
    const { client, server } = await pair();
    const failure = Object.assign(new Error('send EINVAL'), { code: 'EINVAL' });
    const send = vi.spyOn(DgramSocket.prototype, 'send');
    const flush = async (error: Error | null): Promise<void> => {
      send.mockImplementationOnce((...args: unknown[]) =>
        process.nextTick(args.at(-1) as (error: Error | null) => void, error),
      );
      client.port.transmit.append(Uint8Array.of(1), server.port.local);
      client.port.flush();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await flush(failure);
    await flush(failure);
    expect(client.onError).toHaveBeenCalledTimes(1);
    await flush(null);
    await flush(failure);
    expect(client.onError).toHaveBeenCalledTimes(2);
  });

  it('is congested while the system’s queue is full, and tells when it has drained', async () => {
    const { client, server } = await pair();
    const waiting = vi.spyOn(DgramSocket.prototype, 'getSendQueueCount').mockReturnValue(3);
    client.port.transmit.append(Uint8Array.of(1), undefined);
    client.port.flush();
    expect(client.port.congested).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(client.onDrain).not.toHaveBeenCalled();
    waiting.mockReturnValue(0);
    await vi.waitFor(() => expect(client.onDrain).toHaveBeenCalledTimes(1), PATIENCE);
    expect(client.port.congested).toBe(false);
    await vi.waitFor(() => expect(server.received).toHaveLength(1), PATIENCE);
  });

  it('delivers nothing after close, even what it had read in the same turn', async () => {
    const servers = [await open({ bind: loopback(4) }), await open({ bind: loopback(4) })];
    // Both have read a datagram when the first of them gets its turn, and closes the other.
    for (const server of servers)
      vi.mocked(server.onBurst).mockImplementation(() => {
        for (const { port } of servers.filter((other) => other !== server)) void port.close();
      });
    const plain = await plainSocket();
    for (const { port } of servers) plain.send(Uint8Array.of(1), port.local.port, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(servers.map(({ port }) => port.counters!.received)).toEqual([1, 1]);
    expect(servers.map(({ onBurst }) => vi.mocked(onBurst).mock.calls.length).sort()).toEqual([0, 1]);
  });
});
