import { describe, expect, it } from 'vitest';
import { formatIp, type IpAddress, ip } from '../../src/core/base/address.ts';
import { Burst } from '../../src/core/base/burst.ts';
import { ascii } from '../../src/core/base/bytes.ts';
import { decodeNatPmpResponse, encodeNatPmpRequest, type NatPmpResponse } from '../../src/core/wire/natpmp.ts';
import { ECHO_ADDRESSES, GATEWAY_ADDRESSES, hostAddresses, IMPOSTOR_ADDRESS } from '../../src/sandbox/addressing.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';
import { type Client, type Party, World } from './world.ts';

const GATEWAY = { address: GATEWAY_ADDRESSES[0]!, port: 5351 };
const ECHO = ECHO_ADDRESSES[0]!;
const EXIT = ip('203.0.113.10');

/** The exit address that the echo shows a client. */
async function seenAs(client: Client, echo: IpAddress = ECHO): Promise<string> {
  return (await client.get(echo)).split('\r\n\r\n')[1]!;
}

/** Asks for a mapping and returns the answer, from wherever it comes. */
async function map(
  client: Client,
  {
    protocol = 'udp',
    internalPort = 0,
    externalPort = 1,
  }: { protocol?: 'tcp' | 'udp'; internalPort?: number; externalPort?: number } = {},
): Promise<{ response: Extract<NatPmpResponse, { kind: 'map' }>; from: string }> {
  const { socket } = await client.bindUdp();
  client.send(
    socket,
    GATEWAY,
    encodeNatPmpRequest({ kind: 'map', protocol, internalPort, externalPort, lifetimeSeconds: 60 }),
  );
  const { bytes, from } = await client.until('udp-datagram', (event) => event.socket === socket, 5000);
  const response = decodeNatPmpResponse(bytes);
  if (typeof response === 'string' || response.kind !== 'map') throw new Error(JSON.stringify(response));
  return { response, from: formatIp(from.address) };
}

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Carries `size` bytes from one party's connection to the other's; how long it took in virtual milliseconds. */
async function transfer(
  world: World,
  from: Party,
  socket: number,
  to: Party,
  peer: number,
  size: number,
): Promise<number> {
  const payload = new Uint8Array(size);
  new SeededRandom(size).fill(payload);
  const chunks: Uint8Array[] = [];
  const ended = to.readInto(peer, chunks);
  const startedAt = world.now;
  await from.write(socket, payload);
  if (!world.runUntil(ended, 600_000)) throw new Error('the transfer did not end');
  expect(Buffer.concat(chunks).equals(payload)).toBe(true);
  return world.now - startedAt;
}

