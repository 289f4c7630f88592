/** `sluice status`, `probe` and `port` against a daemon in this process. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Sandbox } from '../../src/sandbox/index.ts';
import { type Running, startDaemon } from '../daemon/support.ts';
import { misfits } from '../support/status-schema.ts';
import { type Surroundings, sluice } from './support.ts';

let provider: Sandbox;
let folder: string;
let running: Running | undefined;

beforeAll(async () => {
  provider = await Sandbox.start();
});
afterAll(() => provider.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-commands-'));
});
afterEach(async () => {
  await running?.daemon.close();
  running = undefined;
  provider.exitEcho.lie = undefined;
  await rm(folder, { recursive: true });
});

const cli = (argv: readonly string[], surroundings: Surroundings = {}) =>
  sluice(argv, { ...surroundings, env: { SLUICE_TUNNEL_STATE_DIR: folder } });

async function start(env: Record<string, string> = {}): Promise<Running> {
  running = await startDaemon({
    stateDir: folder,
    conf: provider.addClient({ ipv6: false }).conf,
    env: { SLUICE_PROBE_URLS: provider.echoUrl, SLUICE_PROBE_EXPECTED: '203.0.113.10', ...env },
  });
  await running.daemon.tunnel!.ready();
  return running;
}

describe('without a daemon', () => {
  it.each([['status'], ['probe'], ['port'], ['status', '--watch']])(
    'sluice %s exits with 6 and says how to start one',
    async (...argv) => {
      const { code, out, err } = await cli(argv);
      expect([code, out]).toEqual([6, '']);
      expect(err).toContain(`No daemon is running with the state folder ${folder}.`);
      expect(err).toContain('sluice up FILE.conf');
      const json = await cli([...argv, '--json']);
      expect(JSON.parse(json.out)).toMatchObject({ error: { code: 'ERR_NO_DAEMON' } });
    },
  );

  it('takes another state folder by an option', async () => {
    expect((await cli(['status', '--state-dir', '/nowhere'])).err).toContain('/nowhere');
  });

  it('exits with 1 if something else answers there', async () => {
    const stranger = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
    await new Promise((resolve) => stranger.once('listening', resolve));
    const { port } = stranger.address() as { port: number };
    await writeFile(join(folder, 'api-address'), `127.0.0.1:${port}\n`);
    await writeFile(join(folder, 'api-key'), 'a-key-of-the-tests\n');
    const { code, err } = await cli(['status']);
    expect(code).toBe(1);
    expect(err).toContain('ERR_DAEMON_ANSWER');
    stranger.close();
  });

  it('exits with 1 if the key is not the daemon’s', async () => {
    await start();
    await writeFile(join(folder, 'api-key'), 'another-key-of-the-tests\n');
    const { code, err } = await cli(['status']);
    expect(code).toBe(1);
    expect(err).toMatch(/no valid API key[\s\S]*ERR_DAEMON_ANSWER/);
  });
});

describe('sluice status', () => {
  it('shows the facts, aligned, and exits with 0 while traffic may flow', async () => {
    await start();
    const { code, out, err } = await cli(['status']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^Sluice {6}0\.\d+\.\d+, connected for \d+ s\n/);
    expect(out).toContain(`\nTunnel      ${provider.endpoint}, handshake `);
    expect(out).toContain('\nKillswitch  on, not engaged\n');
    expect(
      new Set(
        out
          .trimEnd()
          .split('\n')
          .map((line) => /^(\S*\s+)/.exec(line)![1]!.length),
      ).size,
    ).toBe(1);
  });

  it('prints the snapshot as one line of JSON', async () => {
    await start();
    const { code, out } = await cli(['status', '--json']);
    expect(code).toBe(0);
    expect(misfits(JSON.parse(out))).toEqual([]);
    expect(out.trimEnd()).not.toContain('\n');
  });

  it('exits with 4 while nothing may flow, and says why and what to do', async () => {
    const { daemon } = await start();
    await daemon.tunnel!.setEnabled(false);
    const { code, out } = await cli(['status']);
    expect(code).toBe(4);
    expect(out).toContain('The VPN is switched off');
    expect(out).toContain('Next: Switch it on');
  });

  it('shows it anew every second with --watch, until Ctrl-C, which is a good end', async () => {
    await start();
    const stopping = new AbortController();
    const { code, out } = await cli(['status', '--watch', '--json'], {
      stop: stopping.signal,
      onOutput: (text) => text.split('\n').length > 2 && stopping.abort('SIGINT'),
    });
    expect(code).toBe(0);
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).state),
    ).toEqual(['connected', 'connected']);
  });
});

describe('sluice probe', () => {
  it('exits with 0 when the exit is the expected one', async () => {
    await start();
    const { code, out } = await cli(['probe']);
    expect(out).toContain('203.0.113.10');
    expect(code).toBe(0);
    expect(JSON.parse((await cli(['probe', '--json'])).out)).toMatchObject({ verdict: 'ok' });
  });

  it('exits with 5 for a leak, as status does then, until a person accepts the exit', async () => {
    await start();
    provider.exitEcho.lie = '192.0.2.7';
    const found = await cli(['probe']);
    expect(found.out).toMatch(/LEAK.*192\.0\.2\.7/);
    expect(found.code).toBe(5);
    const status = await cli(['status']);
    expect(status.code).toBe(5);
    expect(status.out).toContain('sluice probe --accept');
    const accepted = await cli(['probe', '--accept']);
    expect(accepted.code).toBe(0);
    expect((await cli(['status'])).code).toBe(0);
  });
});

describe('sluice port', () => {
  it('prints the number alone on standard output', async () => {
    await start({ SLUICE_PORT_FORWARD_PROVIDER: 'static', SLUICE_PORT_FORWARD_PORT: '54321' });
    const { code, out, err } = await cli(['port']);
    expect([code, out]).toEqual([0, '54321\n']);
    expect(err).toMatch(/^Port: 54321 \(TCP and UDP, static\); from outside: \w+\n$/);
    expect(JSON.parse((await cli(['port', '--json'])).out)).toMatchObject({ state: 'mapped', port: 54_321 });
  });

  it('exits with 1 if there is none', async () => {
    await start();
    expect(await cli(['port'])).toEqual({ code: 1, out: '', err: 'Port: not forwarded\n' });
  });
});

describe('the key in the state folder', () => {
  it('is what the command line sends, and is not shown by it', async () => {
    await start();
    const key = (await readFile(join(folder, 'api-key'), 'utf8')).trim();
    const { out, err } = await cli(['status', '--json']);
    expect(out + err).not.toContain(key);
  });
});
