/** `sluice up` as people run it: a process of its own, against the sandbox, with real signals. */
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sandbox } from '../../src/sandbox/index.ts';
import { misfits } from '../support/status-schema.ts';
import { built, Up, type UpOptions } from './daemon-process.ts';
import { sluice } from './support.ts';

const PATIENCE = { timeout: 15_000 };

let provider: Sandbox;
let folder: string;
const processes: Up[] = [];

beforeAll(async () => {
  provider = await Sandbox.start();
});
afterAll(() => provider.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-up-'));
});
afterEach(async () => {
  for (const { child } of processes.splice(0)) child.kill('SIGKILL');
  provider.faults.clear();
  provider.exitEcho.lie = undefined;
  provider.exitEcho.silent = false;
  await rm(folder, { recursive: true });
});

const stateDir = (): string => join(folder, 'state');

function up(options: Partial<UpOptions> = {}): Up {
  const process = new Up({ stateDir: stateDir(), ...options });
  processes.push(process);
  return process;
}

/** The file of a new client. */
async function confOf(client: { readonly conf: string }): Promise<string> {
  const path = join(folder, 'client.conf');
  await writeFile(path, client.conf, { mode: 0o600 });
  return path;
}

const cli = (...argv: string[]) => sluice(argv, { env: { SLUICE_TUNNEL_STATE_DIR: stateDir() } });

