/** The public tunnel against the sandbox provider over loopback UDP: what CONTRACT.md promises of the library. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseWireGuardConfig, SluiceError, Tunnel } from '../../src/index.ts';
import { loadWasm } from '../../src/node/crypto/wasm.ts';
import { Sandbox, type SandboxHost } from '../../src/sandbox/index.ts';
import { pattern } from '../support/socket-world.ts';

let sandbox: Sandbox;
let host: SandboxHost;
const open: Tunnel[] = [];

beforeAll(async () => {
  sandbox = await Sandbox.start();
  host = sandbox.addHost({ name: 'peer.sluice.test' });
});
afterAll(() => sandbox.close());
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const tunnel of open.splice(0)) await tunnel.close();
});

async function tunnelOf(conf: string): Promise<Tunnel> {
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
  open.push(tunnel);
  return tunnel;
}

async function echoServer(): Promise<number> {
  const server = host.net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe('Tunnel.open', () => {
  it('resolves before any handshake, and ready() after the first one', async () => {
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    expect(tunnel.status()).toMatchObject({
      state: 'connecting',
      tunnel: { handshakes: 0, handshakeAgeSeconds: null },
    });
    await tunnel.ready();
    const { state, tunnel: facts } = tunnel.status();
    expect(state).toBe('connected');
    expect(facts).toMatchObject({ endpoint: sandbox.endpoint, handshakes: 1, mtu: 1420 });
    expect(facts.handshakeAgeSeconds).toBeLessThan(5);
  });

  it('lets sockets be opened at once: they connect when the tunnel does', async () => {
    const port = await echoServer();
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    const socket = tunnel.net.connect({ host: 'peer.sluice.test', port });
    await once(socket, 'connect');
    socket.end('hello');
    const [echo] = (await once(socket, 'data')) as [Buffer];
    expect(echo.toString()).toBe('hello');
  });

  it('has the packets of its UDP ports in the AEAD’s own memory, and gives that back', async () => {
    vi.stubEnv('SLUICE_CRYPTO', 'wasm');
    const crypto = loadWasm();
    const allocate = vi.spyOn(crypto, 'allocate');
    const release = vi.spyOn(crypto, 'release');
    const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(sandbox.addClient().conf), engine: 'inline' });
    open.push(tunnel);
    await tunnel.ready();
    await tunnel.close();
    const slabs = allocate.mock.results.map(({ value }) => value);
    const givenBack = new Set(release.mock.calls.map(([slab]) => slab));
    vi.restoreAllMocks();
    const { buffer } = crypto.allocate!(1);
    expect(slabs.length).toBeGreaterThanOrEqual(2);
    expect(slabs.map((slab) => slab.buffer === buffer && givenBack.has(slab))).not.toContain(false);
  });

  it('is never ready with a key that the server does not know', async () => {
    const stranger = sandbox.addClient();
    stranger.remove();
    const tunnel = await tunnelOf(stranger.conf);
    await expect(tunnel.ready({ signal: AbortSignal.timeout(500) })).rejects.toThrow();
    expect(tunnel.status().state).toBe('connecting');
  });

  it('rejects ready() and every later socket once it is closed', async () => {
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    const ready = expect(tunnel.ready()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await tunnel.close();
    await ready;
    expect(tunnel.status().state).toBe('disabled');
    const socket = tunnel.net.connect({ host: host.address, port: 1 });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error).toBeInstanceOf(Error);
  });

  it('closes when its signal aborts, and with `await using`', async () => {
    const controller = new AbortController();
    const tunnel = await Tunnel.open({
      wireguard: parseWireGuardConfig(sandbox.addClient().conf),
      signal: controller.signal,
    });
    controller.abort();
    await expect(tunnel.ready()).rejects.toThrow();
    let inner: Tunnel;
    {
      await using scoped = await Tunnel.open({ wireguard: parseWireGuardConfig(sandbox.addClient().conf) });
      inner = scoped;
    }
    expect(inner.status().state).toBe('disabled');
  });

  it('is closed again if its signal aborts while it opens, and the state folder is free', async () => {
    const wireguard = parseWireGuardConfig(sandbox.addClient().conf);
    const controller = new AbortController();
    const opening = Tunnel.open({ wireguard, signal: controller.signal });
    controller.abort(new Error('changed my mind'));
    await expect(opening).rejects.toThrow('changed my mind');
    open.push(await Tunnel.open({ wireguard }));
  });

  it('leaves no engine behind when what is opened over it cannot be loaded', async () => {
    vi.resetModules();
    vi.doMock('../../src/node/web-layer.ts', () => {
      throw new Error('undici is not installed');
    });
    try {
      const { InlineEngine } = await import('../../src/node/inline-engine.ts');
      const close = vi.spyOn(InlineEngine.prototype, 'close');
      const broken = await import('../../src/node/tunnel.ts');
      const wireguard = parseWireGuardConfig(sandbox.addClient().conf);
      await expect(broken.Tunnel.open({ wireguard, engine: 'inline' })).rejects.toThrow();
      expect(close).toHaveBeenCalledOnce();
    } finally {
      vi.doUnmock('../../src/node/web-layer.ts');
      vi.resetModules();
    }
  });
});

describe('an open tunnel', () => {
  it('counts handshakes, bytes and sockets in its status, and no key is in it', async () => {
    const { conf } = sandbox.addClient();
    const port = await echoServer();
    const tunnel = await tunnelOf(conf);
    await tunnel.ready();
    const socket = tunnel.net.connect({ host: host.address, port });
    await once(socket, 'connect');
    const snapshot = tunnel.status();
    expect(snapshot.sockets.tcp).toBe(1);
    expect(snapshot.tunnel.rxBytes).toBeGreaterThan(0);
    expect(snapshot.tunnel.txBytes).toBeGreaterThan(0);
    const secret = /PrivateKey = (\S+)/.exec(conf)![1]!;
    expect(JSON.stringify(snapshot)).not.toContain(secret);
  });

  it('brings streams that are read with onread intact, two at once, one of them in fits and starts', async () => {
    const port = await echoServer();
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    const carry = async (seed: number, inFits: boolean): Promise<void> => {
      const bytes = pattern(3_000_000, seed);
      const parts: Buffer[] = [];
      const callback = (length: number, buffer: Uint8Array): boolean => {
        parts.push(Buffer.from(buffer.subarray(0, length)));
        return !inFits || parts.length % 7 !== 0;
      };
      const socket = tunnel.net.connect({
        host: host.address,
        port,
        onread: { buffer: new Uint8Array(10_001), callback },
      });
      const going = setInterval(() => socket.resume(), 2);
      socket.end(bytes);
      await once(socket, 'end');
      clearInterval(going);
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    };
    await Promise.all([carry(1, false), carry(2, true)]);
  });

  it('fetches over HTTP by a name that exists only inside', async () => {
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    const response = await tunnel.fetch('http://ip.sluice.test/');
    expect((await response.text()).trim()).toBe('203.0.113.10');
  });

  it('refuses names when the .conf has no DNS server, instead of asking the host (F7)', async () => {
    const conf = sandbox.addClient().conf.replace(/^DNS.*\n/m, '');
    const tunnel = await tunnelOf(conf);
    await tunnel.ready();
    await expect(tunnel.dns.promises.lookup('peer.sluice.test')).rejects.toMatchObject({ code: 'ERR_DNS_NONE' });
  });

  it('keeps trying while the server is silent, and connects when it answers again', async () => {
    sandbox.faults.silent = true;
    const tunnel = await tunnelOf(sandbox.addClient().conf);
    await expect(tunnel.ready({ signal: AbortSignal.timeout(300) })).rejects.toThrow();
    sandbox.faults.silent = false;
    await tunnel.ready();
    expect(tunnel.status().state).toBe('connected');
  });
});

describe('a configuration that cannot work', () => {
  it('says so when the endpoint’s name cannot be resolved', async () => {
    const conf = sandbox.addClient().conf.replace(/^Endpoint = .*$/m, 'Endpoint = vpn.invalid:51820');
    const tunnel = await tunnelOf(conf);
    while (tunnel.status().reason?.code === 'starting') await once(tunnel, 'state');
    expect(tunnel.status().reason).toMatchObject({
      code: 'ERR_ENDPOINT_LOOKUP',
      hint: expect.stringContaining('Endpoint'),
    });
  });

  it('throws a SluiceError for a text that is no .conf', () => {
    expect(() => parseWireGuardConfig('hello')).toThrow(SluiceError);
  });
});
