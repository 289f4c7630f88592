/** The killswitch of the public tunnel against the sandbox: status, events, sockets (CONTRACT.md; F15, F16, F17, F24, F25). */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type KillswitchOptions, parseWireGuardConfig, Tunnel } from '../../src/index.ts';
import { Sandbox, type SandboxHost } from '../../src/sandbox/index.ts';
import { deep } from '../support/deep.ts';

let sandbox: Sandbox;
let host: SandboxHost;
let port: number;
const open: Tunnel[] = [];

beforeAll(async () => {
  sandbox = await Sandbox.start();
  host = sandbox.addHost({ name: 'peer.sluice.test' });
  const server = host.net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0);
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterAll(() => sandbox.close());
afterEach(async () => {
  sandbox.faults.silent = false;
  for (const tunnel of open.splice(0)) await tunnel.close();
});

async function tunnelOf(killswitch: KillswitchOptions = {}): Promise<Tunnel> {
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(sandbox.addClient().conf), killswitch });
  open.push(tunnel);
  return tunnel;
}

describe('the killswitch', () => {
  it('is on by default and engaged until the first handshake, which releases it (F15, F25)', async () => {
    const tunnel = await tunnelOf();
    expect(tunnel.status()).toMatchObject({
      enabled: true,
      state: 'connecting',
      reason: { code: 'starting' },
      killswitch: { enabled: true, engaged: true, reasons: ['starting'] },
    });
    await once(tunnel, 'killswitch.released');
    expect(tunnel.status()).toMatchObject({
      state: 'connected',
      reason: null,
      killswitch: { enabled: true, engaged: false, reasons: [] },
    });
  });

  it('refuses limits that a healthy tunnel would trip over', async () => {
    await expect(tunnelOf({ staleAfterSeconds: 149 })).rejects.toThrow(/"staleAfterSeconds" expected 150 or more/);
    await expect(tunnelOf({ silentAfterSeconds: 0 })).rejects.toThrow(/"silentAfterSeconds"/);
  });

  it('engages when the server goes silent under traffic, keeps what is open, and releases when it is back (F16, F17)', async () => {
    const tunnel = await tunnelOf({ silentAfterSeconds: deep(1, 30) });
    await tunnel.ready();
    const socket = tunnel.net.connect({ host: host.address, port });
    await once(socket, 'connect');
    sandbox.faults.silent = true;
    socket.write('are you there?');
    const [{ reasons }] = (await once(tunnel, 'killswitch.engaged')) as [{ reasons: string[] }];
    expect(reasons).toEqual(['stale']);
    expect(tunnel.status()).toMatchObject({ state: 'reconnecting', reason: { code: 'silent' } });
    const late = tunnel.net.connect({ host: host.address, port });
    sandbox.faults.silent = false;
    const answer = once(socket, 'data');
    await Promise.all([once(tunnel, 'killswitch.released'), once(late, 'connect')]);
    expect(String((await answer)[0])).toBe('are you there?');
    expect(tunnel.status()).toMatchObject({ state: 'connected', killswitch: { engaged: false, reasons: [] } });
    late.destroy();
    socket.destroy();
  }, 120_000);

  it('is engaged by a person who switches the VPN off: connections end, new ones wait until it is on again (F24)', async () => {
    const tunnel = await tunnelOf();
    await tunnel.ready();
    const socket = tunnel.net.connect({ host: host.address, port });
    await once(socket, 'connect');
    const ended = once(socket, 'error');
    const engaged = once(tunnel, 'killswitch.engaged');
    await tunnel.setEnabled(false);
    expect(await engaged).toEqual([{ reasons: ['user'] }]);
    expect(((await ended)[0] as NodeJS.ErrnoException).code).toBe('ENETUNREACH');
    expect(tunnel.status()).toMatchObject({ enabled: false, state: 'disabled', reason: { code: 'user' } });
    const late = tunnel.net.connect({ host: host.address, port });
    const connected = once(late, 'connect');
    await tunnel.setEnabled(true);
    await connected;
    expect(tunnel.status()).toMatchObject({ enabled: true, state: 'connected' });
    late.destroy();
  }, 20_000);

  it('drops datagrams while it is engaged, and counts them', async () => {
    const tunnel = await tunnelOf();
    await tunnel.ready();
    await tunnel.setEnabled(false);
    const socket = tunnel.dgram.createSocket('udp4');
    await new Promise((resolve) => socket.send('x', port, host.address, resolve));
    await vi.waitFor(() => expect(tunnel.status().tunnel.drops['guard-closed']).toBe(1), { timeout: 10_000 });
    socket.close();
  });
});
