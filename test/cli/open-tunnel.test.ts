import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { openTunnel } from '../../src/cli/open-tunnel.ts';
import { createReporter } from '../../src/cli/progress/reporter.ts';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import { fakeIo } from './support.ts';

const conf = (endpoint: string) =>
  parseWireGuardConfig(`[Interface]
PrivateKey = GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=
Address = 10.2.0.2/32
[Peer]
PublicKey = lWjkq0pQZ7v0dI3tY2nZ5x8cX1mJr6sK4uFhPpTgWEY=
AllowedIPs = 0.0.0.0/0
Endpoint = ${endpoint}
`);

const open = (endpoint: string, stop: AbortSignal, timeoutMs: number) => {
  const reporter = createReporter(fakeIo().io, { json: false, now: () => 0 });
  return openTunnel(conf(endpoint), { reporter, stop, timeoutMs });
};

describe('a tunnel that does not come up', () => {
  it('is given up with ERR_HANDSHAKE_TIMEOUT and the server’s address', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1');
    await once(silent, 'listening');
    const endpoint = `127.0.0.1:${silent.address().port}`;
    await expect(open(endpoint, new AbortController().signal, 300)).rejects.toMatchObject({
      code: 'ERR_HANDSHAKE_TIMEOUT',
      message: `The VPN server ${endpoint} did not answer a handshake within 0.3 seconds.`,
    });
    silent.close();
  });

  it('is left at once when the command is stopped', async () => {
    const stopping = new AbortController();
    setTimeout(() => stopping.abort('SIGINT'), 50);
    const startedAt = performance.now();
    await expect(open('127.0.0.1:9', stopping.signal, 20_000)).rejects.toBe('SIGINT');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});
