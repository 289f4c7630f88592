/** A peer that is gone without a word: the connection must not hang for ever (RFC 9293 §3.8.3 R2). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { INNER, Lab } from './lab.ts';

let lab: Lab | undefined;
afterAll(() => lab?.destroy());

describe('a peer that vanishes', () => {
  it('ends a connection with unacknowledged data by ETIMEDOUT, after 100 s at the earliest and 400 s at the latest', async () => {
    lab = await Lab.create();
    const peer = lab.agent(lab.server, 'peer.mjs');
    const client = lab.agent(lab.client, 'peer.mjs');
    const { port } = await peer.call<{ port: number }>('listen', { host: INNER.server[4] });
    await client.call('open', { conf: lab.conf() });
    const death = client.call<{ code: string; ms: number }>('writeUntilDeath', {
      host: INNER.server[4],
      port,
      timeoutMs: 420_000,
    });
    await sleep(2_000);
    const nft = (...words: string[]): string => lab!.run(lab!.server, 'nft', ...words);
    nft('add', 'table', 'inet', 'gone');
    nft('add', 'chain', 'inet', 'gone', 'input', '{ type filter hook input priority 0; }');
    nft('add', 'rule', 'inet', 'gone', 'input', 'tcp', 'dport', String(port), 'drop');
    const { code, ms } = await death;
    console.log(`vanished peer: ${code} after ${(ms / 1000).toFixed(0)} s`);
    expect(code).toBe('ETIMEDOUT');
    expect(ms).toBeGreaterThan(100_000);
    expect(ms).toBeLessThan(400_000);
  }, 440_000);
});
