/** A forwarded port end to end over loopback: a host of the virtual internet reaches listeners of a real tunnel. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PortForwardOptions, parseWireGuardConfig, Tunnel } from '../../src/index.ts';
import { Sandbox, type SandboxClient, type SandboxHost } from '../../src/sandbox/index.ts';

let sandbox: Sandbox;
let host: SandboxHost;
let client: SandboxClient;
const open: Tunnel[] = [];

beforeEach(async () => {
  sandbox = await Sandbox.start();
  host = sandbox.addHost();
  client = sandbox.addClient();
});
afterEach(async () => {
  for (const tunnel of open.splice(0)) await tunnel.close();
  await sandbox.close();
});

async function tunnelOf(portForward?: PortForwardOptions, { conf } = client): Promise<Tunnel> {
  const tunnel = await Tunnel.open({
    wireguard: parseWireGuardConfig(conf),
    ...(portForward ? { portForward } : {}),
  });
  open.push(tunnel);
  return tunnel;
}

async function mapped(tunnel: Tunnel): Promise<number> {
  const [{ port }] = (await once(tunnel, 'port.mapped', { signal: AbortSignal.timeout(10_000) })) as [{ port: number }];
  return port;
}

/** A server that answers every connection with one word; resolved once it listens. */
async function answering(tunnel: Tunnel, word: string, port = 0): Promise<ReturnType<Tunnel['net']['createServer']>> {
  const server = tunnel.net.createServer((socket) => socket.on('error', () => {}).end(word));
  server.listen({ port, forwarded: true });
  await once(server, 'listening');
  return server;
}

/** What somebody outside hears on a port of the public address. */
async function dial(port: number): Promise<string> {
  // The tunnel's end may reset what is not over yet.
  const socket = host.net.connect({ host: sandbox.exitAddresses[0]!, port }).on('error', () => {});
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'end', { signal: AbortSignal.timeout(5_000) });
  socket.end();
  return text;
}

const until = async (condition: () => boolean): Promise<void> => {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** The external port, once gateway and listener say the same about it. */
async function agreed(server: ReturnType<Tunnel['net']['createServer']>): Promise<number> {
  const external = (): number => (server.address() as AddressInfo).port;
  await until(() => {
    const { ports } = client.stats();
    const same = ports.every((port) => port.insidePort === server.internalPort && port.externalPort === external());
    return ports.length === 2 && same;
  });
  return external();
}

describe('the check from outside', () => {
  const reachable = (tunnel: Tunnel): string => tunnel.status().portForward.reachable;

  it('says open once a listener has the port, and is made anew for another port', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp', refreshSeconds: 1, checkUrl: sandbox.portCheckUrl });
    await mapped(tunnel);
    expect(reachable(tunnel)).toBe('unknown');
    const server = await answering(tunnel, 'hello');
    await until(() => reachable(tunnel) === 'open');
    sandbox.portChecker.silent = true;
    sandbox.natpmp.changePort();
    await mapped(tunnel);
    expect(reachable(tunnel)).toBe('unknown');
    server.close();
  });

  it('says closed of a lease that leads nowhere, and never takes the lease for a proof', async () => {
    sandbox.natpmp.dead = true;
    const tunnel = await tunnelOf({ provider: 'natpmp', checkUrl: sandbox.portCheckUrl });
    await answering(tunnel, 'hello');
    await until(() => reachable(tunnel) === 'closed');
    expect(tunnel.status().portForward.state).toBe('mapped');
  });

  it('is not made before somebody listens', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp', checkUrl: sandbox.portCheckUrl });
    await mapped(tunnel);
    await (await tunnel.fetch(sandbox.echoUrl)).text();
    expect(sandbox.dns.log.map(({ name }) => name)).not.toContain('port.sluice.test');
    await answering(tunnel, 'hello');
    await until(() => sandbox.dns.log.some(({ name }) => name === 'port.sluice.test'));
  });

  it.each(['port.test/{{PORT}}', 'http://port.test/', 'ftp://port.test/{{PORT}}'])('refuses %s', async (checkUrl) => {
    await expect(tunnelOf({ provider: 'natpmp', checkUrl })).rejects.toThrow('checkUrl');
  });
});

