import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import dns from 'node:dns';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ATTEMPTS, isRefused } from './outside-attempts.mjs';

const PROGRAM = join(import.meta.dirname, 'outside-attempts.mjs');
/** A network namespace of its own has no interface that is up: nothing can leave it. */
const NO_NETWORK = ['unshare', '--map-root-user', '--net'];
const canUnshare = spawnSync(NO_NETWORK[0]!, [...NO_NETWORK.slice(1), 'true']).status === 0;
if (!canUnshare)
  console.warn('SKIPPED: no outside sockets, the check without protection: `unshare --net` is not possible');

const names = Object.keys(ATTEMPTS);

function run(command: readonly string[]): Record<string, boolean> {
  const { stdout, stderr } = spawnSync(command[0]!, [...command.slice(1), process.execPath, PROGRAM], {
    encoding: 'utf8',
    timeout: 25_000,
  });
  if (!stdout.startsWith('{')) throw new Error(stderr);
  return JSON.parse(stdout);
}

describe('tests reach loopback only', () => {
  it.each(names)('%s towards the outside throws', async (name) => {
    expect(await isRefused(ATTEMPTS[name]!)).toBe(true);
  });

  it('holds in a child process as well, whose environment carries the guard', () => {
    expect(run(['env'])).toEqual(Object.fromEntries(names.map((name) => [name, true])));
  });

  it.skipIf(!canUnshare)('is not vacuous: without the guard, and without a network, none of them is refused', () => {
    expect(run([...NO_NETWORK, 'env', '-u', 'NODE_OPTIONS'])).toEqual(
      Object.fromEntries(names.map((name) => [name, false])),
    );
  });

  it('leaves loopback alone: TCP, UDP, names and resolvers that ask a server there', async () => {
    const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    for (const host of ['127.0.0.1', 'localhost']) {
      const [data] = await once(connect(port, host), 'data');
      expect(String(data)).toBe('hello');
    }
    server.close();
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const heard = once(socket, 'message');
    const sender = createSocket('udp4');
    sender.send('ping', socket.address().port, '127.0.0.1');
    expect(String((await heard)[0])).toBe('ping');
    sender.close();
    socket.close();
    expect((await dns.promises.lookup('127.0.0.1')).address).toBe('127.0.0.1');
    const resolver = new dns.promises.Resolver({ timeout: 1, tries: 1 });
    resolver.setServers(['127.0.0.1:9']);
    await expect(resolver.resolve4('name.test')).rejects.not.toMatchObject({ code: 'ERR_TEST_OUTSIDE' });
  });
});