describe('a client of the sandbox', () => {
  it('shakes hands, resolves a name of the zone and fetches the exit echo, which shows the exit address', async () => {
    const world = new World();
    const client = world.addClient();
    expect(await client.resolve('ip.sluice.test')).toMatchObject({
      kind: 'addresses',
      addresses: [{ address: ECHO_ADDRESSES[0] }],
    });
    expect(await client.get(ECHO)).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n203\.0\.113\.10$/);
    expect(await client.get(ECHO, '/json')).toMatch(/\r\n\r\n\{"ip":"203\.0\.113\.10"\}$/);
    expect(await client.get(ECHO, '/?format=json')).toMatch(/\r\n\r\n\{"ip":"203\.0\.113\.10"\}$/);
    expect(await client.get(ECHO, '/', 'Accept: application/json\r\n')).toMatch(/\{"ip":"203\.0\.113\.10"\}$/);
    expect(await seenAs(client, ECHO_ADDRESSES[1])).toBe('2001:db8:203::10');
    expect([client.handshakes, client.node.handshakes]).toEqual([1, 1]);
  });

  it('maps a port and accepts a connection from the virtual internet with the true source', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const { response, from } = await map(client, { protocol: 'tcp' });
    expect(response).toMatchObject({ result: 0, internalPort: 0, lifetimeSeconds: 60 });
    expect(from).toBe('10.2.0.1');
    const listener = await client.listen(response.externalPort);
    const outside = await host.connect({ address: EXIT, port: response.externalPort });
    const accepted = await client.until('tcp-accepted', (event) => event.listener === listener);
    expect(formatIp(accepted.remote.address)).toBe(formatIp(host.address));
    host.post({ kind: 'tcp-write', socket: outside, bytes: ascii('hello') });
    expect(text((await client.until('tcp-data')).bytes)).toBe('hello');
  });

  it('receives datagrams at a mapped port from anyone, and answers from it', async () => {
    const world = new World();
    const client = world.addClient();
    const { response } = await map(client);
    const { socket } = await client.bindUdp(response.externalPort);
    for (const host of [world.addHost(), world.addHost()]) {
      const outside = await host.bindUdp();
      host.send(outside.socket, { address: EXIT, port: response.externalPort }, ascii('ping'));
      const { from } = await client.until('udp-datagram', (event) => event.socket === socket);
      expect(from).toEqual({ address: host.address, port: outside.port });
      client.send(socket, from, ascii('pong'));
      const answer = await host.until('udp-datagram');
      expect([text(answer.bytes), answer.from]).toEqual(['pong', { address: EXIT, port: response.externalPort }]);
    }
  });

  it('is refused at a closed port at once, and told that an address does not exist', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const refused = client.newSocket();
    client.post({ kind: 'tcp-connect', socket: refused, to: { address: host.address, port: 9 } });
    expect(await client.until('closed', ({ socket }) => socket === refused, 1000)).toMatchObject({
      error: 'ECONNREFUSED',
    });
    const { socket } = await client.bindUdp();
    client.send(socket, { address: ip('198.51.100.200'), port: 9 }, ascii('?'));
    client.send(socket, { address: host.address, port: 9 }, ascii('?'));
    world.run(1000);
    expect(world.sandbox.router.drops.of('no-route')).toBe(1);
    // Both answers, one of the router and one of the host, came through to the socket they are about.
    expect(client.machine.host.drops.of('icmp-error-udp')).toBe(2);
  });

  it('cannot be reached from outside by its inside address, nor without a mapping', async () => {
    const world = new World();
    world.addClient();
    const host = world.addHost();
    const { socket } = await host.bindUdp();
    host.send(socket, { address: ip('10.2.0.2'), port: 53 }, ascii('?'));
    host.send(socket, { address: EXIT, port: 40_000 }, ascii('?'));
    world.run(1000);
    expect(world.sandbox.router.drops.of('inside-address')).toBe(1);
    expect(world.sandbox.nat.drops.of('nat-no-binding')).toBe(1);
  });

  it('works with a pre-shared key, and not at all with another one', async () => {
    const world = new World();
    const client = world.addClient({ presharedKey: new Uint8Array(32).fill(9) });
    expect(await seenAs(client)).toBe('203.0.113.10');
    const wrong = world.addClient({ presharedKey: new Uint8Array(32).fill(9) });
    wrong.machine.device.updatePeer(wrong.machine.peers[0]!, { presharedKey: new Uint8Array(32).fill(8) }, world.now);
    world.run(30_000);
    expect(wrong.handshakes).toBe(0);
  });

  it('is followed when its address changes', async () => {
    const world = new World();
    const client = world.addClient();
    await seenAs(client);
    client.endpoint = { address: ip('127.0.0.1'), port: 50_505 };
    expect(await seenAs(client)).toBe('203.0.113.10');
    expect(client.node.peer.endpoint?.port).toBe(50_505);
    expect(client.handshakes).toBe(1);
  });

  it('is forgotten when it is removed', async () => {
    const world = new World();
    const client = world.addClient();
    await map(client, { protocol: 'tcp' });
    world.sandbox.removeClient(client.node, world.now);
    expect([...world.sandbox.clients]).toEqual([]);
    expect(world.sandbox.natpmp.leases(world.now)).toEqual([]);
    const before = world.wire.filter((line) => line.includes('<')).length;
    world.run(60_000);
    expect(world.wire.filter((line) => line.includes('<')).length).toBe(before);
  });
});