describe.skipIf(!built)('sluice up', () => {
  it('comes up blocked without any configuration, and says what to do', async () => {
    const daemon = await up().running();
    const { json } = await daemon.ask();
    expect(misfits(json)).toEqual([]);
    expect(json).toMatchObject({ state: 'blocked', reason: { code: 'unconfigured' }, killswitch: { engaged: true } });
    expect(json.reason.hint).toContain('sluice up FILE.conf');
    expect(await daemon.ask({ path: '/readyz' })).toMatchObject({ status: 503, json: { state: 'blocked' } });
    expect(await daemon.ask({ method: 'POST', path: '/api/v1/probe' })).toMatchObject({
      status: 503,
      json: { error: { code: 'ERR_NO_TUNNEL' } },
    });
    expect((await cli('status')).code).toBe(4);
    daemon.signal('SIGINT');
    expect(await daemon.exit).toBe(0);
    expect((await cli('status')).code).toBe(6);
  });

  it('ends in order at SIGTERM under load: exit 0, and the port is given back', async () => {
    const client = provider.addClient();
    const daemon = await up({ args: [await confOf(client), '--port-forward', 'natpmp'] }).running();
    await daemon.until(/"message":"Port \d+ is forwarded\."/);
    expect(client.stats().ports).not.toEqual([]);
    const load = putUnderLoad(daemon);
    await vi.waitFor(() => expect(load.answers()).toBeGreaterThan(20), PATIENCE);
    daemon.signal('SIGTERM');
    expect(await daemon.exit).toBe(0);
    load.stop();
    expect(client.stats().ports).toEqual([]);
    expect(daemon.err).toBe('');
    expect(daemon.logged(/^(Stopping|Stopped)/).map(({ message }) => message)).toEqual(['Stopping.', 'Stopped.']);
    expect((await readdir(stateDir())).filter((name) => name === 'api-address' || name.endsWith('.tmp'))).toEqual([]);
  });

  it('ends in order when nobody reads its log any more: exit 0, and the port is given back', async () => {
    const client = provider.addClient({ ipv6: false });
    const daemon = await up({
      args: [await confOf(client), '--port-forward', 'natpmp'],
      env: { SLUICE_PROBE_URLS: provider.echoUrl, SLUICE_LOG_LEVEL: 'debug' },
    }).running();
    await daemon.until(/is forwarded/);
    await daemon.until(/exit address is/);
    daemon.child.stdout!.destroy();
    await daemon.ask({ method: 'POST', path: '/api/v1/probe' }).catch(() => {});
    expect(await daemon.exit).toBe(0);
    expect(client.stats().ports).toEqual([]);
  });

  it('ends at once at the second signal', async () => {
    const daemon = await up({ args: [await confOf(provider.addClient()), '--port-forward', 'natpmp'] }).running();
    await daemon.until(/is forwarded/);
    provider.faults.silent = true;
    daemon.signal('SIGTERM');
    await daemon.until(/"message":"Stopping\."/);
    daemon.signal('SIGTERM');
    expect(await daemon.exit).toBe(143);
    expect(daemon.logged(/Stopped/)).toEqual([]);
  });

  it('comes back by itself after kill -9: the same key for the API, a new handshake, the port', async () => {
    const args = [await confOf(provider.addClient()), '--port-forward', 'natpmp'];
    const first = await up({ args }).running();
    await first.until(/is forwarded/);
    const key = await readFile(join(stateDir(), 'api-key'), 'utf8');
    first.signal('SIGKILL');
    await first.exit;
    expect((await cli('status')).code).toBe(6);
    const second = await up({ args }).running();
    await second.until(/is forwarded/);
    expect((await second.ask({ path: '/readyz' })).status).toBe(200);
    expect(await readFile(join(stateDir(), 'api-key'), 'utf8')).toBe(key);
    expect((await cli('status')).code).toBe(0);
  });

  it('remembers a leak through kill -9, and lets nothing flow until a person accepts the exit', async () => {
    const args = [await confOf(provider.addClient({ ipv6: false }))];
    const env = { SLUICE_PROBE_URLS: provider.echoUrl, SLUICE_PROBE_EXPECTED: '203.0.113.10' };
    const first = await up({ args, env }).running();
    await first.until(/traffic flows/);
    provider.exitEcho.lie = '198.51.100.77';
    expect((await cli('probe')).code).toBe(5);
    first.signal('SIGKILL');
    await first.exit;
    provider.exitEcho.silent = true;
    const second = await up({ args, env }).running();
    await vi.waitFor(async () => expect((await second.ask()).json.tunnel.handshakes).toBeGreaterThan(0), PATIENCE);
    expect((await second.ask({ path: '/readyz' })).json).toEqual({ state: 'blocked' });
    expect((await cli('status')).code).toBe(5);
    provider.exitEcho.silent = false;
    expect((await cli('probe', '--accept')).code).toBe(0);
    expect((await second.ask({ path: '/readyz' })).status).toBe(200);
  });

  it('refuses to run twice with one key and one state folder, and leaves the first alone', async () => {
    const args = [await confOf(provider.addClient())];
    const first = await up({ args }).running();
    const second = up({ args });
    expect(await second.exit).toBe(1);
    expect(second.err).toMatch(/^error: .+\n[\s\S]*code: ERR_STATE_LOCKED\n$/);
    expect((await first.ask({ path: '/healthz' })).status).toBe(200);
    expect((await cli('port')).err).toContain('not forwarded');
  });

  it('says which address is taken, and what to do', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const daemon = up({ args: ['--listen', `127.0.0.1:${port}`] });
    expect(await daemon.exit).toBe(1);
    expect(daemon.err).toMatch(
      new RegExp(`^error: The API cannot listen on 127\\.0\\.0\\.1:${port}: another program does so already\\.\n`),
    );
    expect(daemon.err).toMatch(/ {2}next: .*--listen[\s\S]* code: ERR_API_LISTEN\n$/);
    taken.close();
  });

  it('says so in one sentence if the state folder cannot be used', async () => {
    await writeFile(stateDir(), '');
    const daemon = up();
    expect(await daemon.exit).toBe(1);
    expect(daemon.err).toMatch(
      /^error: The state folder \S+ cannot be made: it is a file, not a folder\.\n[\s\S]*code: ERR_STATE_DIR\n$/,
    );
  });

  it('says so in one sentence if the disk is full', async () => {
    const daemon = up({ before: 'ulimit -f 0' });
    expect(await daemon.exit).toBe(1);
    expect(daemon.err).toMatch(
      /^error: The state folder \S+ cannot be written: the disk is full\.\n[\s\S]*code: ERR_STATE_DIR\n$/,
    );
  });

  it('exits with 3 for a configuration that is wrong, before anything is opened', async () => {
    const conf = await confOf(provider.addClient());
    await writeFile(join(folder, 'bad.conf'), 'hello');
    const bad = up({ args: [join(folder, 'bad.conf')] });
    expect(await bad.exit).toBe(3);
    expect(bad.err).toMatch(/bad\.conf:1: /);
    const missing = up({ args: [conf], env: { SLUICE_WIREGUARD_FALLBACK: '/nowhere.conf' } });
    expect(await missing.exit).toBe(3);
    expect(missing.err).toContain('/nowhere.conf does not exist');
    const wrong = up({ env: { SLUICE_KILLSWITCH_ENABLED: 'maybe' } });
    expect(await wrong.exit).toBe(3);
    expect(wrong.err).toMatch(/^error: SLUICE_KILLSWITCH_ENABLED: expected true or false, got “maybe”\.\n/);
    expect(await readdir(folder)).toEqual(['bad.conf', 'client.conf']);
  });

  it('logs a failure that nobody foresaw, and ends with 1: nothing flows without its guard', async () => {
    const failure = 'data:text/javascript,process.on("SIGUSR2", () => Promise.reject(new Error("boom")))';
    const daemon = await up({ args: [await confOf(provider.addClient())], nodeArgs: ['--import', failure] }).running();
    daemon.signal('SIGUSR2');
    expect(await daemon.exit).toBe(1);
    expect(daemon.logged(/not foreseen/)).toMatchObject([{ level: 'fatal', error: { message: 'boom' } }]);
  });

  it('never shows a key: log at every level, API, command line, state folder (G17, F28)', async () => {
    const client = provider.addClient({ presharedKey: true });
    const daemon = await up({
      args: [await confOf(client), '--port-forward', 'natpmp'],
      env: { SLUICE_LOG_LEVEL: 'trace', SLUICE_DEBUG: '1' },
    }).running();
    await daemon.until(/is forwarded/);
    const outputs: string[] = [];
    for (const path of ['/api/v1/status', '/api/v1/port-forward', '/healthz', '/readyz', '/nowhere'])
      outputs.push(JSON.stringify(await daemon.ask({ path })));
    for (const argv of [['status'], ['status', '--json'], ['port'], ['port', '--json'], ['probe']]) {
      const { out, err } = await cli(...argv);
      outputs.push(out, err);
    }
    const apiKey = (await readFile(join(stateDir(), 'api-key'), 'utf8')).trim();
    daemon.signal('SIGTERM');
    expect(await daemon.exit).toBe(0);
    for (const name of await readdir(stateDir()))
      if (name !== 'api-key') outputs.push(name, await readFile(join(stateDir(), name), 'utf8'));
    outputs.push(daemon.out, daemon.err);
    const all = outputs.join('\n');
    expect(all).toContain(provider.endpoint);
    for (const secret of secretsOf(client.conf)) expect(all).not.toContain(secret);
    expect(all).not.toContain(apiKey);
  });
});

