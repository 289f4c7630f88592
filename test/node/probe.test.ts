/** The leak probe of the public tunnel against the sandbox: thirty answers, leaks that stay, words that end them (leak plan 27 to 29). */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type ProbeOptions,
  type ProbeStatus,
  parseWireGuardConfig,
  Tunnel,
  type TunnelOptions,
} from '../../src/index.ts';
import { Sandbox, type SandboxClient, type SandboxHost } from '../../src/sandbox/index.ts';
import { drips, head, ProbeServer, pours, type Reply, raw, says } from '../support/probe-server.ts';

const EXIT = '203.0.113.10';
const EXIT_V6 = '2001:db8:203::10';
/** Outside of everything that is learnt. */
const ELSEWHERE = '192.0.2.77';
const ELSEWHERE_V6 = '2001:db8:bad::7';

let sandbox: Sandbox;
let host: SandboxHost;
let port: number;
let stateDir: string;
const open: Tunnel[] = [];

beforeAll(async () => {
  sandbox = await Sandbox.start();
  host = sandbox.addHost({ name: 'peer.sluice.test' });
  const server = host.net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0);
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  stateDir = await mkdtemp(join(tmpdir(), 'sluice-probe-'));
});
afterAll(async () => {
  await sandbox.close();
  await rm(stateDir, { recursive: true, force: true });
});
afterEach(async () => {
  for (const tunnel of open.splice(0)) await tunnel.close();
  sandbox.rotateExitAddress(EXIT);
  sandbox.rotateExitAddress(EXIT_V6);
  sandbox.exitEcho.lie = undefined;
  sandbox.exitEcho.silent = false;
});

const urls = (): ProbeOptions => ({ urls: sandbox.probeUrls, urlsV6: sandbox.probeUrls });

async function tunnelOf(
  probe: ProbeOptions = urls(),
  options: Partial<TunnelOptions> & { readonly client?: SandboxClient } = {},
): Promise<Tunnel> {
  const { client = sandbox.addClient(), ...more } = options;
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(client.conf), probe, ...more });
  open.push(tunnel);
  return tunnel;
}

/** A tunnel whose first probe is over. */
async function probed(...args: Parameters<typeof tunnelOf>): Promise<Tunnel> {
  const tunnel = await tunnelOf(...args);
  await once(tunnel, 'probe', { signal: AbortSignal.timeout(20_000) });
  return tunnel;
}

