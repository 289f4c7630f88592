/** What an idle connection costs: socket object, stack and buffers together. */
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { TunnelSocket } from '../../src/node/net-socket.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { heldBytes } from '../support/memory.ts';
import { VirtualWire } from '../support/virtual-engine.ts';

const CLIENT = '10.8.0.1';
const SERVER = '10.8.0.2';
/** What all connections share, free pages and caches, is there before anything is counted. */
const WARM = 300;
const CONNECTIONS = 1000;
const GREETING = new Uint8Array(400);

let wire: VirtualWire;

afterEach(() => wire.stop());

/** Opens connections between two stacks; each end greets the other, as peers do, and then all is quiet. */
async function openAll(client: SocketLayer, count: number): Promise<TunnelSocket[]> {
  const sockets = Array.from({ length: count }, () => client.net.connect(80, SERVER));
  await Promise.all(
    sockets.map(async (socket) => {
      await once(socket, 'connect');
      socket.write(GREETING);
      await once(socket, 'data');
    }),
  );
  return sockets;
}

describe('an idle connection', () => {
  it('costs less than 10 KiB, its socket object included', async () => {
    wire = new VirtualWire();
    const client = new SocketLayer(wire.host([CLIENT]));
    const server = new SocketLayer(wire.host([SERVER])).net.createServer((socket) => {
      socket.on('data', () => socket.write(GREETING));
    });
    server.listen(80, undefined, WARM + CONNECTIONS);
    await once(server, 'listening');
    const sockets = await openAll(client, WARM);
    const before = heldBytes();
    sockets.push(...(await openAll(client, CONNECTIONS)));
    const each = (heldBytes() - before) / (2 * CONNECTIONS);
    expect(sockets.length).toBe(WARM + CONNECTIONS);
    expect(each).toBeLessThan(10 * 1024);
    // Less than a stream alone would be a mistake of the measurement.
    expect(each).toBeGreaterThan(2 * 1024);
  });
});
