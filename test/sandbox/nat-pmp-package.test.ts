/**
 * A client that is not ours, the `nat-pmp` package, against the sandbox's gateway: a second opinion on the bytes of both sides. It
 * makes its own UDP socket and takes no other, so `createSocket` is replaced while it does: by that of a tunnel.
 */
import dgram from 'node:dgram';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { Client, type Mapping, type MappingOptions } from 'nat-pmp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseWireGuardConfig, Tunnel } from '../../src/index.ts';
import { Sandbox, type SandboxClient } from '../../src/sandbox/index.ts';

const GATEWAY = '10.2.0.1';
let sandbox: Sandbox;
let account: SandboxClient;
let tunnel: Tunnel;
let client: Client;

beforeEach(async () => {
  sandbox = await Sandbox.start();
  account = sandbox.addClient();
  tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(account.conf) });
  await tunnel.ready();
  const { createSocket } = dgram;
  dgram.createSocket = ((type: 'udp4') => tunnel.dgram.createSocket(type)) as never;
  try {
    client = new Client(GATEWAY);
  } finally {
    dgram.createSocket = createSocket;
  }
});
afterEach(async () => {
  client.close();
  await tunnel.close();
  await sandbox.close();
});

const map = (options: MappingOptions): Promise<Mapping> => promisify(client.portMapping.bind(client))(options);

describe('the nat-pmp package at the sandbox’s gateway', () => {
  it('learns the external address (RFC 6886 §3.2)', async () => {
    const { ip } = await promisify(client.externalIp.bind(client))();
    expect(ip.join('.')).toBe('203.0.113.10');
  });

  it('is given the same port for UDP and TCP, for a minute, and it is reached from outside (§3.3)', async () => {
    const udp = await map({ type: 'udp', private: 6_881, public: 50_000, ttl: 7_200 });
    const tcp = await map({ type: 'tcp', private: 6_881, public: udp.public, ttl: 7_200 });
    expect(udp).toMatchObject({ type: 'udp', private: 6_881, public: 50_000, ttl: 60 });
    expect(tcp).toMatchObject({ type: 'tcp', private: 6_881, public: 50_000, ttl: 60 });
    const server = tunnel.net.createServer((socket) => socket.on('error', () => {}).end('hello')).listen(6_881);
    await once(server, 'listening');
    const socket = sandbox
      .addHost()
      .net.connect({ host: '203.0.113.10', port: 50_000 })
      .on('error', () => {});
    const [heard] = (await once(socket, 'data')) as [Buffer];
    expect(heard.toString()).toBe('hello');
    socket.destroy();
  });

  it('gives a mapping back (§3.4)', async () => {
    await map({ type: 'tcp', private: 6_881, ttl: 60 });
    expect(account.stats().ports).toHaveLength(1);
    const gone = await promisify(client.portUnmapping.bind(client))({ type: 'tcp', private: 6_881 });
    expect(gone).toMatchObject({ public: 0, ttl: 0 });
    expect(account.stats().ports).toEqual([]);
  });

  it('is refused in its own words (§3.5)', async () => {
    sandbox.natpmp.refuse = true;
    await expect(map({ type: 'tcp', private: 6_881 })).rejects.toMatchObject({
      code: 2,
      message: expect.stringContaining('Not Authorized'),
    });
  });
});
