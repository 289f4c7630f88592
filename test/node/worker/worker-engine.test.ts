/** A tunnel whose engine is on a worker: what its crash does, and its end. Everything else is the same as inline, and tested with it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { IpAddress } from '../../../src/core/base/address.ts';
import { parseWireGuardConfig, type StatusSnapshot, Tunnel, type TunnelOptions } from '../../../src/index.ts';
import type { EngineDescription, EngineEvent } from '../../../src/node/engine.ts';
import { WorkerEngine } from '../../../src/node/worker/worker-engine.ts';
import { Sandbox, type SandboxHost } from '../../../src/sandbox/index.ts';

// Each test starts threads, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 90_000 });
const WAIT = { timeout: 60_000, interval: 10 };

let sandbox: Sandbox;
let host: SandboxHost;
let port: number;
let stateDir: string;
const open: { close(): Promise<void> }[] = [];
/** Threads that were started, the newest last. */
const workers: Worker[] = [];
const remember = (worker: Worker): void => void workers.push(worker);

beforeAll(async () => {
  process.on('worker', remember);
  sandbox = await Sandbox.start();
  host = sandbox.addHost({ name: 'peer.sluice.test' });
  const server = host.net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0);
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  stateDir = await mkdtemp(join(tmpdir(), 'sluice-engine-'));
});
afterAll(async () => {
  process.off('worker', remember);
  await sandbox.close();
  await rm(stateDir, { recursive: true, force: true });
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  sandbox.exitEcho.lie = undefined;
});

async function tunnelOf(options: Partial<TunnelOptions> = {}): Promise<Tunnel> {
  const wireguard = parseWireGuardConfig(sandbox.addClient().conf);
  const tunnel = await Tunnel.open({ wireguard, engine: 'worker', probe: { enabled: false }, ...options });
  open.push(tunnel);
  await tunnel.ready();
  return tunnel;
}

/** The tunnel's status right after its thread was ended from outside. */
async function crash(tunnel: Tunnel): Promise<StatusSnapshot> {
  const told = once(tunnel, 'state');
  await workers.at(-1)!.terminate();
  await told;
  return tunnel.status();
}

/** What a peer outside hears from a server inside. */
async function dial(target: number): Promise<string> {
  // The tunnel's end may reset what is not over yet.
  const socket = host.net.connect({ host: sandbox.exitAddresses[0]!, port: target }).on('error', () => {});
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'end');
  socket.end();
  return text;
}

