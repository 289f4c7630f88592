/** The sandbox over a real UDP port on loopback, with the public tunnel as its client. Real time, but nothing sleeps. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { Tunnel } from '../../src/node/tunnel.ts';
import { Sandbox } from '../../src/sandbox/index.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof Sandbox.start>[0] = {}): Promise<Sandbox> {
  const sandbox = await Sandbox.start(options);
  closers.push(() => sandbox.close());
  return sandbox;
}

async function openTunnel(conf: string): Promise<Tunnel> {
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
  closers.push(() => tunnel.close());
  await tunnel.ready();
  return tunnel;
}

describe('the sandbox on loopback', () => {
  it('hands out a configuration with which a tunnel reaches the exit echo by name', async () => {
    const sandbox = await start();
    const tunnel = await openTunnel(sandbox.addClient().conf);
    const response = await tunnel.fetch(`${sandbox.echoUrl}json`);
    expect(await response.json()).toEqual({ ip: '203.0.113.10' });
    expect(sandbox.dns.log.map(({ name }) => name)).toContain('ip.sluice.test');
  });

  it('carries a megabyte from a virtual host to the tunnel, unchanged', async () => {
    const sandbox = await start();
    const host = sandbox.addHost({ name: 'files.test' });
    const payload = Buffer.alloc(1 << 20, 'sluice');
    // The tunnel's end may reset what is not over yet.
    const server = host.net.createServer((socket) => socket.on('error', () => {}).end(payload));
    server.listen(8000);
    await once(server, 'listening');
    const tunnel = await openTunnel(sandbox.addClient().conf);
    const chunks: Buffer[] = [];
    for await (const chunk of tunnel.net.connect({ host: 'files.test', port: 8000 })) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(payload)).toBe(true);
  });

  it('forwards a mapped port to a listener in the tunnel, who sees the caller’s own address', async () => {
    const sandbox = await start();
    const client = sandbox.addClient();
    const tunnel = await openTunnel(client.conf);
    const socket = tunnel.dgram.createSocket('udp4');
    closers.push(async () => void socket.close());
    socket.send(Buffer.from('000200000000000100000e10', 'hex'), 5351, '10.2.0.1');
    const [reply] = (await once(socket, 'message')) as [Buffer];
    const port = reply.readUInt16BE(10);
    expect(client.stats().ports).toMatchObject([{ protocol: 'tcp', externalPort: port, insidePort: port }]);
    const server = tunnel.net.createServer((peer) => peer.on('error', () => {}).end(`you are ${peer.remoteAddress}`));
    server.listen(port);
    await once(server, 'listening');
    const host = sandbox.addHost();
    const chunks: Buffer[] = [];
    for await (const chunk of host.net.connect({ host: '203.0.113.10', port })) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe(`you are ${host.address}`);
  });

  it('lets its hosts talk to each other by name, and resolves no other names for them', async () => {
    const sandbox = await start();
    const one = sandbox.addHost({ name: 'one.test' });
    const two = sandbox.addHost({ name: 'two.test' });
    const server = one.net.createServer((socket) => socket.on('error', () => {}).end('one'));
    server.listen(0);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const chunks: Buffer[] = [];
    for await (const chunk of two.net.connect({ host: 'one.test', port })) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('one');
    await one.close();
    const three = sandbox.addHost();
    const failure = await new Promise((resolve) => three.dns.lookup('one.test', {}, (error) => resolve(error)));
    expect(failure).toMatchObject({ code: 'ENOTFOUND' });
  });

  it('counts what each client did, and forgets a client that is removed', async () => {
    const sandbox = await start();
    const client = sandbox.addClient();
    const tunnel = await openTunnel(client.conf);
    await (await tunnel.fetch(sandbox.echoUrl)).text();
    const stats = client.stats();
    expect(stats).toMatchObject({ addresses: ['10.2.0.2', 'fd53:6c75:6963::2'], handshakes: 1, ports: [] });
    expect(stats.endpoint).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(stats.rxBytes).toBeGreaterThan(500);
    expect(stats.publicKey).toBe(client.publicKey);
    client.remove();
    expect(sandbox.stats().clients).toEqual([]);
  });

  it('gives the same keys and addresses for the same seed, and other keys without one', async () => {
    const conf = async (seed?: number): Promise<string> => {
      const sandbox = await start(seed === undefined ? {} : { seed });
      return sandbox.addClient().conf.replace(/^Endpoint.*$/m, '');
    };
    expect(await conf(5)).toBe(await conf(5));
    expect(await conf()).not.toBe(await conf());
  });

  it('has every switch of the machine at hand', async () => {
    const sandbox = await start({ publicAddress: '203.0.113.40', publicAddressV6: null });
    const client = sandbox.addClient({ ipv6: false, presharedKey: true, portForward: false, mtu: 1380 });
    expect(client.conf).toMatch(/^# NAT-PMP \(Port Forwarding\) = off$/m);
    expect(client.conf).toMatch(/^MTU = 1380$/m);
    expect(client.conf).toMatch(/^PresharedKey = /m);
    const tunnel = await openTunnel(client.conf);
    const shown = async (): Promise<string> => (await tunnel.fetch(sandbox.echoUrl)).text();
    expect(await shown()).toBe('203.0.113.40');
    sandbox.rotateExitAddress();
    expect(sandbox.exitAddresses).toEqual(['203.0.113.11']);
    expect(await shown()).toBe('203.0.113.11');
    sandbox.rotateExitAddress('203.0.113.77');
    sandbox.exitEcho.lie = undefined;
    sandbox.natpmp.changePort();
    expect(await shown()).toBe('203.0.113.77');
    sandbox.faults.silent = true;
    const failed = tunnel.fetch(sandbox.echoUrl, { signal: AbortSignal.timeout(300) });
    await expect(failed).rejects.toThrow();
    sandbox.faults.clear();
    expect(await shown()).toBe('203.0.113.77');
    expect(sandbox.stats().link.toServer.lost).toBeGreaterThan(0);
  });

  it('refuses malformed options and taken addresses by name', async () => {
    await expect(Sandbox.start({ privateKey: 'short' })).rejects.toThrow('"privateKey"');
    const sandbox = await start();
    sandbox.addHost({ addresses: ['198.51.100.77'] });
    expect(() => sandbox.addHost({ addresses: ['198.51.100.77'] })).toThrow(RangeError);
    expect(() => sandbox.rotateExitAddress('198.51.100.77')).toThrow(RangeError);
    expect(() => sandbox.addClient({ allowedIps: ['nonsense'] })).toThrow('"allowedIps"');
    await sandbox.close();
    expect(() => sandbox.restart()).toThrow('closed');
  });
});