describe('several clients at once', () => {
  it('share the exit address but not each other’s packets', async () => {
    const world = new World();
    const clients = Array.from({ length: 8 }, () => world.addClient());
    const host = world.addHost();
    const { socket, port } = await host.bindUdp();
    for (const client of clients) {
      const own = await client.bindUdp(6881);
      client.send(own.socket, { address: host.address, port }, ascii(`client ${clients.indexOf(client)}`));
    }
    for (let i = 0; i < clients.length; i++) {
      const { bytes, from } = await host.until('udp-datagram');
      expect(formatIp(from.address)).toBe('203.0.113.10');
      host.send(socket, from, bytes);
    }
    for (const [index, client] of clients.entries())
      expect(text((await client.until('udp-datagram')).bytes)).toBe(`client ${index}`);
  });

  it('cannot reach each other inside, but can through a mapped port (hairpin)', async () => {
    const world = new World();
    const [one, two] = [world.addClient(), world.addClient()];
    const { response } = await map(one);
    const listening = await one.bindUdp(response.externalPort);
    const asking = await two.bindUdp();
    two.send(asking.socket, { address: ip('10.2.0.2'), port: response.externalPort }, ascii('inside'));
    world.run(1000);
    expect(one.events).toEqual([]);
    expect(world.sandbox.router.drops.of('client-isolation')).toBe(1);
    two.send(asking.socket, { address: EXIT, port: response.externalPort }, ascii('hello'));
    const { from } = await one.until('udp-datagram');
    expect(formatIp(from.address)).toBe('203.0.113.10');
    one.send(listening.socket, from, ascii('hello too'));
    expect(text((await two.until('udp-datagram')).bytes)).toBe('hello too');
  });

  it('have to have addresses of their own', () => {
    const world = new World();
    const { node } = world.addClient();
    const publicKey = new Uint8Array(32).fill(1);
    expect(() => world.sandbox.addClient({ publicKey, addresses: node.addresses }, world.now)).toThrow(RangeError);
    expect(() => world.sandbox.addHost([EXIT], world.now)).toThrow(RangeError);
    expect(() => world.sandbox.addHost(GATEWAY_ADDRESSES, world.now)).toThrow(RangeError);
  });
});

describe('the switches of the DNS', () => {
  it('truncation sends the client to TCP', async () => {
    const world = new World();
    const client = world.addClient();
    world.sandbox.zone.truncate = true;
    expect(await client.resolve('ip.sluice.test')).toMatchObject({ kind: 'addresses' });
    expect(world.sandbox.zone.log.map(({ over }) => over)).toEqual(['udp', 'tcp']);
  });

  it('failure, silence and delay look like that to the client', async () => {
    const world = new World();
    const client = world.addClient();
    world.sandbox.zone.servfail = true;
    expect(await client.resolve('ip.sluice.test')).toEqual({ kind: 'failed', code: 'ESERVFAIL' });
    world.sandbox.zone.servfail = false;
    world.sandbox.zone.delayMs = 400;
    const startedAt = world.now;
    expect(await client.resolve('ip.sluice.test')).toMatchObject({ kind: 'addresses' });
    expect(world.now - startedAt).toBe(400);
    world.sandbox.zone.silent = true;
    expect(await client.resolve('other.test')).toEqual({ kind: 'failed', code: 'ETIMEOUT' });
  });

  it('names that do not exist are said not to exist', async () => {
    const client = new World().addClient();
    expect(await client.resolve('nowhere.test')).toEqual({ kind: 'failed', code: 'ENOTFOUND' });
  });
});

