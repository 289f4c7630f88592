/** Handshakes and data against real wireguard-go: notes on what each case proves are its title. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from './agent.ts';
import { INNER, Lab } from './lab.ts';

interface Transfer {
  readonly received: number;
  readonly expected: number;
}

describe.each([{ presharedKey: false }, { presharedKey: true }])(
  'wireguard-go, preshared key: $presharedKey',
  (options) => {
    let lab: Lab;
    let peer: Agent;
    const ports: Record<number, number> = {};

    beforeAll(async () => {
      lab = await Lab.create(options);
      peer = lab.agent(lab.server, 'peer.mjs');
      for (const family of [4, 6] as const) {
        ports[family] = (await peer.call<{ port: number }>('listen', { host: INNER.server[family] })).port;
        await peer.call('udpEcho', { host: INNER.server[family], port: 7000 + family, family });
      }
    });
    afterAll(() => lab?.destroy());

    for (const outer of [4, 6] as const) {
      it(`carries inner IPv4 and IPv6, TCP and UDP, both ways over outer IPv${outer}`, async () => {
        const client = lab.agent(lab.client, 'peer.mjs');
        await client.call('open', { conf: lab.conf({ outer }) });
        for (const family of [4, 6] as const) {
          const target = { host: INNER.server[family], port: ports[family], bytes: 3_000_000 };
          const down = await client.call<Transfer>('download', target);
          expect(down).toMatchObject({ received: 3_000_000 });
          const up = await client.call<Transfer>('upload', target);
          expect(up).toMatchObject({ received: 3_000_000 });
          const { lost } = await client.call<{ lost: number[] }>('udpPing', {
            host: INNER.server[family],
            port: 7000 + family,
            family,
            sizes: [0, 1, 512, 1372],
          });
          expect(lost).toEqual([]);
        }
        await client.call('close');
        client.process.kill();
      });
    }

    it('refuses a wrong preshared key with silence, and connects once it is right (D3)', async () => {
      const client = lab.agent(lab.client, 'peer.mjs');
      const wrong = lab
        .conf()
        .replace(/PresharedKey = .*\n/, '')
        .replace('AllowedIPs', `PresharedKey = ${lab.wg('genpsk')}\nAllowedIPs`);
      await expect(client.call('open', { conf: wrong, timeoutMs: 3_000 })).rejects.toThrow();
      await client.call('close');
      await client.call('open', { conf: lab.conf() });
      client.process.kill();
    });
  },
);
