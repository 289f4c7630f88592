/** The API over real sockets on loopback: what CONTRACT.md promises under HTTP. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ROUTES } from '../../src/api/routes.ts';
import { SluiceError } from '../../src/core/base/errors.ts';
import { GUARD_STATES } from './states.ts';
import { ask, askRaw, KEY, PROBE, type Served, serve } from './support.ts';

let served: Served;
beforeEach(async () => {
  served = await serve();
});
afterEach(() => served.server.close());

const PROTECTED = [
  ...ROUTES.filter((route) => !route.public).map(({ method, path }) => [method, path] as const),
  ['GET', '/api/v1/events'] as const,
];

describe('routes', () => {
  it('answers /healthz without a credential and without state', async () => {
    const { status, json } = await ask(served.port, { path: '/healthz', key: false });
    expect([status, json]).toEqual([200, { status: 'ok' }]);
  });

  it.each(GUARD_STATES)('answers /readyz with the state word alone: %s is %i', async (state, expected) => {
    served.source.state = state;
    const { status, json } = await ask(served.port, { path: '/readyz', key: false });
    expect([status, json]).toEqual([expected, { state }]);
  });

  it('answers the snapshot, and the forwarded port alone', async () => {
    expect((await ask(served.port)).json).toEqual(served.source.status());
    expect((await ask(served.port, { path: '/api/v1/port-forward' })).json).toEqual({ port: 54_321 });
  });

  it('answers HEAD like GET, without a body', async () => {
    const { status, text, headers } = await ask(served.port, { method: 'HEAD' });
    expect([status, text, headers['content-type']]).toEqual([200, '', 'application/json']);
  });

  it('never lets an answer be stored, whatever it is', async () => {
    for (const path of ['/healthz', '/api/v1/status', '/nowhere', '/%zz'])
      expect((await ask(served.port, { path })).headers['cache-control']).toBe('no-store');
    expect((await ask(served.port, { key: false })).headers['cache-control']).toBe('no-store');
  });

  it('answers a probe when it is done; accepts the exit only when told so', async () => {
    const { status, json } = await ask(served.port, { method: 'POST', path: '/api/v1/probe' });
    expect([status, json]).toEqual([200, PROBE]);
    expect(served.source.calls).toEqual(['probe']);
    for (const body of ['{"accept":true}', '{"accept":false}', '{}'])
      await ask(served.port, {
        method: 'POST',
        path: '/api/v1/probe',
        headers: { 'Content-Type': 'application/json' },
        body,
      });
    expect(served.source.calls).toEqual(['probe', 'acceptExit', 'probe', 'probe']);
  });
});

describe('credentials', () => {
  it.each(PROTECTED)('needs one for %s %s, on loopback too', async (method, path) => {
    const { status, json, headers } = await ask(served.port, { method, path, key: false });
    expect([status, json.error.code]).toEqual([401, 'ERR_API_UNAUTHORIZED']);
    expect(headers['www-authenticate']).toMatch(/^Bearer/);
    expect(served.source.calls).toEqual([]);
  });

  it.each<[string, Record<string, string | string[]>]>([
    ['a bearer token', { Authorization: `Bearer ${KEY}` }],
    ['a bearer token in any case', { Authorization: `bearer  ${KEY}` }],
    ['X-Api-Key', { 'X-Api-Key': KEY }],
    ['X-Api-Key, where a proxy uses Authorization (RP10)', { Authorization: 'Basic YTpi', 'X-Api-Key': KEY }],
  ])('takes %s', async (_, headers) => {
    expect((await ask(served.port, { key: false, headers })).status).toBe(200);
  });

  it.each<[string, Record<string, string | string[]>]>([
    ['a wrong key', { 'X-Api-Key': `${KEY}x` }],
    ['a part of the key', { 'X-Api-Key': KEY.slice(0, -1) }],
    ['an empty key', { 'X-Api-Key': '' }],
    ['the key twice', { 'X-Api-Key': [KEY, KEY] }],
    ['another scheme', { Authorization: `Basic ${Buffer.from(`x:${KEY}`).toString('base64')}` }],
    ['the bare key', { Authorization: KEY }],
    ['a cookie', { Cookie: `session=${KEY}` }],
  ])('does not take %s', async (_, headers) => {
    expect((await ask(served.port, { key: false, headers })).status).toBe(401);
  });

  it('does not take the key from the address', async () => {
    for (const name of ['api_key', 'key', 'token', 'apikey', 'access_token'])
      expect((await ask(served.port, { key: false, path: `/api/v1/status?${name}=${KEY}` })).status).toBe(401);
  });

  it('does not say what exists to those who have none', async () => {
    expect((await ask(served.port, { key: false, path: '/nowhere' })).status).toBe(401);
    expect((await ask(served.port, { key: false, method: 'DELETE' })).status).toBe(401);
    for (const path of ['/healthz/', '/HEALTHZ', '//healthz', '/healthz/../api/v1/status', '/readyz%2f..%2fapi'])
      expect((await ask(served.port, { key: false, path })).status).toBe(401);
  });
});

describe('the Host header', () => {
  it.each(['evil.example', `evil.example:8787`, 'localhost.evil.example', '192.0.2.1'])(
    'is refused when it is %s, key or not, also on public routes',
    async (Host) => {
      for (const path of ['/api/v1/status', '/healthz', '/readyz', '/nowhere']) {
        const { status, json } = await ask(served.port, { path, headers: { Host } });
        expect([status, json.error.code]).toEqual([403, 'ERR_API_HOST']);
      }
    },
  );

  it('is looked at on ::1 as well', async () => {
    const other = await serve('[::1]:0').catch(() => undefined);
    if (!other) return console.warn('skipped: Host on ::1, this host has no IPv6 loopback');
    expect((await ask(other.port, { host: '::1', headers: { Host: 'evil.example' } })).status).toBe(403);
    expect((await ask(other.port, { host: '::1', headers: { Host: `[::1]:${other.port}` } })).status).toBe(200);
    expect((await ask(other.port, { host: '::1', headers: { Host: 'localhost' } })).status).toBe(200);
    await other.server.close();
  });

  it.each([
    ['none (RFC 9112 §3.2)', ''],
    ['two', 'Host: localhost\r\nHost: evil.example\r\n'],
    ['an empty one', 'Host:\r\n'],
    ['no host', 'Host: a b\r\n'],
  ])('makes a request with %s malformed', async (_, lines) => {
    const answer = await askRaw(served.port, `GET /healthz HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*ERR_API_REQUEST/);
  });

  it('cannot be overridden by a target with a host of its own (RFC 9112 §3.2.2)', async () => {
    const head = `GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    expect(await askRaw(served.port, head)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('is not taken from what a proxy says', async () => {
    const { status } = await ask(served.port, { headers: { Host: 'evil.example', 'X-Forwarded-Host': 'localhost' } });
    expect(status).toBe(403);
  });
});

describe('what is not answered', () => {
  it.each(['/', '/nowhere', '/api/v1/status/', '/api/v2/status', '/api/v1/Status', '/api/v1/status%20'])(
    'is %s: 404',
    async (path) => {
      const { status, json } = await ask(served.port, { path });
      expect([status, json.error.code]).toEqual([404, 'ERR_API_NOT_FOUND']);
      expect(Object.keys(json.error)).toEqual(['code', 'message', 'hint']);
    },
  );

  it.each([
    ['POST', '/api/v1/status', 'GET, HEAD'],
    ['DELETE', '/api/v1/status', 'GET, HEAD'],
    ['GET', '/api/v1/probe', 'POST'],
    ['POST', '/api/v1/events', 'GET'],
    ['HEAD', '/api/v1/events', 'GET'],
    ['PUT', '/healthz', 'GET, HEAD'],
  ])('is %s %s: 405', async (method, path, allow) => {
    const { status, headers } = await ask(served.port, { method, path });
    expect([status, headers.allow]).toEqual([405, allow]);
    expect(served.source.calls).toEqual([]);
  });

  it('is another origin’s question, with or without a preflight: there is no CORS', async () => {
    const origin = { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' };
    for (const asked of [
      { method: 'OPTIONS', path: '/api/v1/probe' },
      { path: '/api/v1/status' },
      { path: '/healthz' },
    ]) {
      const { headers } = await ask(served.port, { ...asked, headers: origin });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
    expect(
      (await ask(served.port, { method: 'OPTIONS', path: '/api/v1/probe', key: false, headers: origin })).status,
    ).toBe(401);
  });

  it.each<[string, string, string, number, string]>([
    ['JSON that is none', 'application/json', '{"accept":', 400, 'ERR_API_REQUEST'],
    ['another type of value', 'application/json', '{"accept":"yes"}', 400, 'ERR_API_REQUEST'],
    ['an unknown field', 'application/json', '{"acept":true}', 400, 'ERR_API_REQUEST'],
    ['a list', 'application/json', '[true]', 400, 'ERR_API_REQUEST'],
    ['a value that is no object', 'application/json', '7', 400, 'ERR_API_REQUEST'],
    ['a key of the prototype', 'application/json', '{"__proto__":{"accept":true}}', 400, 'ERR_API_REQUEST'],
    ['text, which a form can send across origins', 'text/plain', '{"accept":true}', 415, 'ERR_API_MEDIA_TYPE'],
    ['a form', 'application/x-www-form-urlencoded', 'accept=true', 415, 'ERR_API_MEDIA_TYPE'],
    [
      'more than 16 KiB in chunks',
      'application/json',
      `{"accept":${' '.repeat(17_000)}true}`,
      413,
      'ERR_API_TOO_LARGE',
    ],
    ['more than 16 KiB', 'application/json', `{"accept":${' '.repeat(17_000)}true}`, 413, 'ERR_API_TOO_LARGE'],
  ])('is a body that is %s', async (name, type, body, expected, code) => {
    const { status, json } = await ask(served.port, {
      method: 'POST',
      path: '/api/v1/probe',
      headers: {
        'Content-Type': type,
        ...(name.endsWith('chunks') ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
      },
      body,
    });
    expect([status, json.error.code]).toEqual([expected, code]);
    expect(served.source.calls).toEqual([]);
  });

  it('is what is no HTTP at all', async () => {
    expect(await askRaw(served.port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*ERR_API_REQUEST/);
    const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
    expect(await askRaw(served.port, long)).toMatch(/^HTTP\/1\.1 431 [\s\S]*ERR_API_HEADERS/);
  });
});

describe('errors behind a route', () => {
  it('are told with code, message and hint if they are the world’s', async () => {
    served.source.failure = new SluiceError('ERR_CLOSED', 'The tunnel was closed.');
    const { status, json } = await ask(served.port, { method: 'POST', path: '/api/v1/probe' });
    expect(status).toBe(503);
    expect(json).toEqual({
      error: { code: 'ERR_CLOSED', message: 'The tunnel was closed.', hint: 'Open a new tunnel.' },
    });
    expect(served.errors).toEqual([]);
  });

  it('are not told if nobody foresaw them, but handed to the log', async () => {
    served.source.failure = new Error('secret detail');
    const { status, text } = await ask(served.port);
    expect(status).toBe(500);
    expect(text).toContain('ERR_API_INTERNAL');
    expect(text).not.toContain('secret detail');
    expect(served.errors).toEqual([served.source.failure]);
  });
});

describe('listening', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-api-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('says which address is taken, and what to do', async () => {
    await expect(serve(`127.0.0.1:${served.port}`)).rejects.toMatchObject({
      code: 'ERR_API_LISTEN',
      message: `The API cannot listen on 127.0.0.1:${served.port}: another program does so already.`,
      hint: expect.stringContaining('--listen'),
    });
  });

  it('answers on a unix socket, which only its owner may use', async () => {
    const socketPath = join(folder, 'a.sock');
    const { server } = await serve(socketPath);
    expect((await ask(0, { socketPath, headers: { Host: 'localhost' } })).status).toBe(200);
    expect((await ask(0, { socketPath, headers: { Host: 'evil.example' } })).status).toBe(403);
    expect((await ask(0, { socketPath, headers: { Host: 'localhost' }, key: false })).status).toBe(401);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    await expect(serve(socketPath)).rejects.toMatchObject({ code: 'ERR_API_LISTEN' });
    await server.close();
  });

  it('takes the place of a unix socket that a killed process left behind, and of nothing else', async () => {
    const socketPath = join(folder, 'dead.sock');
    await leaveDeadSocket(socketPath);
    const { server } = await serve(socketPath);
    expect((await ask(0, { socketPath, headers: { Host: 'localhost' } })).status).toBe(200);
    await server.close();
    await writeFile(join(folder, 'file'), 'precious');
    await expect(serve(join(folder, 'file'))).rejects.toMatchObject({ code: 'ERR_API_LISTEN' });
    expect((await stat(join(folder, 'file'))).size).toBe(8);
  });
});

/** A child that listens and is killed. */
async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}
