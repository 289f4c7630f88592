/** The sandbox as provider of a real client: wireguard-go with a TUN, and the kernel's own TCP/IP, ping and sockets above it. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxStats } from '../../src/sandbox/index.ts';
import type { Agent } from './agent.ts';
import { Lab, OUTER, until } from './lab.ts';

const PYTHON = '/usr/bin/python3';

/** Asks a UDP server and prints the answer in hex. */
const ASK = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2]))); s.send(bytes.fromhex(sys.argv[3]))
try: print(s.recv(1500).hex())
except OSError as error: print(type(error).__name__)`;

/** Sends what it is told over TCP and prints the last line of what comes back. */
const FETCH = `
import socket, sys
s = socket.create_connection((sys.argv[1], 80), 5); s.sendall(sys.argv[2].encode())
print(b''.join(iter(lambda: s.recv(4096), b'')).decode().split('\\r\\n')[-1])`;

/** Says that it listens, accepts one connection, tells who it is from and says hello. */
const ACCEPT = `
import socket, sys
l = socket.socket(); l.bind(('10.2.0.2', int(sys.argv[1]))); l.listen(); print('listening', flush=True)
c, a = l.accept(); print(a[0], flush=True); c.sendall(b'welcome'); c.close()`;

describe('the sandbox and a kernel behind wireguard-go', () => {
  let lab: Lab;
  let sandbox: Agent;
  let host: string;

  beforeAll(async () => {
    lab = await Lab.create({ server: false });
    sandbox = lab.agent(lab.server, 'sandbox.mjs');
    const opened = await sandbox.call<{ conf: string; address: string }>('open', { address: OUTER.server[4] });
    host = opened.address;
    const name = lab.kernelInterface;
    lab.spawnIn(lab.client, 'wireguard-go', ['-f', name], { LOG_LEVEL: 'error' });
    await until(() => existsSync(`/var/run/wireguard/${name}.sock`), 'wireguard-go did not start');
    const file = join(lab.folder, 'sandbox.conf');
    writeFileSync(file, opened.conf.replace(/^(Address|DNS) = .*\n/gm, ''), { mode: 0o600 });
    lab.wg('setconf', name, file);
    lab.ip('-n', lab.client, 'addr', 'add', '10.2.0.2/32', 'dev', name);
    lab.ip('-n', lab.client, '-6', 'addr', 'add', 'fd53:6c75:6963::2/128', 'dev', name, 'nodad');
    lab.ip('-n', lab.client, 'link', 'set', name, 'mtu', '1420', 'up');
    lab.ip('-n', lab.client, 'route', 'add', 'default', 'dev', name, 'src', '10.2.0.2');
    lab.ip('-n', lab.client, '-6', 'route', 'add', 'default', 'dev', name);
  });
  afterAll(() => lab?.destroy());

  const client = (command: string, ...args: string[]): string => lab.run(lab.client, command, ...args).trim();
  /** Also where the command fails, as ping does without an answer. */
  const output = (command: string, ...args: string[]): string =>
    spawnSync('ip', ['netns', 'exec', lab.client, command, ...args], { encoding: 'utf8' }).stdout;
  const ask = (address: string, port: number, hex: string): string =>
    client(PYTHON, '-c', ASK, address, String(port), hex);

  it('answers pings of the gateway and, translated, of a host over both families', () => {
    for (const address of ['10.2.0.1', host, '2001:db8:198::1'])
      expect(client('ping', '-c', '2', '-i', '0.2', '-W', '3', address)).toContain(' 0% packet loss');
    expect(client('ping', '-c', '1', '-W', '3', '-M', 'do', '-s', '1392', host)).toContain(' 0% packet loss');
  });

  it('tells where hops ran out and that a host does not exist (RFC 1812 §4.3)', () => {
    expect(output('ping', '-c', '1', '-W', '3', '-t', '1', host)).toContain('From 10.2.0.1 icmp_seq=1 Time to live');
    expect(output('ping', '-c', '1', '-W', '3', '198.51.100.99')).toContain('Destination Host Unreachable');
  });

  it('shows the exit addresses and serves TCP of a host', () => {
    const fetch = (address: string, request: string): string => client(PYTHON, '-c', FETCH, address, request);
    expect(fetch('203.0.113.80', 'GET / HTTP/1.1\r\n\r\n')).toBe('203.0.113.10');
    expect(fetch('2001:db8:203::80', 'GET /json HTTP/1.1\r\n\r\n')).toBe('{"ip":"2001:db8:203::10"}');
    expect(fetch(host, '')).toBe('hello 203.0.113.10');
  });

  it('resolves names, echoes datagrams, and refuses those to a closed port through the NAT (RFC 5508 §4)', () => {
    const query = '123401000001000000000000 04686f73740474657374000001 0001'.replaceAll(' ', '');
    expect(ask('10.2.0.1', 53, query)).toMatch(/^12348580[0-9a-f]+c6336401$/);
    expect(ask(host, 7777, 'c0ffee')).toBe('c0ffee');
    expect(ask(host, 7778, 'c0ffee')).toBe('ConnectionRefusedError');
  });

  it('forwards a port to a listener of the kernel, which sees the true source', async () => {
    expect(ask('10.2.0.1', 5351, '0000')).toMatch(/^00800000[0-9a-f]{8}cb00710a$/);
    const port = Number.parseInt(ask('10.2.0.1', 5351, '000200000000000100000e10').slice(20, 24), 16);
    const listener = lab.spawnIn(lab.client, PYTHON, ['-c', ACCEPT, String(port)]);
    let printed = '';
    listener.stdout!.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
    await until(() => printed.includes('listening'), 'no listener');
    expect(await sandbox.call('dial', { port })).toBe('welcome');
    await until(() => printed.includes(host), 'not the true source');
    const { clients } = await sandbox.call<SandboxStats>('stats');
    expect(clients).toMatchObject([{ handshakes: 1, ports: [{ protocol: 'tcp', externalPort: port }] }]);
  });
});
