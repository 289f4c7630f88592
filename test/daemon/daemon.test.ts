/** The daemon against the sandbox: its status in every state, and the order of its end. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sandbox } from '../../src/sandbox/index.ts';
import { misfits } from '../support/status-schema.ts';
import { type Running, type Start, startDaemon } from './support.ts';

/** For what waits for other threads of this host. */
const PATIENCE = { timeout: 15_000 };

let provider: Sandbox;
let folder: string;
let running: Running | undefined;

beforeAll(async () => {
  provider = await Sandbox.start();
});
afterAll(() => provider.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-daemon-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  provider.faults.clear();
  provider.exitEcho.lie = undefined;
  await running?.daemon.close();
  running = undefined;
  await rm(folder, { recursive: true });
});

async function start(options: Partial<Start> = {}): Promise<Running> {
  running = await startDaemon({
    stateDir: folder,
    conf: provider.addClient({ ipv6: false }).conf,
    ...options,
    env: { SLUICE_PROBE_URLS: provider.echoUrl, SLUICE_PROBE_EXPECTED: '203.0.113.10', ...options.env },
  });
  return running;
}

/** Finds a leak, as a probe does when the exit is another one than before. */
async function leak(): Promise<void> {
  await running!.daemon.tunnel!.ready();
  provider.exitEcho.lie = '192.0.2.7';
  await running!.daemon.tunnel!.probe();
}

/** How to bring a daemon into each state. */
const STATES: Record<string, () => Promise<unknown>> = {
  connecting: async () => {
    provider.faults.silent = true;
    await start();
  },
  connected: async () => (await start()).daemon.tunnel!.ready(),
  disabled: () => start({ env: { SLUICE_TUNNEL_ENABLED: 'false' } }),
  reconnecting: async () => {
    const { tunnel } = (await start()).daemon;
    await tunnel!.ready();
    provider.faults.silent = true;
    await tunnel!.setEnabled(false);
    await tunnel!.setEnabled(true);
  },
  blocked: async () => {
    await start();
    await leak();
  },
  degraded: async () => {
    await start({ env: { SLUICE_KILLSWITCH_ENABLED: 'false' } });
    await leak();
  },
  error: async () => {
    // The clock of this thread: a worker has its own.
    vi.stubEnv('SLUICE_ENGINE', 'inline');
    vi.spyOn(Date, 'now').mockReturnValue(0);
    await start();
  },
};

describe('the status over HTTP', () => {
  it.each(Object.keys(STATES))('fits the documented type, and has a sentence to act on: %s', async (state) => {
    await STATES[state]!();
    await vi.waitFor(async () => expect((await running!.ask({ path: '/readyz' })).json).toEqual({ state }), PATIENCE);
    const { status, json } = await running!.ask();
    expect([status, misfits(json)]).toEqual([200, []]);
    expect(json.state).toBe(state);
    if (state === 'connected') expect(json.reason).toBeNull();
    else {
      expect(json.reason.message).toMatch(/^[A-Z].{20,}\.$/);
      expect(json.reason.hint).toMatch(/^[A-Z].{10,}\.$/);
    }
    const ready = (await running!.ask({ path: '/readyz', headers: {} })).status;
    expect(ready).toBe(state === 'connected' || state === 'degraded' ? 200 : 503);
  });

  it('says that nothing is configured, if nothing is', async () => {
    running = await startDaemon({ stateDir: folder });
    const { json } = await running.ask();
    expect(misfits(json)).toEqual([]);
    expect(json).toMatchObject({ state: 'blocked', reason: { code: 'unconfigured' }, tunnel: { endpoint: null } });
    expect(running.daemon.tunnel).toBeUndefined();
    expect(running.lines.at(-1)).toMatchObject({ level: 'warn', hint: expect.stringContaining('sluice up FILE.conf') });
  });
});