describe('the switches of NAT-PMP', () => {
  it('silence, delay and a false source', async () => {
    const world = new World();
    const client = world.addClient();
    const { switches } = world.sandbox.natpmp;
    switches.silent = true;
    await expect(map(client)).rejects.toThrow('no udp-datagram');
    switches.silent = false;
    switches.delayMs = 300;
    const startedAt = world.now;
    await map(client);
    expect(world.now - startedAt).toBe(300);
    switches.lie = 'source';
    expect((await map(client)).from).toBe(formatIp(IMPOSTOR_ADDRESS));
  });

  it('switched off, it is refused by ICMP; switched on again, it answers', async () => {
    const world = new World();
    const client = world.addClient();
    world.sandbox.natpmp.switches.enabled = false;
    await expect(map(client)).rejects.toThrow('no udp-datagram');
    expect(client.machine.host.drops.of('icmp-error-udp')).toBe(1);
    world.sandbox.natpmp.switches.enabled = true;
    expect((await map(client)).response.result).toBe(0);
  });

  it('a changed port is dead at once, and the next renewal names the new one, which works', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const outside = await host.bindUdp();
    const before = (await map(client)).response.externalPort;
    world.sandbox.natpmp.changePort(world.now);
    const { response } = await map(client, { externalPort: before });
    expect(response.externalPort).not.toBe(before);
    await client.bindUdp(before);
    const { socket } = await client.bindUdp(response.externalPort);
    host.send(outside.socket, { address: EXIT, port: before }, ascii('old'));
    host.send(outside.socket, { address: EXIT, port: response.externalPort }, ascii('new'));
    world.run(1000);
    const datagrams = client.events.filter((event) => event.kind === 'udp-datagram');
    expect(datagrams).toMatchObject([{ socket, bytes: ascii('new') }]);
  });

  it('a lease that is not renewed ends after a minute', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const outside = await host.bindUdp();
    const { response } = await map(client);
    await client.bindUdp(response.externalPort);
    world.run(60_000);
    host.send(outside.socket, { address: EXIT, port: response.externalPort }, ascii('late'));
    world.run(1000);
    expect(client.events).toEqual([]);
    expect(world.sandbox.natpmp.leases(world.now)).toEqual([]);
  });
});

describe('another exit address', () => {
  it('is shown by the echo, and connections over the old one are dead', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    await host.listen(7000);
    const socket = await client.connect({ address: host.address, port: 7000 });
    world.sandbox.nat.setPublicAddress(ip('203.0.113.11'), world.now);
    expect(await seenAs(client)).toBe('203.0.113.11');
    client.post({ kind: 'tcp-write', socket, bytes: ascii('anyone?') });
    expect(await client.until('closed', (event) => event.socket === socket)).toMatchObject({ error: 'ECONNRESET' });
    expect((await map(client)).response.result).toBe(0);
  });
});

describe('a restart of the server', () => {
  it('loses sessions, mappings and the epoch; the client comes back by itself', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const outside = await host.bindUdp();
    world.run(100_000);
    const port = (await map(client)).response.externalPort;
    await client.bindUdp(port);
    const { socket } = await client.bindUdp();
    const epoch = async (): Promise<number | undefined> => {
      const response = decodeNatPmpResponse(await client.ask(socket, GATEWAY, Uint8Array.of(0, 0)));
      return typeof response === 'string' ? undefined : response.epochSeconds;
    };
    expect(await epoch()).toBe(100);
    world.sandbox.restart(world.now);
    expect(world.sandbox.natpmp.leases(world.now)).toEqual([]);
    const restartedAt = world.now;
    client.send(socket, GATEWAY, Uint8Array.of(0, 0));
    world.runUntil(() => client.handshakes === 2, 60_000);
    expect(world.now - restartedAt).toBeLessThan(20_000);
    expect(await epoch()).toBeLessThan(20);
    host.send(outside.socket, { address: EXIT, port }, ascii('still there?'));
    world.run(1000);
    expect(client.events.filter((event) => event.kind === 'udp-datagram' && event.from.port === outside.port)).toEqual(
      [],
    );
    expect(client.node.handshakes).toBe(2);
    expect(client.node.rxBytesBefore).toBeGreaterThan(0);
  });
});