/** Requests without a pause, open streams, and datagrams through the tunnel to the forwarded port. */
function putUnderLoad(daemon: Up): { answers(): number; stop(): void } {
  let answers = 0;
  let stopped = false;
  const again = async (path: string): Promise<void> => {
    while (!stopped) {
      await daemon.ask({ path }).catch(() => {
        stopped = true;
      });
      answers++;
    }
  };
  for (const path of ['/api/v1/status', '/api/v1/status', '/readyz', '/api/v1/events', '/api/v1/events'])
    void again(path);
  const host = provider.addHost();
  const socket = host.dgram.createSocket('udp4');
  const port = daemon.logged(/is forwarded/)[0]!['port'] as number;
  const flood = setInterval(() => {
    for (let i = 0; i < 50; i++) socket.send(Buffer.alloc(1_200), port, provider.exitAddresses[0]!);
  }, 2);
  return {
    answers: () => answers,
    stop() {
      stopped = true;
      clearInterval(flood);
      socket.close();
      void host.close();
    },
  };
}

/** Private and preshared key of a `.conf`, in every usual form. */
function secretsOf(conf: string): string[] {
  const keys = [...conf.matchAll(/^(?:PrivateKey|PresharedKey) = (\S+)$/gm)].map((match) =>
    Buffer.from(match[1]!, 'base64'),
  );
  expect(keys).toHaveLength(2);
  return keys.flatMap((key) => [
    key.toString('base64').replace(/=$/, ''),
    key.toString('base64url'),
    key.toString('hex'),
    key.toString('hex').toUpperCase(),
  ]);
}
