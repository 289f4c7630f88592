/** Fallback configurations of the public tunnel, and the look at a server beside it, against two sandbox providers. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseWireGuardConfig, Tunnel } from '../../src/index.ts';
import { systemClock } from '../../src/node/clock.ts';
import { selectCrypto } from '../../src/node/crypto/select.ts';
import { resolveEndpoint } from '../../src/node/endpoint.ts';
import { serverAnswers } from '../../src/node/server-check.ts';
import { openTimestampState } from '../../src/node/timestamp-state.ts';
import { openDgramPort } from '../../src/node/udp-port.ts';
import { Sandbox } from '../../src/sandbox/index.ts';

let first: Sandbox;
let second: Sandbox;
beforeAll(async () => {
  first = await Sandbox.start();
  second = await Sandbox.start();
});
afterAll(async () => {
  await first.close();
  await second.close();
});
afterEach(() => {
  first.faults.silent = false;
});

describe('a fallback configuration', () => {
  it('is taken when the first server stays silent, with its own key, addresses and DNS, and listeners go on', async () => {
    first.faults.silent = true;
    const host = second.addHost({ name: 'peer.sluice.test' });
    const client = second.addClient();
    const tunnel = await Tunnel.open({
      wireguard: parseWireGuardConfig(first.addClient().conf),
      fallback: [parseWireGuardConfig(client.conf)],
    });
    const endpoints: string[] = [];
    tunnel.on('endpoint.changed', ({ endpoint }) => endpoints.push(endpoint));
    const server = tunnel.net.createServer((socket) => socket.on('error', () => {}).end('still here'));
    server.listen(0);
    await once(server, 'listening');
    await tunnel.ready({ signal: AbortSignal.timeout(60_000) });
    expect(tunnel.status().tunnel).toMatchObject({
      endpoint: second.endpoint,
      addresses: parseWireGuardConfig(client.conf).addresses.map(({ address, bits }) =>
        address.family === 4 ? `${address.bytes.join('.')}/${bits}` : expect.any(String),
      ),
    });
    expect(endpoints).toEqual([first.endpoint, second.endpoint]);
    // The tunnel's end may reset what is not over yet.
    const web = host.net.createServer((socket) => socket.on('error', () => {}).end('hello'));
    web.listen(0);
    await once(web, 'listening');
    const socket = tunnel.net.connect({ host: 'peer.sluice.test', port: (web.address() as AddressInfo).port });
    const [hello] = (await once(socket, 'data')) as [Buffer];
    expect(hello.toString()).toBe('hello');
    expect(server.listening).toBe(true);
    await tunnel.close();
  }, 90_000);
});

describe('a look at a server beside the tunnel', () => {
  const look = async (sandbox: Sandbox, signal: AbortSignal): Promise<boolean> => {
    const { privateKey, peers } = parseWireGuardConfig(sandbox.addClient().conf);
    const crypto = await selectCrypto();
    const timestamps = await openTimestampState(privateKey);
    const [endpoint] = await resolveEndpoint(peers[0]!.endpoint!);
    const timestamp = (): Uint8Array | undefined => timestamps.next();
    const peer = peers[0]!;
    const options = { privateKey, peer, endpoint: endpoint!, crypto, clock: systemClock, timestamp, signal };
    return serverAnswers({ ...options, openUdpPort: openDgramPort });
  };

  it('is one handshake', async () => {
    expect(await look(first, AbortSignal.timeout(20_000))).toBe(true);
  });

  it('ends when it is given up', async () => {
    first.faults.silent = true;
    expect(await look(first, AbortSignal.timeout(300))).toBe(false);
  });
});