describe('a bad line', () => {
  it('silent: nothing passes, and after healing data flows within 20 seconds', async () => {
    const world = new World();
    const client = world.addClient();
    await seenAs(client);
    world.sandbox.faults.silent = true;
    const answers = (): number => world.wire.filter((line) => line.includes(' < ')).length;
    const before = answers();
    world.run(300_000);
    expect(answers()).toBe(before);
    world.sandbox.faults.clear();
    const healedAt = world.now;
    expect(await seenAs(client)).toBe('203.0.113.10');
    expect(world.now - healedAt).toBeLessThan(20_000);
  });

  it('delayed: a round trip takes twice the delay', async () => {
    const world = new World();
    const client = world.addClient();
    const { socket } = await client.bindUdp();
    await client.ask(socket, GATEWAY, Uint8Array.of(0, 0));
    world.sandbox.faults.delayMs = 40;
    const startedAt = world.now;
    await client.ask(socket, GATEWAY, Uint8Array.of(0, 0));
    expect(world.now - startedAt).toBe(80);
  });

  it('healed while datagrams are on their way: they arrive at their time', async () => {
    const world = new World();
    const client = world.addClient();
    const { socket } = await client.bindUdp();
    await client.ask(socket, GATEWAY, Uint8Array.of(0, 0));
    world.sandbox.faults.delayMs = 40;
    const startedAt = world.now;
    client.send(socket, GATEWAY, Uint8Array.of(0, 0));
    world.run(50);
    world.sandbox.faults.clear();
    await client.until('udp-datagram');
    expect(world.now - startedAt).toBe(80);
  });

  for (const [name, faults] of [
    ['losing', { loss: 0.03 }],
    ['reordering', { reorder: 0.05, reorderMs: 30 }],
    ['duplicating', { duplicate: 0.2 }],
    ['corrupting', { corrupt: 0.03 }],
    ['jittering', { jitterMs: 20 }],
  ] as const) {
    it(`${name}: a transfer arrives whole in both directions`, async () => {
      const world = new World();
      const client = world.addClient();
      const host = world.addHost();
      const listener = await host.listen(7000);
      await client.resolve('ip.sluice.test');
      Object.assign(world.sandbox.faults, { delayMs: 10, ...faults });
      for (const upwards of [true, false]) {
        const socket = await client.connect({ address: host.address, port: 7000 });
        const peer = (await host.until('tcp-accepted', (event) => event.listener === listener)).socket;
        if (upwards) await transfer(world, client, socket, host, peer, 300_000);
        else await transfer(world, host, peer, client, socket, 300_000);
      }
      const { lost, duplicated, reordered, corrupted } = world.sandbox.linkCounts().toServer;
      expect(lost + duplicated + reordered + corrupted > 0).toBe(name !== 'jittering');
      if (name === 'corrupting') expect(world.sandbox.server.device.drops.of('bad-tag')).toBeGreaterThan(0);
      if (name === 'duplicating') expect(world.sandbox.server.device.drops.of('replayed')).toBeGreaterThan(0);
    });
  }

  it('narrow: a transfer takes as long as its bits', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost();
    const listener = await host.listen(7000);
    const socket = await client.connect({ address: host.address, port: 7000 });
    const peer = (await host.until('tcp-accepted', (event) => event.listener === listener)).socket;
    Object.assign(world.sandbox.faults, { bitsPerSecond: 8_000_000, delayMs: 5 });
    const milliseconds = await transfer(world, host, peer, client, socket, 1_000_000);
    expect(milliseconds).toBeGreaterThan(1000);
    expect(milliseconds).toBeLessThan(1500);
  });
});