describe.each(['natpmp', 'protonvpn'] as const)('a forwarded port (%s)', (provider) => {
  it('leads a host of the internet to the tunnel’s listener, whose address tells the external port', async () => {
    const tunnel = await tunnelOf({ provider });
    const server = await answering(tunnel, 'hello');
    const port = tunnel.status().portForward.port ?? (await mapped(tunnel));
    expect((server.address() as AddressInfo).port).toBe(port);
    expect(await dial(port)).toBe('hello');
    const { renewInSeconds, ...rest } = tunnel.status().portForward;
    expect(rest).toEqual({
      provider,
      state: 'mapped',
      port,
      protocols: ['tcp', 'udp'],
      leaseSeconds: 60,
      reachable: 'unknown',
    });
    expect(renewInSeconds).toBeGreaterThan(40);
    expect(renewInSeconds).toBeLessThanOrEqual(45);
  });

  it('leads to a UDP socket too, and what that sends comes from the same port', async () => {
    const tunnel = await tunnelOf({ provider });
    const server = await answering(tunnel, 'tcp');
    const socket = tunnel.dgram.createSocket('udp4');
    socket.bind({ forwarded: true });
    await once(socket, 'listening');
    const port = tunnel.status().portForward.port ?? (await mapped(tunnel));
    expect([socket.address().port, (server.address() as AddressInfo).port]).toEqual([port, port]);
    const outside = host.dgram.createSocket('udp4');
    outside.bind(0);
    await once(outside, 'listening');
    socket.on('message', (message, from) => socket.send(message, from.port, from.address));
    outside.send('ping', port, sandbox.exitAddresses[0]!);
    const [message, from] = (await once(outside, 'message')) as [Buffer, { port: number; address: string }];
    expect([message.toString(), from.address, from.port]).toEqual(['ping', sandbox.exitAddresses[0], port]);
    expect(await dial(port)).toBe('tcp');
  });

  it('is followed when it changes: one event, and listeners are reached on the new port', async () => {
    const tunnel = await tunnelOf({ provider, refreshSeconds: 1 });
    const server = await answering(tunnel, 'still here');
    const events: number[] = [];
    tunnel.on('port.mapped', ({ port }) => events.push(port));
    await until(() => events.length === 1);
    sandbox.natpmp.changePort();
    await until(() => events.length === 2);
    const [before, now] = events;
    expect(now).not.toBe(before);
    expect((server.address() as AddressInfo).port).toBe(now);
    expect(await dial(now!)).toBe('still here');
    expect(tunnel.status().portForward.port).toBe(now);
  });

  it('is given back when the tunnel closes', async () => {
    const tunnel = await tunnelOf({ provider });
    if (tunnel.status().portForward.port === null) await mapped(tunnel);
    expect(client.stats().ports).toHaveLength(2);
    const lost = once(tunnel, 'port.lost');
    await tunnel.close();
    expect(client.stats().ports).toEqual([]);
    expect(await lost).toMatchObject([{ reason: { code: 'ERR_CLOSED' } }]);
    expect(tunnel.status().portForward).toMatchObject({ state: 'off', port: null, renewInSeconds: null });
  });
});

