/** Which engine a tunnel gets. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseWireGuardConfig } from '../../src/core/tunnel/wireguard-config.ts';
import type { Engine, EngineDescription } from '../../src/node/engine.ts';
import { type EngineName, openEngine } from '../../src/node/engine-choice.ts';
import { InlineEngine } from '../../src/node/inline-engine.ts';
import { selectUdp } from '../../src/node/udp/select.ts';
import { WorkerEngine } from '../../src/node/worker/worker-engine.ts';

const [KEY, PEER] = [3, 5].map((step) =>
  Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => i * step + 1)).toString('base64'),
);
const wireguard = parseWireGuardConfig(
  `[Interface]\nPrivateKey = ${KEY}\nAddress = 10.0.0.2/32\n[Peer]\nPublicKey = ${PEER}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 127.0.0.1:9\n`,
);

const open: Engine[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const engine of open.splice(0)) await engine.close();
});

async function engineOf(
  { engine, environment = '' }: { readonly engine?: EngineName; readonly environment?: string },
  more: Partial<EngineDescription> = {},
): Promise<Engine> {
  vi.stubEnv('SLUICE_ENGINE', environment);
  const description = { configurations: [wireguard], guard: {}, lease: { provider: 'none' }, ...more } as const;
  const opened = await openEngine(engine, () => description);
  open.push(opened);
  return opened;
}

describe('the engine of a tunnel', () => {
  it('is the one that the option names, whatever the environment says', async () => {
    expect(await engineOf({ engine: 'inline', environment: 'worker' })).toBeInstanceOf(InlineEngine);
    expect(await engineOf({ engine: 'worker', environment: 'inline' })).toBeInstanceOf(WorkerEngine);
  });

  it('is else the one that SLUICE_ENGINE names', async () => {
    expect(await engineOf({ environment: 'inline' })).toBeInstanceOf(InlineEngine);
    expect(await engineOf({ environment: 'worker' })).toBeInstanceOf(WorkerEngine);
  });

  it('is else on a worker where ports on system calls work, and inline with node:dgram', async () => {
    expect(await engineOf({})).toBeInstanceOf(selectUdp() ? WorkerEngine : InlineEngine);
    expect(await engineOf({}, { udp: 'dgram' })).toBeInstanceOf(InlineEngine);
  });

  it('is no other than these', async () => {
    await expect(engineOf({ engine: 'fast' as EngineName })).rejects.toThrow(
      '"engine" expected inline or worker, got fast',
    );
    await expect(engineOf({ environment: 'fast' })).rejects.toMatchObject({ code: 'ERR_CONFIG_VALUE' });
  });

  it('throws in the same words on either thread', async () => {
    const refused = { lease: { provider: 'static', port: 0 } } as const;
    for (const engine of ['inline', 'worker'] as const)
      await expect(engineOf({ engine }, refused)).rejects.toThrow(new RangeError('"port" expected 1 to 65535, got 0'));
    const stateDir = '/dev/null/nowhere';
    for (const engine of ['inline', 'worker'] as const)
      await expect(engineOf({ engine }, { stateDir })).rejects.toMatchObject({
        name: 'SluiceError',
        code: 'ERR_STATE_DIR',
      });
  });
});
