/** Long and broken sessions against real wireguard-go. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { INNER, Lab, OUTER } from './lab.ts';

interface Progress {
  readonly received: number;
  readonly done: boolean;
  readonly error: string | null;
}

const labs: Lab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.destroy();
});

describe('sessions with wireguard-go', () => {
  it('recovers a transfer within 20 s after the server was killed and restarted with the same keys', async () => {
    const lab = await Lab.create();
    labs.push(lab);
    const peer = lab.agent(lab.server, 'peer.mjs');
    const client = lab.agent(lab.client, 'peer.mjs');
    const { port } = await peer.call<{ port: number }>('listen', { host: INNER.server[4] });
    await client.call('open', { conf: lab.conf() });
    const bytes = 40_000_000;
    await client.call('begin', { host: INNER.server[4], port, bytes, bytesPerSecond: 2_000_000 });
    await sleep(4_000);
    await lab.killServer();
    const before = await client.call<Progress>('progress');
    expect(before.received).toBeGreaterThan(1_000_000);
    await lab.startServer();
    const restarted = performance.now();
    let after = before;
    while (after.received <= before.received + 100_000 && performance.now() - restarted < 30_000) {
      await sleep(100);
      after = await client.call<Progress>('progress');
    }
    const recoveredMs = performance.now() - restarted;
    console.log(`recovered ${(recoveredMs / 1000).toFixed(1)} s after the restart`);
    expect(after.received).toBeGreaterThan(before.received);
    expect(recoveredMs).toBeLessThan(20_000);
    while (!after.done && !after.error) {
      await sleep(500);
      after = await client.call<Progress>('progress');
    }
    expect(after).toMatchObject({ received: bytes, error: null });
  });

  it('goes on by itself after the client’s host moved to another address (I3)', async () => {
    const lab = await Lab.create();
    labs.push(lab);
    const peer = lab.agent(lab.server, 'peer.mjs');
    const client = lab.agent(lab.client, 'peer.mjs');
    const { port } = await peer.call<{ port: number }>('listen', { host: INNER.server[4] });
    await client.call('open', { conf: lab.conf() });
    await client.call('begin', { host: INNER.server[4], port, bytes: 20_000_000, bytesPerSecond: 2_000_000 });
    await sleep(2_000);
    lab.ip('-n', lab.client, 'addr', 'del', `${OUTER.client[4]}/24`, 'dev', lab.cable);
    lab.ip('-n', lab.client, 'addr', 'add', '10.9.0.3/24', 'dev', lab.cable);
    const moved = performance.now();
    const before = await client.call<Progress>('progress');
    let after = before;
    while (after.received <= before.received + 100_000 && performance.now() - moved < 60_000) {
      await sleep(100);
      after = await client.call<Progress>('progress');
    }
    console.log(`recovered ${((performance.now() - moved) / 1000).toFixed(1)} s after the move`);
    expect(performance.now() - moved).toBeLessThan(40_000);
    expect(lab.serverView().endpoint).toContain('10.9.0.3');
    while (!after.done && !after.error) {
      await sleep(500);
      after = await client.call<Progress>('progress');
    }
    expect(after).toMatchObject({ received: 20_000_000, error: null });
  });
});