describe('listeners and the lease', () => {
  it('a listener that comes later is reached by the port that is there already', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp' });
    const port = await mapped(tunnel);
    const server = await answering(tunnel, 'late');
    expect((server.address() as AddressInfo).port).toBe(port);
    expect(await dial(port)).toBe('late');
  });

  it('a listener on a port of its own choice takes the mapping there', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp' });
    await mapped(tunnel);
    const server = await answering(tunnel, 'here', 6_881);
    expect(server.internalPort).toBe(6_881);
    expect(await dial(await agreed(server))).toBe('here');
  });

  it('the oldest listener has the port; when it closes, the next one gets it', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp' });
    const first = await answering(tunnel, 'first');
    const second = await answering(tunnel, 'second');
    if (tunnel.status().portForward.port === null) await mapped(tunnel);
    expect((second.address() as AddressInfo).port).toBe(0);
    expect(await dial((first.address() as AddressInfo).port)).toBe('first');
    first.close();
    expect(await dial(await agreed(second))).toBe('second');
  });
});

describe('no port', () => {
  it('says why in the status while the tunnel stays up, and gets one as soon as the gateway agrees (F12)', async () => {
    const refused = sandbox.addClient({ portForward: false });
    const tunnel = await tunnelOf({ provider: 'natpmp' }, refused);
    await tunnel.ready();
    await until(() => tunnel.status().portForward.state === 'failed');
    const { state, reason, portForward } = tunnel.status();
    expect(state).toBe('connected');
    expect(reason).toMatchObject({
      code: 'ERR_PORT_FORWARD_REFUSED',
      message: 'This server or key does not allow port forwarding.',
      hint: expect.stringContaining('switch it on'),
    });
    expect(portForward).toEqual({
      provider: 'natpmp',
      state: 'failed',
      port: null,
      protocols: [],
      leaseSeconds: null,
      renewInSeconds: null,
      reachable: 'unknown',
    });
    expect((await tunnel.fetch('http://ip.sluice.test/')).status).toBe(200);
  });

  it('none, the default, asks nobody, and forwarded listeners tell port 0 (F14)', async () => {
    const tunnel = await tunnelOf();
    const server = await answering(tunnel, 'nobody');
    await tunnel.ready();
    expect(tunnel.status().portForward).toMatchObject({ provider: 'none', state: 'off', port: null });
    expect((server.address() as AddressInfo).port).toBe(0);
    expect(client.stats().ports).toEqual([]);
  });

  it('static is the port that was configured, once the tunnel is up, and listeners are bound to it (F13)', async () => {
    const tunnel = await tunnelOf({ provider: 'airvpn', port: 40_123 });
    const server = await answering(tunnel, 'static');
    const port = tunnel.status().portForward.port ?? (await mapped(tunnel));
    expect(port).toBe(40_123);
    expect(server.internalPort).toBe(40_123);
    expect(tunnel.status().portForward).toMatchObject({ provider: 'static', state: 'mapped', leaseSeconds: null });
    expect(client.stats().ports).toEqual([]);
  });

  it.each([
    [{ provider: 'static' }, 'portForward.port'],
    [{ provider: 'static', port: 0 }, 'port'],
    [{ provider: 'static', port: 70_000 }, 'port'],
    [{ provider: 'upnp' as never }, 'portForward.provider'],
    [{ provider: 'natpmp', gateway: 'fd00::1' }, 'portForward.gateway'],
    [{ provider: 'natpmp', refreshSeconds: 0 }, 'portForward.refreshSeconds'],
  ] as const)('refuses %j', async (options, name) => {
    await expect(tunnelOf(options)).rejects.toThrow(new RegExp(`"${name}"`));
  });

  it('without a DNS server, the first host of the tunnel’s network is the gateway', async () => {
    const conf = client.conf.replace(/^DNS.*\n/m, '');
    const tunnel = await tunnelOf({ provider: 'natpmp' }, { ...client, conf });
    expect(await mapped(tunnel)).toBeGreaterThan(0);
  });

  it('close takes a second at most when the server is gone', async () => {
    const tunnel = await tunnelOf({ provider: 'natpmp' });
    await mapped(tunnel);
    sandbox.faults.silent = true;
    const begun = performance.now();
    await tunnel.close();
    // A second, on a machine that has time; a gateway is asked for two minutes otherwise.
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});