describe('the router', () => {
  it('sends "packet too big" to a host whose datagram does not fit the tunnel, and nothing else', async () => {
    const world = new World();
    const client = world.addClient();
    const host = world.addHost(1500);
    const { response } = await map(client);
    await client.bindUdp(response.externalPort);
    const { socket } = await host.bindUdp();
    const to = { address: EXIT, port: response.externalPort };
    host.send(socket, to, new Uint8Array(1472));
    world.run(100);
    expect(world.sandbox.router.drops.of('too-big')).toBe(1);
    expect(client.events).toEqual([]);
    host.send(socket, to, new Uint8Array(1392));
    expect((await client.until('udp-datagram')).bytes.length).toBe(1392);
  });

  it('gives its hosts one another, by address and by name', async () => {
    const world = new World();
    const [one, two] = [world.addHost(), world.addHost()];
    world.sandbox.zone.set('one.test', hostAddresses(0));
    const listener = await one.listen(80);
    const result = await two.resolve('one.test');
    if (result.kind !== 'addresses') throw new Error(result.code);
    const socket = await two.connect({ address: result.addresses[0]!.address, port: 80 });
    const peer = (await one.until('tcp-accepted', (event) => event.listener === listener)).socket;
    await transfer(world, one, peer, two, socket, 3_000_000);
    world.sandbox.removeHost(one.node);
    two.post({ kind: 'tcp-connect', socket: 99, to: { address: one.address, port: 80 } });
    const closed = await two.until('closed', (event) => event.socket === 99, 300_000);
    expect(closed).toMatchObject({ error: 'EHOSTUNREACH' });
  });
});

describe('the exit echo', () => {
  it('lies and falls silent on demand, and hangs up on those who do not ask', async () => {
    const world = new World();
    const client = world.addClient();
    world.sandbox.echo.lie = '192.0.2.7';
    expect(await seenAs(client)).toBe('192.0.2.7');
    const idle = await client.connect({ address: ECHO, port: 80 });
    expect(await client.until('closed', (event) => event.socket === idle)).toMatchObject({ error: 'ECONNRESET' });
    expect(await client.get(ECHO, '/'.repeat(9000))).toMatch(/^HTTP\/1\.1 431 /);
    world.sandbox.echo.silent = true;
    await expect(client.get(ECHO)).rejects.toThrow('no tcp-end');
  });
});

describe('bad input', () => {
  it('is met with silence: no datagram of any length and content is answered or throws', () => {
    const world = new World();
    const random = new SeededRandom(11);
    const burst = new Burst();
    const draw = new Uint8Array(2);
    for (let round = 0; round < 200; round++) {
      burst.clear();
      while (!burst.full) {
        random.fill(draw);
        const datagram = new Uint8Array(((draw[0]! << 8) | draw[1]!) % 300);
        random.fill(datagram);
        if (datagram.length > 4) datagram.set([round & 7, 0, 0, 0]);
        burst.append(datagram, { address: ip('127.0.0.1'), port: 1 + round });
      }
      world.sandbox.handleBurst(burst, world.now);
    }
    const out = new Burst();
    expect([world.sandbox.transmit(out, world.now), out.count]).toEqual([false, 0]);
  });

  it('an address that somebody has and an MTU out of bounds are the caller’s fault', () => {
    const world = new World();
    expect(() => world.sandbox.addHost(hostAddresses(0), world.now, 1279)).toThrow('"mtu"');
    expect(() => world.sandbox.addHost(hostAddresses(0), world.now, 9000)).toThrow('"mtu"');
    world.sandbox.addHost(hostAddresses(0), world.now, 1500);
    expect(() => world.sandbox.addHost(hostAddresses(0), world.now)).toThrow('"addresses"');
  });
});

describe('repeatability', () => {
  it('puts the same bytes on the wire at the same moments for the same seed', async () => {
    const record = async (seed: number): Promise<string[]> => {
      const world = new World({ random: new SeededRandom(seed) });
      Object.assign(world.sandbox.faults, { delayMs: 15, jitterMs: 10, loss: 0.05, reorder: 0.05, duplicate: 0.05 });
      const client = world.addClient();
      await seenAs(client);
      // One datagram each, which may be lost.
      let answered = false;
      for (let tries = 0; tries < 5 && !answered; tries++) {
        answered = await map(client).then(
          () => true,
          () => false,
        );
      }
      expect(answered).toBe(true);
      world.run(10_000);
      return world.wire;
    };
    const first = await record(1);
    expect(first.length).toBeGreaterThan(10);
    expect(await record(1)).toEqual(first);
    expect(await record(2)).not.toEqual(first);
  });
});
