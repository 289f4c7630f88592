/** What every UDP port does, whatever it is made of. */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it, type Mock, vi } from 'vitest';
import { type Endpoint, formatEndpoint, ip } from '../../src/core/base/address.ts';
import type { Burst } from '../../src/core/base/burst.ts';
import { toHex } from '../../src/core/base/bytes.ts';
import type { OpenUdpPort, UdpPort, UdpPortHandlers, UdpPortOptions } from '../../src/node/udp-port.ts';

export interface Received {
  readonly bytes: string;
  readonly from: Endpoint | undefined;
}

export interface TestPort extends UdpPortHandlers {
  readonly port: UdpPort;
  readonly received: Received[];
  readonly bursts: number[];
  readonly onBurst: Mock<UdpPortHandlers['onBurst']>;
}

/** For what the kernel hands over at once, on a machine that may be busy. */
export const PATIENCE = { timeout: 10_000 };

/** Closes what a test has opened, the last one first. */
export const closers: (() => Promise<void>)[] = [];

/** A port whose handlers take notes. */
export async function openTestPort(openUdpPort: OpenUdpPort, options: UdpPortOptions): Promise<TestPort> {
  const received: Received[] = [];
  const bursts: number[] = [];
  const handlers = {
    onBurst: vi.fn((burst: Burst) => {
      bursts.push(burst.count);
      for (let i = 0; i < burst.count; i++)
        received.push({ bytes: toHex(burst.datagram(i)), from: burst.endpoints[i] });
    }),
    onDrain: vi.fn(),
    onError: vi.fn(),
  };
  const port = await openUdpPort(options, handlers);
  closers.push(() => port.close());
  return { port, received, bursts, ...handlers };
}

export const loopback = (family: 4 | 6, port = 0): Endpoint => ({
  address: ip(family === 4 ? '127.0.0.1' : '::1'),
  port,
});

export async function openPair(
  openUdpPort: OpenUdpPort,
  family: 4 | 6 = 4,
): Promise<{ client: TestPort; server: TestPort }> {
  const server = await openTestPort(openUdpPort, { bind: loopback(family) });
  const client = await openTestPort(openUdpPort, { remote: server.port.local });
  return { client, server };
}

export async function plainSocket(port = 0): Promise<Socket> {
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  await once(socket, 'listening');
  closers.push(() => new Promise((resolve) => socket.close(() => resolve())));
  return socket;
}