describe('a probe of the exit', () => {
  it('is made at connect: it learns the networks of both families, and says so in status and event (F18, F21)', async () => {
    const tunnel = await tunnelOf();
    expect(tunnel.status().probe).toEqual({
      verdict: 'pending',
      ipv4: { observed: null, expected: [] },
      ipv6: { observed: null, expected: [] },
      checkedAt: null,
      nextInSeconds: null,
    });
    const [status] = (await once(tunnel, 'probe')) as [ProbeStatus];
    const { checkedAt, nextInSeconds, ...rest } = status;
    expect(rest).toEqual({
      verdict: 'ok',
      ipv4: { observed: EXIT, expected: ['203.0.113.0/24'] },
      ipv6: { observed: EXIT_V6, expected: ['2001:db8:203::/48'] },
    });
    expect(Date.now() - Date.parse(checkedAt!)).toBeLessThan(5_000);
    expect(nextInSeconds).toBeGreaterThan(290);
    expect(tunnel.status()).toMatchObject({ state: 'connected', reason: null, probe: rest });
  });

  it('is made on demand, and again by itself', async () => {
    const tunnel = await probed({ ...urls(), intervalSeconds: 0.2 });
    const seen: string[] = [];
    tunnel.on('probe', ({ verdict }) => seen.push(verdict));
    const { verdict, ipv4 } = await tunnel.probe();
    expect([verdict, ipv4?.observed]).toEqual(['ok', EXIT]);
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBeGreaterThan(2);
  });

  it('sees no family that the tunnel has no address in, and none that nobody is to be asked over', async () => {
    const tunnel = await probed(urls(), { client: sandbox.addClient({ ipv6: false }) });
    expect(tunnel.status().probe).toMatchObject({ verdict: 'ok', ipv4: { observed: EXIT }, ipv6: null });
    const other = await probed({ ...urls(), urlsV6: [] });
    expect(other.status().probe).toMatchObject({ verdict: 'ok', ipv4: { observed: EXIT }, ipv6: null });
  });

  it('is off if that is wanted', async () => {
    const tunnel = await tunnelOf({ enabled: false });
    await tunnel.ready();
    const off = { verdict: 'off', ipv4: null, ipv6: null, checkedAt: null, nextInSeconds: null };
    expect(await tunnel.probe()).toEqual(off);
    expect(tunnel.status().probe).toEqual(off);
  });

  it('is unknown, no trip, and told in words when it fails again, where nobody answers, as at a sandbox for the default servers (F20)', async () => {
    const tunnel = await probed({});
    expect(tunnel.status()).toMatchObject({ state: 'connected', reason: null, probe: { verdict: 'unknown' } });
    expect(await tunnel.probe()).toMatchObject({ verdict: 'unknown', ipv4: { observed: null, expected: [] } });
    expect(tunnel.status()).toMatchObject({
      state: 'connected',
      reason: {
        code: 'probe-unknown',
        message:
          'The IPv4 exit address cannot be checked: the names of the probe’s servers do not resolve in the tunnel.',
      },
    });
  });

  it('is told at once while the tunnel is down, and rejected once it is closed', async () => {
    const tunnel = await tunnelOf();
    expect(await tunnel.probe()).toMatchObject({ verdict: 'pending', checkedAt: null });
    sandbox.exitEcho.silent = true;
    await tunnel.ready();
    const waiting = expect(tunnel.probe()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await tunnel.close();
    await waiting;
    await expect(tunnel.probe()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(tunnel.acceptExit()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  it.each([
    [{ urls: ['ftp://ip.sluice.test/'] }, '"probe.urls" expected http or https URLs'],
    [{ urlsV6: ['ip.sluice.test'] }, '"probe.urlsV6" expected'],
    [{ urls: ['http://me:secret@ip.sluice.test/'] }, '"probe.urls" expected'],
    [{ expected: ['203.0.113.300'] }, '"probe.expected" expected addresses or networks'],
    [{ intervalSeconds: 0 }, '"probe.intervalSeconds" expected'],
    [{ timeoutSeconds: Number.NaN }, '"probe.timeoutSeconds" expected'],
    [{ onMismatch: 'ignore' as never }, '"probe.onMismatch" expected pause or warn'],
  ])('refuses %j', async (options, message) => {
    await expect(tunnelOf(options)).rejects.toThrow(message);
  });
});

describe('what a probe server answers (leak plan 27)', () => {
  let server: ProbeServer;
  let tunnel: Tunnel;

  beforeAll(async () => {
    server = await ProbeServer.listen(sandbox.addHost({ name: 'probe.sluice.test' }).net);
  });

  /** The outcome of a probe to which `reply` is the answer, while the one before was clean. */
  const ask = async (reply: Reply, timeoutSeconds = 10): Promise<ProbeStatus> => {
    server.reply = says(EXIT);
    const urls = ['http://probe.sluice.test/'];
    tunnel = await probed({ urls, urlsV6: [], expected: ['203.0.113.0/24'], timeoutSeconds });
    // A busy host may need longer than a short timeout.
    while (tunnel.status().probe.verdict !== 'ok') await tunnel.probe();
    server.reply = reply;
    server.requests.length = 0;
    return tunnel.probe();
  };

  const page = `<!DOCTYPE html><html><head><title>Log in</title></head><body>Welcome, ${EXIT}</body></html>`;
  const bomb = gzipSync(Buffer.alloc(20 << 20, '1'));

  it.each<[string, Reply]>([
    ['the end at once', raw()],
    ['a reset', (socket) => void socket.resetAndDestroy()],
    ['half of what it promised', raw(head('200 OK', { 'Content-Length': '99' }), EXIT)],
    ['a redirect to the right answer', says('', '302 Found', { Location: 'http://ip.sluice.test/' })],
    ['a permanent redirect', says(EXIT, '308 Permanent Redirect', { Location: 'http://ip.sluice.test/' })],
    ['a captive portal', says(page, '200 OK', { 'Content-Type': 'text/html' })],
    ['a captive portal that calls itself text', says(page)],
    ['that a login is required', says(EXIT, '511 Network Authentication Required')],
    ['that it may not be asked', says(EXIT, '403 Forbidden')],
    ['that it is asked too often', says(EXIT, '429 Too Many Requests')],
    ['that it is broken', says(EXIT, '500 Internal Server Error')],
    ['no content', raw(head('204 No Content'))],
    ['gzip', says(gzipSync(EXIT), '200 OK', { 'Content-Encoding': 'gzip' })],
    ['gzip that it does not call so', says(gzipSync(EXIT))],
    ['a gzip bomb', says(bomb, '200 OK', { 'Content-Encoding': 'gzip' })],
    ['an address that is called br', says(EXIT, '200 OK', { 'Content-Encoding': 'br' })],
    ['ten megabytes behind the address', says(Buffer.alloc(10 << 20, `${EXIT}\n`))],
    ['spaces without end', pours(head('200 OK'), Buffer.alloc(16_384, ' '))],
    ['a page of spaces around the address', says(EXIT.padEnd(4_097))],
    ['an address of the other family', says(EXIT_V6)],
    ['an IPv4 address in IPv6 clothes', says(`::ffff:${EXIT}`)],
    ['a private address', says('192.168.1.20')],
    ['a carrier’s inner address', says('100.64.7.7')],
    ['a link-local address', says('169.254.1.1')],
    ['a loopback address', says('127.0.0.1')],
    ['the 0.0.0.0 of a filter', says('0.0.0.0')],
    ['an address cut short', says('203.0.113.')],
    ['an address with a number too many', says(`${EXIT}.1`)],
    ['an address with zeros before', says('203.000.113.010')],
    ['two addresses', says(`${EXIT}, ${ELSEWHERE}`)],
    ['JSON without an address', says('{"status":"fail"}')],
    ['JSON that is cut', says(`{"ip":"${EXIT}"`)],
    ['JSON that is deep', says('{"ip":'.repeat(600))],
    ['nothing at all, politely', says('')],
    ['no HTTP', raw('220 mail.sluice.test ESMTP\r\n')],
    ['headers without end', pours('HTTP/1.1 200 OK\r\n', Buffer.from('X-Pad: 0123456789\r\n'.repeat(50)))],
  ])('%s: unknown, never ok, never a trip, and nothing is waited for', async (_, reply) => {
    expect(await ask(reply)).toMatchObject({ verdict: 'unknown', ipv4: { observed: null } });
    expect(server.requests).toHaveLength(1);
    expect(tunnel.status()).toMatchObject({ state: 'connected', killswitch: { engaged: false } });
  });

  it.each<[string, Reply]>([
    ['nothing', () => {}],
    ['one byte of the headers at a time', drips('HTTP/1.1 200 OK\r\n', 'X: 1\r\n', 30)],
    ['one byte of the body at a time', drips(head('200 OK', { 'Content-Length': '400' }), EXIT, 30)],
  ])('%s: unknown when the time is up', async (_, reply) => {
    // Those of tunnels that are closed are left behind.
    const before = server.connections;
    expect(await ask(reply, 0.5)).toMatchObject({ verdict: 'unknown', ipv4: { observed: null } });
    expect(tunnel.status()).toMatchObject({ state: 'connected', killswitch: { engaged: false } });
    await expect.poll(() => server.connections, { timeout: 10_000 }).toBe(before);
  });

  it.each<[string, Reply]>([
    ['the address', says(EXIT)],
    ['the address on a line', says(`${EXIT}\n`)],
    ['another one of the expected network', says('203.0.113.200')],
    ['JSON', says(`{"ip":"${EXIT}"}`, '200 OK', { 'Content-Type': 'application/json' })],
  ])('%s: ok', async (_, reply) => {
    expect(await ask(reply)).toMatchObject({ verdict: 'ok' });
  });

  it.each<[string, Reply]>([
    ['the host’s real address', says(ELSEWHERE)],
    ['the host’s real address as JSON', says(`{"query":"${ELSEWHERE}"}`)],
  ])('%s: a leak, and everything is paused', async (_, reply) => {
    expect(await ask(reply)).toMatchObject({ verdict: 'leak', ipv4: { observed: ELSEWHERE } });
    expect(tunnel.status()).toMatchObject({
      state: 'blocked',
      reason: {
        code: 'leak',
        message: expect.stringContaining(`${ELSEWHERE}, which is none of the VPN’s (203.0.113.0/24)`),
      },
      killswitch: { engaged: true, reasons: ['leak'] },
    });
  });

  it('one of two that lies, first or second: unknown, neither ok nor a leak (leak plan 28)', async () => {
    const lists = [
      ['http://probe.sluice.test/', sandbox.echoUrl],
      [sandbox.echoUrl, 'http://probe.sluice.test/'],
    ];
    for (const list of lists) {
      server.reply = says(EXIT);
      tunnel = await probed({ urls: list, urlsV6: [] });
      // What the first of them says is expected, so only a lie of that one is noticed; the other one is asked about it.
      server.reply = says(ELSEWHERE);
      const { verdict } = await tunnel.probe();
      expect(verdict).toBe(list[0] === sandbox.echoUrl ? 'ok' : 'unknown');
      expect(tunnel.status().killswitch.engaged).toBe(false);
    }
  });

  it('over IPv6 is asked apart: a checker that answers only IPv4 leaves IPv6 unknown', async () => {
    const onlyV4 = sandbox.addHost({ name: 'v4.sluice.test', addresses: ['198.51.100.200'] });
    const v4 = await ProbeServer.listen(onlyV4.net);
    v4.reply = says(EXIT);
    tunnel = await probed({ urls: ['http://v4.sluice.test/'], urlsV6: ['http://v4.sluice.test/'] });
    expect(tunnel.status().probe).toMatchObject({
      verdict: 'unknown',
      ipv4: { observed: EXIT },
      ipv6: { observed: null, expected: [] },
    });
  });

  it('by a name that a filter has set to 0.0.0.0: unknown', async () => {
    sandbox.dns.set('blocked.sluice.test', ['0.0.0.0']);
    tunnel = await probed({ urls: ['http://blocked.sluice.test/'], urlsV6: [] });
    expect(tunnel.status().probe.verdict).toBe('unknown');
  });
});

describe('a leak', () => {
  it('is found by itself within seconds; everything else is closed, and only the probe goes on (F19)', async () => {
    const tunnel = await probed({ ...urls(), intervalSeconds: 0.3 });
    const socket = tunnel.net.connect({ host: host.address, port });
    await once(socket, 'connect');
    const ended = once(socket, 'error');
    const engaged = once(tunnel, 'killswitch.engaged', { signal: AbortSignal.timeout(20_000) });
    sandbox.rotateExitAddress(ELSEWHERE);
    expect(await engaged).toEqual([{ reasons: ['leak'] }]);
    await ended;
    const asked = sandbox.dns.log.length;
    const late = tunnel.net.connect({ host: host.name!, port });
    let connected = false;
    late.on('connect', () => (connected = true)).on('error', () => {});
    expect((await tunnel.probe()).ipv4).toEqual({ observed: ELSEWHERE, expected: ['203.0.113.0/24'] });
    await tunnel.probe();
    expect(connected).toBe(false);
    expect(new Set(sandbox.dns.log.slice(asked).map(({ name }) => name))).toEqual(new Set(['ip.sluice.test']));
    const released = once(tunnel, 'killswitch.released', { signal: AbortSignal.timeout(20_000) });
    sandbox.rotateExitAddress(EXIT);
    await Promise.all([released, once(late, 'connect')]);
    expect(tunnel.status()).toMatchObject({ state: 'connected', probe: { verdict: 'ok' } });
    late.destroy();
  });

  it('of IPv6 alone is one; IPv4 is told to be well', async () => {
    const tunnel = await probed();
    sandbox.rotateExitAddress(ELSEWHERE_V6);
    expect(await tunnel.probe()).toMatchObject({
      verdict: 'leak',
      ipv4: { observed: EXIT },
      ipv6: { observed: ELSEWHERE_V6, expected: ['2001:db8:203::/48'] },
    });
    expect(tunnel.status()).toMatchObject({
      state: 'blocked',
      reason: { message: expect.stringContaining(ELSEWHERE_V6) },
    });
  });

  it('is kept across a restart, before and after the handshake, until a probe is clean', async () => {
    const client = sandbox.addClient();
    const first = await probed(urls(), { client, stateDir });
    sandbox.rotateExitAddress(ELSEWHERE);
    expect((await first.probe()).verdict).toBe('leak');
    await first.close();

    const second = await tunnelOf(urls(), { client, stateDir });
    expect(second.status()).toMatchObject({
      state: 'blocked',
      killswitch: { engaged: true, reasons: ['leak', 'starting'] },
      probe: { verdict: 'leak', ipv4: { observed: ELSEWHERE, expected: ['203.0.113.0/24'] } },
    });
    await once(second, 'probe');
    expect(second.status()).toMatchObject({ state: 'blocked', killswitch: { reasons: ['leak'] } });
    sandbox.rotateExitAddress(EXIT);
    expect((await second.probe()).verdict).toBe('ok');
    expect(second.status().killswitch.engaged).toBe(false);
    await second.close();

    const third = await tunnelOf(urls(), { client, stateDir });
    expect(third.status()).toMatchObject({ state: 'connecting', killswitch: { reasons: ['starting'] } });
  });

  it('is ended by a person’s word, which is remembered too', async () => {
    const client = sandbox.addClient();
    const first = await probed(urls(), { client, stateDir });
    sandbox.rotateExitAddress(ELSEWHERE);
    expect((await first.probe()).verdict).toBe('leak');
    const released = once(first, 'killswitch.released');
    expect(await first.acceptExit()).toMatchObject({
      verdict: 'ok',
      ipv4: { observed: ELSEWHERE, expected: ['203.0.113.0/24', '192.0.2.0/24'] },
    });
    await released;
    await first.close();

    const second = await probed(urls(), { client, stateDir });
    expect(second.status()).toMatchObject({ state: 'connected', probe: { verdict: 'ok' } });
  });

  it('that only warns is told, and everything flows', async () => {
    const tunnel = await probed({ ...urls(), onMismatch: 'warn' });
    sandbox.rotateExitAddress(ELSEWHERE);
    expect((await tunnel.probe()).verdict).toBe('leak');
    expect(tunnel.status()).toMatchObject({
      state: 'connected',
      reason: { code: 'leak-warned', message: expect.stringContaining(ELSEWHERE) },
      killswitch: { engaged: false },
    });
    expect(await (await tunnel.fetch(sandbox.echoUrl)).text()).toBe(ELSEWHERE);
  });

  it('is none when the exit moves within its network; connections that were open end at once', async () => {
    const tunnel = await probed();
    const socket = tunnel.net.connect({ host: host.address, port });
    await once(socket, 'connect');
    const ended = once(socket, 'error');
    sandbox.rotateExitAddress('203.0.113.59');
    expect((await tunnel.probe()).verdict).toBe('ok');
    expect(((await ended)[0] as NodeJS.ErrnoException).code).toBe('ECONNRESET');
    expect(tunnel.status()).toMatchObject({ state: 'connected', killswitch: { engaged: false } });
  });

  it('is none where the gateway vouches for the exit: its word is waited for, and learnt (G4)', async () => {
    const client = sandbox.addClient();
    const portForward = { provider: 'natpmp' } as const;
    const first = await probed({ ...urls(), urlsV6: [] }, { client, stateDir, portForward });
    await first.close();
    sandbox.rotateExitAddress('198.51.100.240');
    const second = await probed({ ...urls(), urlsV6: [] }, { client, stateDir, portForward });
    expect(second.status()).toMatchObject({
      state: 'connected',
      probe: { verdict: 'ok', ipv4: { observed: '198.51.100.240', expected: ['203.0.113.0/24', '198.51.100.0/24'] } },
    });
  });
});
