/** Every inner packet size that fits, both families: padding, tags and checksums at each length (H5, H10). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from './agent.ts';
import { INNER, Lab } from './lab.ts';

const MTU = 1420;

describe('packets of every size through wireguard-go', () => {
  let lab: Lab;
  let client: Agent;

  beforeAll(async () => {
    lab = await Lab.create();
    client = lab.agent(lab.client, 'peer.mjs');
    await client.call('open', { conf: lab.conf() });
  });
  afterAll(() => lab?.destroy());

  it.each([
    { family: 4 as const, headers: 28 },
    { family: 6 as const, headers: 48 },
  ])('answers a ping of every size from 0 to the MTU over IPv$family', async ({ family, headers }) => {
    const largest = MTU - headers;
    // Four loops side by side; each prints the sizes that got no answer in three tries.
    const loops = await Promise.all(
      [0, 1, 2, 3].map(
        (start) =>
          new Promise<string>((resolve) => {
            const script = `for s in $(seq ${start} 4 ${largest}); do ping -${family} -M do -q -c 1 -W 1 -s $s ${INNER.client[family]} >/dev/null || ping -${family} -M do -q -i 0.2 -c 2 -W 1 -s $s ${INNER.client[family]} >/dev/null || echo $s; done`;
            const child = lab.spawnIn(lab.server, 'bash', ['-c', script]);
            let output = '';
            child.stdout!.on('data', (chunk) => {
              output += chunk;
            });
            child.once('close', () => resolve(output.trim()));
          }),
      ),
    );
    expect(loops.filter(Boolean)).toEqual([]);
  });

  it('carries UDP payloads of every 7th size and the largest', async () => {
    const peer = lab.agent(lab.server, 'peer.mjs');
    const { port } = await peer.call<{ port: number }>('udpEcho', { host: INNER.server[4] });
    const sizes = [...Array.from({ length: 199 }, (_, i) => i * 7), MTU - 28];
    const { lost } = await client.call<{ lost: number[] }>('udpPing', { host: INNER.server[4], port, sizes });
    expect(lost).toEqual([]);
  });
});