describe('when the thread of the engine ends of itself', () => {
  it('nothing flows, the state says why, and the tunnel comes back by itself', async () => {
    const tunnel = await tunnelOf();
    const engaged = once(tunnel, 'killswitch.engaged');
    const released = once(tunnel, 'killswitch.released');
    const status = await crash(tunnel);
    expect(status).toMatchObject({
      state: 'reconnecting',
      reason: { code: 'ERR_ENGINE', message: expect.stringContaining('ended'), hint: expect.any(String) },
      killswitch: { engaged: true, reasons: ['starting'] },
      sockets: { tcp: 0 },
    });
    await engaged;
    await tunnel.ready();
    await released;
    expect(tunnel.status()).toMatchObject({ state: 'connected', reason: null, tunnel: { handshakes: 2 } });
  });

  it('connections and look-ups end with an error, those that are opened meanwhile too', async () => {
    const tunnel = await tunnelOf();
    const socket = tunnel.net.connect({ host: 'peer.sluice.test', port });
    await once(socket, 'connect');
    const failed = once(socket, 'error');
    await crash(tunnel);
    expect((await failed)[0]).toMatchObject({ code: 'ENETUNREACH' });
    const late = tunnel.net.connect({ host: '203.0.113.1', port });
    expect((await once(late, 'error'))[0]).toMatchObject({ code: 'ENETUNREACH' });
    await expect(tunnel.dns.promises.lookup('peer.sluice.test')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
  });

  it('servers and UDP sockets go on, on the ports that they had', async () => {
    const tunnel = await tunnelOf({ portForward: { provider: 'natpmp' } });
    const server = tunnel.net.createServer((socket) => socket.on('error', () => {}).end('still here'));
    let listening = 0;
    server.on('listening', () => listening++);
    server.listen({ forwarded: true });
    await once(server, 'listening');
    const udp = tunnel.dgram.createSocket('udp4');
    udp.bind(0);
    await once(udp, 'listening');
    const inside = [udp.address().port, server.internalPort];
    if (tunnel.status().portForward.port === null) await once(tunnel, 'port.mapped');
    await crash(tunnel);
    await tunnel.ready();
    await vi.waitFor(() => expect(tunnel.status().portForward.state).toBe('mapped'), WAIT);
    expect([udp.address().port, server.internalPort, listening]).toEqual([...inside, 1]);
    expect(await dial(tunnel.status().portForward.port!)).toBe('still here');
  });

  it('a leak that was found is remembered', async () => {
    const tunnel = await tunnelOf({ probe: { urls: sandbox.probeUrls, urlsV6: sandbox.probeUrls } });
    await tunnel.probe();
    sandbox.exitEcho.lie = '192.0.2.77';
    expect((await tunnel.probe()).verdict).toBe('leak');
    const engaged = once(tunnel, 'killswitch.engaged');
    await workers.at(-1)!.terminate();
    expect(await engaged).toEqual([{ reasons: ['leak', 'starting'] }]);
    const expected = { state: 'blocked', killswitch: { reasons: ['leak'] }, tunnel: { handshakes: 2 } };
    await vi.waitFor(() => expect(tunnel.status()).toMatchObject(expected), WAIT);
  });

  it('a person’s word that the VPN is off holds, and on again it comes back', async () => {
    const tunnel = await tunnelOf();
    await tunnel.setEnabled(false);
    const before = workers.length;
    await workers.at(-1)!.terminate();
    await vi.waitFor(() => expect(workers.length).toBe(before + 1), WAIT);
    expect(tunnel.status()).toMatchObject({ state: 'disabled', enabled: false });
    await tunnel.setEnabled(true);
    await tunnel.ready();
    expect(tunnel.status().state).toBe('connected');
  });

  it('each restart that follows soon waits twice as long as the one before', async () => {
    const engine = await engineOf();
    for (const leastMs of [250, 500, 1000]) {
      const before = workers.length;
      const startedAt = performance.now();
      await workers.at(-1)!.terminate();
      await vi.waitFor(() => expect(workers.length).toBe(before + 1), WAIT);
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(leastMs);
      await policyChange(engine);
    }
  });

  it('it may be by what it throws: told in one line, and it is not the embedder’s to catch', async () => {
    const engine = await engineOf();
    const policy = policyChange(engine);
    engine.post({ kind: 'udp-bind', socket: 1, family: 4, port: 0, address: { family: 4 } as IpAddress });
    await policy;
    const { reason } = engine.mirror.policy;
    expect(reason).toMatchObject({ code: 'ERR_ENGINE', message: expect.stringMatching(/^The tunnel’s engine .*\.$/) });
    expect(reason!.message).not.toContain('\n');
  });
});

describe('a thread that is closed', () => {
  it('is gone when close resolves', async () => {
    const tunnel = await tunnelOf();
    const worker = workers.at(-1)!;
    await tunnel.close();
    expect(worker.threadId).toBe(-1);
  });

  it('does not come back when it is closed right after a crash', async () => {
    const tunnel = await tunnelOf();
    await crash(tunnel);
    const before = workers.length;
    await tunnel.close();
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(workers.length).toBe(before);
  });

  it('leaves the timestamps of its handshakes on disk, for the next one', async () => {
    const wireguard = parseWireGuardConfig(sandbox.addClient().conf);
    for (let openings = 0; openings < 2; openings++) {
      const tunnel = await tunnelOf({ wireguard, stateDir });
      expect(tunnel.status().tunnel.handshakes).toBe(1);
      await tunnel.close();
    }
  });
});

describe('a process with an idle tunnel on a worker', () => {
  const run = async (what: 'exit' | 'stay' | 'close'): Promise<number | string> => {
    const child = fork(new URL('./idle-process.mjs', import.meta.url), [sandbox.addClient().conf, what], {
      execArgv: [],
      stdio: 'inherit',
    });
    try {
      await once(child, 'message');
      const exited = once(child, 'exit').then(([code]) => code as number);
      if (what !== 'stay') return await exited;
      return await Promise.race([exited, new Promise<string>((resolve) => setTimeout(resolve, 1_500, 'stays'))]);
    } finally {
      child.kill('SIGKILL');
    }
  };

  it('goes on running, as with an engine on its own thread', async () => {
    expect(await run('stay')).toBe('stays');
  });

  it('ends by process.exit, which waits for no thread', async () => {
    expect(await run('exit')).toBe(7);
  });

  it('ends by itself when the tunnel is closed', async () => {
    expect(await run('close')).toBe(0);
  });
});

async function engineOf(): Promise<WorkerEngine> {
  const description: EngineDescription = {
    configurations: [parseWireGuardConfig(sandbox.addClient().conf)],
    guard: {},
    lease: { provider: 'none' },
  };
  const engine = await WorkerEngine.open(() => description);
  open.push(engine);
  return engine;
}

function policyChange(engine: WorkerEngine): Promise<void> {
  return new Promise((resolve) => {
    engine.onTunnelEvent = (event: EngineEvent) => {
      if (event.kind === 'guard' && event.output.kind === 'policy') resolve();
    };
  });
}
