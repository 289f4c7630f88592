/** The port checker of the virtual internet: it dials its caller back, and says what came of it. */
import { describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { ascii } from '../../src/core/base/bytes.ts';
import { decodeNatPmpResponse, encodeNatPmpRequest } from '../../src/core/wire/natpmp.ts';
import { CHECKER_ADDRESS, GATEWAY_ADDRESSES } from '../../src/sandbox/addressing.ts';
import { type Client, type Party, World } from './world.ts';

const JSON_WANTED = 'Accept: application/json\r\n';

async function asked(party: Party, path: string, extra = ''): Promise<string> {
  return (await party.get(CHECKER_ADDRESS, path, extra)).split('\r\n\r\n')[1]!;
}

/** A TCP port of the exit that leads to the same port inside. */
async function mapped(client: Client): Promise<number> {
  const { socket } = await client.bindUdp();
  const gateway = { address: GATEWAY_ADDRESSES[0]!, port: 5351 };
  const request = { kind: 'map', protocol: 'tcp', internalPort: 0, externalPort: 1, lifetimeSeconds: 60 } as const;
  const response = decodeNatPmpResponse(await client.ask(socket, gateway, encodeNatPmpRequest(request)));
  if (typeof response === 'string' || response.kind !== 'map') throw new Error(JSON.stringify(response));
  return response.externalPort;
}

describe('a caller in the tunnel', () => {
  it('is dialled at the exit address: a forwarded port is open once somebody listens', async () => {
    const world = new World();
    const client = world.addClient();
    const port = await mapped(client);
    expect(await asked(client, `/${port}`)).toBe('closed');
    await client.listen(port);
    expect(await asked(client, `/${port}`)).toBe('open');
    expect(await asked(client, `/?port=${port}`, JSON_WANTED)).toBe(
      `{"ip":"203.0.113.10","port":${port},"reachable":true}`,
    );
  });

  it('whose lease leads nowhere hears "closed" after two seconds', async () => {
    const world = new World();
    const client = world.addClient();
    world.sandbox.natpmp.switches.dead = true;
    const port = await mapped(client);
    await client.listen(port);
    const startedAt = world.now;
    expect(await asked(client, `/${port}`)).toBe('closed');
    expect(world.now - startedAt).toBeLessThanOrEqual(2_100);
  });

  it('finds it by name, over IPv4 only', async () => {
    const client = new World().addClient();
    expect(await client.resolve('port.sluice.test', 0)).toMatchObject({ addresses: [{ address: ip('203.0.113.81') }] });
  });
});

describe('the checker', () => {
  it('serves callers side by side, each with its own port', async () => {
    const world = new World();
    const [open, closed] = [world.addHost(), world.addHost()];
    await open.listen(7000);
    const answers = await Promise.all([asked(open, '/7000'), asked(closed, '/7000')]);
    expect(answers).toEqual(['open', 'closed']);
  });

  it('refuses what names no port, and hangs up on those who ask nothing', async () => {
    const world = new World();
    const host = world.addHost();
    for (const path of ['/', '/0', '/65536', '/http', '/7000/'])
      expect(await host.get(CHECKER_ADDRESS, path)).toMatch(/^HTTP\/1\.1 400 /);
    const socket = await host.connect({ address: CHECKER_ADDRESS, port: 80 });
    host.post({ kind: 'tcp-write', socket, bytes: ascii('GET /7000') });
    const startedAt = world.now;
    await host.until('closed', (event) => event.socket === socket);
    expect(world.now - startedAt).toBeLessThanOrEqual(10_100);
    const endless = await host.connect({ address: CHECKER_ADDRESS, port: 80 });
    host.post({ kind: 'tcp-write', socket: endless, bytes: ascii('x'.repeat(9_000)) });
    expect(await host.readAll(endless)).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('falls silent on demand', async () => {
    const world = new World();
    const host = world.addHost();
    world.sandbox.checker.silent = true;
    const socket = await host.connect({ address: CHECKER_ADDRESS, port: 80 });
    host.post({ kind: 'tcp-write', socket, bytes: ascii('GET /7000 HTTP/1.1\r\n\r\n') });
    await host.until('closed', (event) => event.socket === socket);
  });
});