export function describeUdpPort(openUdpPort: OpenUdpPort): void {
  const open = (options: UdpPortOptions): Promise<TestPort> => openTestPort(openUdpPort, options);
  const pair = (family: 4 | 6 = 4): ReturnType<typeof openPair> => openPair(openUdpPort, family);

  afterEach(async () => {
    vi.restoreAllMocks();
    for (const close of closers.splice(0).reverse()) await close();
  });

  describe.each([4, 6] as const)('over IPv%i', (family) => {
    it('carries datagrams both ways; the source of each is told to the unconnected side', async () => {
      const { client, server } = await pair(family);
      client.port.transmit.append(Uint8Array.of(1, 2, 3), undefined);
      client.port.transmit.append(Uint8Array.of(4), server.port.local);
      client.port.flush();
      expect(client.port.transmit.count).toBe(0);
      await vi.waitFor(() => expect(server.received).toHaveLength(2), PATIENCE);
      expect(server.received.map(({ bytes }) => bytes)).toEqual(['010203', '04']);
      const from = server.received[0]!.from!;
      expect(formatEndpoint(from)).toBe(formatEndpoint(client.port.local));
      expect(server.received[1]!.from).toBe(from);
      server.port.transmit.append(Uint8Array.of(9, 9), from);
      server.port.flush();
      await vi.waitFor(() => expect(client.received).toHaveLength(1), PATIENCE);
      expect(client.received[0]!.bytes).toBe('0909');
    });
  });

  it('hands over what one turn of the event loop read as one burst', async () => {
    const { client, server } = await pair();
    for (let i = 0; i < 20; i++) client.port.transmit.append(new Uint8Array(100).fill(i), undefined);
    client.port.flush();
    await vi.waitFor(() => expect(server.received).toHaveLength(20), PATIENCE);
    expect(server.bursts).toEqual([20]);
    expect(server.received.map(({ bytes }) => bytes.slice(0, 2))).toEqual(
      Array.from({ length: 20 }, (_, i) => toHex(Uint8Array.of(i))),
    );
  });

  it('sends slots of changing lengths right, burst after burst', async () => {
    const { client, server } = await pair();
    const sent: string[] = [];
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 8; i++) {
        const bytes = new Uint8Array(1 + ((i * 7 + (round >> 1) * 3) % 40)).fill(16 * round + i);
        sent.push(toHex(bytes));
        client.port.transmit.append(bytes, undefined);
      }
      client.port.flush();
    }
    await vi.waitFor(() => expect(server.received).toHaveLength(48), PATIENCE);
    expect(server.received.map(({ bytes }) => bytes)).toEqual(sent);
    expect(client.port.counters!.sent).toBe(48);
  });

  it('that is connected receives from nobody else', async () => {
    const { client, server } = await pair();
    const stranger = await plainSocket();
    stranger.send(Uint8Array.of(6, 6, 6), client.port.local.port, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.port.transmit.append(Uint8Array.of(1), client.port.local);
    server.port.flush();
    await vi.waitFor(() => expect(client.received).toHaveLength(1), PATIENCE);
    expect(client.received[0]!.bytes).toBe('01');
  });

  it('that is connected sends to nobody else, and counts it', async () => {
    const { client } = await pair();
    const stranger = await plainSocket();
    const heard = vi.fn();
    stranger.on('message', heard);
    client.port.transmit.append(Uint8Array.of(1), loopback(4, stranger.address().port));
    client.port.flush();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard).not.toHaveBeenCalled();
    expect(client.port.counters).toMatchObject({ wrongEndpoint: 1, sent: 0 });
  });

  it('survives ICMP port unreachable: the server may come back at the same address', async () => {
    const gone = await plainSocket();
    const { port: number } = gone.address();
    await closers.pop()!();
    const client = await open({ remote: loopback(4, number) });
    for (let i = 0; i < 3; i++) {
      client.port.transmit.append(Uint8Array.of(1), undefined);
      client.port.flush();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(client.port.counters!.softErrors).toBeGreaterThan(0);
    expect(client.onError).not.toHaveBeenCalled();
    const back = await plainSocket(number);
    const heard = once(back, 'message');
    client.port.transmit.append(Uint8Array.of(2), undefined);
    client.port.flush();
    expect(toHex((await heard)[0])).toBe('02');
  });

  it('counts and drops a datagram that is larger than any of the tunnel', async () => {
    const server = await open({ bind: loopback(4) });
    const jumbo = await open({ bind: loopback(4), mtu: 8000 });
    const plain = await plainSocket();
    for (const size of [2048, 2049, 8047, 65_507])
      for (const { port } of [server, jumbo]) plain.send(new Uint8Array(size), port.local.port, '127.0.0.1');
    await vi.waitFor(() => expect(jumbo.port.counters!.received + server.port.counters!.received).toBe(8), PATIENCE);
    await vi.waitFor(
      () => expect(jumbo.received.map(({ bytes }) => bytes.length / 2)).toEqual([2048, 2049, 8047]),
      PATIENCE,
    );
    expect(server.received.map(({ bytes }) => bytes.length / 2)).toEqual([2048]);
    expect(server.port.counters!.oversized).toBe(3);
  });

  it('takes empty datagrams and a burst without datagrams', async () => {
    const { client, server } = await pair();
    client.port.flush();
    client.port.transmit.append(new Uint8Array(0), undefined);
    client.port.flush();
    await vi.waitFor(() => expect(server.received).toHaveLength(1), PATIENCE);
    expect(server.received[0]!.bytes).toBe('');
  });

  it('asks for a large receive buffer and reports what was granted', async () => {
    const { client } = await pair();
    const plain = await plainSocket();
    expect(client.port.counters!.receiveBufferBytes).toBeGreaterThanOrEqual(plain.getRecvBufferSize());
  });

  it('passes on a listener’s exception and takes the next burst all the same', async () => {
    const { client, server } = await pair();
    const caught = vi.fn();
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').once('uncaughtException', caught);
    try {
      vi.mocked(server.onBurst).mockImplementationOnce(() => {
        throw new Error('listener');
      });
      client.port.transmit.append(Uint8Array.of(1), undefined);
      client.port.flush();
      // Not before: both might come in one burst.
      await vi.waitFor(() => expect(caught).toHaveBeenCalled(), PATIENCE);
      client.port.transmit.append(Uint8Array.of(2), undefined);
      client.port.flush();
      await vi.waitFor(() => expect(server.received).not.toEqual([]), PATIENCE);
    } finally {
      for (const listener of before) process.on('uncaughtException', listener);
    }
    expect(caught).toHaveBeenCalledTimes(1);
    expect(server.received.map(({ bytes }) => bytes)).toEqual(['02']);
  });

  it('delivers nothing after close, frees its number, and closes twice without harm', async () => {
    const { client, server } = await pair();
    client.port.transmit.append(Uint8Array.of(1), undefined);
    client.port.flush();
    await Promise.all([server.port.close(), server.port.close()]);
    server.port.flush();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.received).toEqual([]);
    await plainSocket(server.port.local.port);
  });

  it('is not opened towards an address that the system refuses to connect to (ERR_UDP_PORT)', async () => {
    const remote = { address: ip('127.255.255.255'), port: 51820 };
    await expect(
      openUdpPort({ remote }, { onBurst: vi.fn(), onDrain: vi.fn(), onError: vi.fn() }),
    ).rejects.toMatchObject({
      code: 'ERR_UDP_PORT',
      message: expect.stringContaining('towards 127.255.255.255:51820'),
      cause: { code: 'EACCES' },
    });
  });

  it('names the address that it could not open (ERR_UDP_PORT)', async () => {
    const taken = await plainSocket();
    const opening = open({ bind: loopback(4, taken.address().port) });
    await expect(opening).rejects.toMatchObject({
      code: 'ERR_UDP_PORT',
      message: expect.stringContaining(`127.0.0.1:${taken.address().port}`),
      cause: { code: 'EADDRINUSE' },
    });
  });
}
