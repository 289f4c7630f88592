/** `sluice up` against real wireguard-go, in namespaces: its status in each state that a server can bring about, and its end. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { StatusSnapshot } from '../../src/node/status.ts';
import { ask } from '../api/support.ts';
import { misfits } from '../support/status-schema.ts';
import { Lab, until } from './lab.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const SILENT_AFTER_SECONDS = 5;

const labs: Lab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.destroy();
});

it('sluice up tells each state of a server that is not there, comes, dies and comes back, and ends in order', async () => {
  const lab = await Lab.create({ server: false });
  labs.push(lab);
  const conf = join(lab.folder, 'client.conf');
  const stateDir = join(lab.folder, 'state');
  // A unix socket can be reached from outside the namespace.
  const socketPath = join(lab.folder, 'api.sock');
  writeFileSync(conf, lab.conf(), { mode: 0o600 });
  const daemon = lab.spawnIn(
    lab.client,
    process.execPath,
    [MAIN, 'up', conf, '--listen', socketPath, '--state-dir', stateDir],
    { SLUICE_KILLSWITCH_SILENT_AFTER_SECONDS: String(SILENT_AFTER_SECONDS), SLUICE_PROBE_TIMEOUT_SECONDS: '1' },
  );
  let log = '';
  daemon.stdout!.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  await until(() => log.includes('Sluice is running'), `the daemon did not start: ${log}`);

  const apiKey = readFileSync(join(stateDir, 'api-key'), 'utf8').trim();
  const api = { socketPath, key: false, headers: { Host: 'localhost', 'X-Api-Key': apiKey } };
  const status = async (): Promise<StatusSnapshot> => {
    const { json } = await ask(0, api);
    expect(misfits(json)).toEqual([]);
    if (json.state !== 'connected') expect(json.reason.message).toMatch(/^[A-Z].{20,}\.$/);
    return json;
  };
  const seconds = async (state: string, limit: number): Promise<string> => {
    const startedAt = performance.now();
    const elapsed = (): number => (performance.now() - startedAt) / 1_000;
    while ((await status()).state !== state) {
      if (elapsed() > limit) expect.fail(`not ${state} within ${limit} s, but ${JSON.stringify(await status())}`);
      await sleep(100);
    }
    return elapsed().toFixed(1);
  };

  await seconds('connecting', 1);
  await lab.startServer();
  console.log(`connected ${await seconds('connected', 20)} s after the server came`);
  await lab.killServer();
  // An idle tunnel has nothing to miss an answer to (whitepaper §6.2); the probe's question is traffic.
  expect((await ask(0, { ...api, method: 'POST', path: '/api/v1/probe' })).status).toBe(200);
  console.log(`reconnecting ${await seconds('reconnecting', 60)} s after it was killed`);
  expect((await status()).killswitch).toMatchObject({ engaged: true, reasons: ['stale'] });
  await lab.startServer();
  console.log(`connected ${await seconds('connected', 20)} s after it came back`);
  const ended = once(daemon, 'close');
  // Through `ip netns exec`, which becomes the daemon.
  daemon.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
  expect(log).toContain('"Stopped."');
});