describe('a state folder that goes bad while the daemon runs', () => {
  it('is told with what to do, and traffic flows on', async () => {
    provider.faults.silent = true;
    await start({ env: { SLUICE_PROBE_EXPECTED: '' } });
    // The engine's thread has written what it keeps there: from now on nobody does until the exit is learnt.
    const timestamps = expect.arrayContaining([expect.stringMatching(/^timestamp-[0-9a-f]{32}$/)]);
    await vi.waitFor(async () => expect(await readdir(folder)).toEqual(timestamps), PATIENCE);
    await rm(folder, { recursive: true });
    await writeFile(folder, 'in its place');
    provider.faults.silent = false;
    await vi.waitFor(async () => expect((await running!.ask()).json.reason?.code).toBe('ERR_STATE_DIR'), PATIENCE);
    const { json } = await running!.ask();
    expect(misfits(json)).toEqual([]);
    expect(json).toMatchObject({ state: 'connected', reason: { message: expect.stringContaining(folder) } });
    expect((await running!.ask({ path: '/readyz' })).status).toBe(200);
  });
});

describe('events of the tunnel', () => {
  it('are lines of the log: the way up, the port, the way down', async () => {
    const { daemon, lines } = await start({ env: { SLUICE_PORT_FORWARD_PROVIDER: 'natpmp' } });
    await vi.waitFor(
      () => expect(lines.some(({ message }) => /^Port \d+ is forwarded/.test(String(message)))).toBe(true),
      PATIENCE,
    );
    await daemon.tunnel!.setEnabled(false);
    await daemon.close();
    const told = lines.map(({ level, message }) => `${level}: ${message}`);
    expect(told).toContain('info: The tunnel is up; traffic flows.');
    expect(told).toContain('warn: The killswitch is engaged.');
    expect(told).toContain('warn: The VPN is switched off; nothing flows.');
    expect(told.slice(-2)).toEqual(['info: The tunnel is disabled.', 'info: Stopped.']);
  });
});

describe('the end', () => {
  it('gives the port back while a download runs, then closes the tunnel, then the API', async () => {
    const client = provider.addClient();
    const { daemon, ask } = await start({ conf: client.conf, env: { SLUICE_PORT_FORWARD_PROVIDER: 'natpmp' } });
    await vi.waitFor(() => expect(client.stats().ports).not.toEqual([]), PATIENCE);
    const download = endlessDownload(daemon);
    await vi.waitFor(() => expect(download.bytes()).toBeGreaterThan(300_000), PATIENCE);
    const closed = daemon.close();
    expect(daemon.close()).toBe(closed);
    expect((await ask({ path: '/readyz' })).status).toBeGreaterThan(0);
    await closed;
    await download.ended;
    expect(client.stats().ports).toEqual([]);
    expect(daemon.tunnel!.status().state).toBe('disabled');
    await expect(ask()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('leaves nothing open if the tunnel cannot be opened', async () => {
    const conf = provider
      .addClient()
      .conf.replace(/^DNS.*\n/m, '')
      .replace(/^Address.*$/m, 'Address = fd00::2/128');
    const socket = join(folder, 'api.sock');
    const env = { SLUICE_PORT_FORWARD_PROVIDER: 'natpmp', SLUICE_API_LISTEN: socket };
    await expect(start({ conf, env })).rejects.toMatchObject({ code: 'ERR_CONFIG_VALUE' });
    expect((await readdir(folder)).filter((name) => name !== 'api-key' && !name.startsWith('timestamp-'))).toEqual([]);
  });
});

/** A host that sends without an end, read through the tunnel. */
function endlessDownload({ tunnel }: Running['daemon']): { bytes(): number; readonly ended: Promise<void> } {
  const host = provider.addHost();
  const server = host.net.createServer((socket) => {
    const chunk = Buffer.alloc(64 * 1024);
    const pump = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', pump).on('error', () => {});
    pump();
  });
  let bytes = 0;
  const ended = new Promise<void>((resolve) => {
    server.listen(80, () => {
      const socket = tunnel!.net.connect({ host: host.address, port: 80 });
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      socket.on('error', () => {}).on('close', () => resolve());
    });
  });
  return { bytes: () => bytes, ended: ended.then(() => host.close()) };
}
