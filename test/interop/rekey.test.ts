/** One paced transfer of 400 s: three real rekeys at 120 s each, and not a byte lost (F1, E1). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { INNER, Lab } from './lab.ts';

let lab: Lab | undefined;
afterAll(() => lab?.destroy());

describe('rekeying with wireguard-go', () => {
  it('crosses three rekeys in a paced transfer of 400 s without losing a byte or stalling', async () => {
    lab = await Lab.create({ presharedKey: true });
    const peer = lab.agent(lab.server, 'peer.mjs');
    const client = lab.agent(lab.client, 'peer.mjs');
    const { port } = await peer.call<{ port: number }>('listen', { host: INNER.server[4] });
    await client.call('open', { conf: lab.conf() });
    const bytesPerSecond = 500_000;
    await client.call('begin', { host: INNER.server[4], port, bytes: bytesPerSecond * 400, bytesPerSecond });
    const handshakes = new Set<number>();
    let progress: { received: number; done: boolean; error: string | null; longestGapMs: number };
    do {
      await sleep(2_000);
      handshakes.add(lab.serverView().handshakeSeconds);
      progress = await client.call('progress');
    } while (!progress.done && !progress.error);
    expect(progress).toMatchObject({ received: bytesPerSecond * 400, error: null });
    expect(handshakes.size).toBeGreaterThanOrEqual(4);
    expect(progress.longestGapMs).toBeLessThan(3_000);
  }, 440_000);
});
