/** One question of the probe, over real stacks in memory: what it sends, what it takes, how it ends (leak plan 27, 29). */
import https from 'node:https';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ProbeRequest, requestProbe } from '../../src/node/probe-request.ts';
import { drips, head, ProbeServer, raw, says } from '../support/probe-server.ts';
import { CERTIFICATE, KEY } from '../support/self-signed.ts';
import { listen, type SocketWorld } from '../support/socket-world.ts';
import { virtualWorld } from '../support/virtual-world.ts';

let world: SocketWorld;
let server: ProbeServer;
const SERVER_V6 = 'fd00:8::2';

beforeAll(async () => {
  world = await virtualWorld()();
  server = await ProbeServer.listen(world.server.net);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
afterAll(() => world.close());

async function ask(url: string, options: Partial<ProbeRequest> = {}): Promise<string> {
  const answer = await requestProbe({
    net: world.client.net,
    url: new URL(url),
    family: 4,
    signal: AbortSignal.timeout(20_000),
    ...options,
  });
  return typeof answer === 'string' ? `(${answer})` : Buffer.from(answer).toString();
}

describe('what is sent', () => {
  it('is a GET with four headers, which tell nothing about who asks', async () => {
    server.reply = says('203.0.113.10');
    server.requests.length = 0;
    expect(await ask('http://server.test/ip?format=text')).toBe('203.0.113.10');
    expect(server.requests).toEqual([
      [
        'GET /ip?format=text HTTP/1.1',
        'Host: server.test',
        'Accept: */*',
        'Accept-Encoding: identity',
        'Connection: close',
        '',
        '',
      ].join('\r\n'),
    ]);
  });

  it('is the same every time: a cookie is not sent back', async () => {
    server.reply = says('203.0.113.10', '200 OK', { 'Set-Cookie': 'id=1', 'Alt-Svc': 'h3=":443"' });
    server.requests.length = 0;
    await ask('http://server.test/');
    await ask('http://server.test/');
    expect(server.requests[0]).toBe(server.requests[1]);
  });

  it('leaves through a look-up and a socket that were admitted', async () => {
    const admitted: string[] = [];
    const admission = {
      admitSocket: (socket: number) => void admitted.push(`socket ${socket}`),
      admitQuery: (query: number) => void admitted.push(`query ${query}`),
    };
    server.reply = says('x');
    await ask('http://server.test/', { admission });
    await ask(`http://${world.server.address}/`, { admission });
    expect(admitted.map((each) => each.split(' ')[0])).toEqual(['query', 'socket', 'socket']);
  });

  it('goes over the family that is asked for, names and literal addresses alike', async () => {
    server.reply = (socket) => says(socket.remoteAddress!)(socket, '');
    expect(await ask(`http://${world.server.address}/`)).toBe(world.client.address);
    expect(await ask(`http://[${SERVER_V6}]/`, { family: 6 })).toBe('fd00:8::1');
    expect(await ask(`http://[${SERVER_V6}]/`)).toBe('(no-name)');
    expect(await ask(`http://${world.server.address}/`, { family: 6 })).toBe('(no-name)');
    expect(await ask('http://server.test/', { family: 6 })).toBe('(no-name)');
  });
});

describe('what is taken', () => {
  it.each([
    ['a body with its length', says('203.0.113.10'), '203.0.113.10'],
    [
      'a body in chunks',
      raw(head('200 OK', { 'Transfer-Encoding': 'chunked' }), '4\r\n203.\r\n8\r\n0.113.10\r\n0\r\n\r\n'),
      '203.0.113.10',
    ],
    ['a body that ends with the connection', raw(head('200 OK'), '203.0.113.10'), '203.0.113.10'],
    ['an encoding that is none', says('x', '200 OK', { 'Content-Encoding': 'identity' }), 'x'],
    [
      'early hints before the answer',
      raw(head('103 Early Hints'), head('200 OK', { 'Content-Length': '1' }), 'x'),
      'x',
    ],
  ])('%s', async (_, reply, body) => {
    server.reply = reply;
    expect(await ask('http://server.test/')).toBe(body);
  });

  it.each([
    ['a redirect', says('203.0.113.10', '302 Found', { Location: 'http://server.test/other' }), 'not-200'],
    ['a permanent one', says('203.0.113.10', '301 Moved Permanently', { Location: '/other' }), 'not-200'],
    ['network authentication required (RFC 6585 §6)', says('203.0.113.10', '511 Login'), 'not-200'],
    ['an error', says('203.0.113.10', '503 Busy'), 'not-200'],
    ['no content', says('', '204 No Content'), 'not-200'],
    ['a part', says('203.0.113.10', '206 Partial Content'), 'not-200'],
    ['gzip', says('203.0.113.10', '200 OK', { 'Content-Encoding': 'gzip' }), 'encoded'],
    [
      'a body shorter than its length',
      raw(head('200 OK', { 'Content-Length': '40' }), '203.0.113.10'),
      'no-connection',
    ],
    [
      'chunks without an end',
      raw(head('200 OK', { 'Transfer-Encoding': 'chunked' }), 'c\r\n203.0.113.10\r\n'),
      'no-connection',
    ],
    ['no HTTP', raw('SSH-2.0-OpenSSH_9.2\r\n'), 'no-connection'],
    [
      'two lengths',
      raw(head('200 OK', { 'Content-Length': '12', 'content-length': '3' }), '203.0.113.10'),
      'no-connection',
    ],
    ['headers without an end', raw(`HTTP/1.1 200 OK\r\n${'X-Long: 1234567890\r\n'.repeat(1_000)}`), 'no-connection'],
    [
      'an upgrade',
      raw(head('101 Switching Protocols', { Upgrade: 'x', Connection: 'Upgrade' }), '203.0.113.10'),
      'no-connection',
    ],
    ['the end at once', raw(), 'no-connection'],
    ['a reset', ((socket) => socket.resetAndDestroy()) as typeof server.reply, 'no-connection'],
  ])('%s is no answer', async (_, reply, why) => {
    server.reply = reply;
    server.requests.length = 0;
    expect(await ask('http://server.test/')).toBe(`(${why})`);
    expect(server.requests).toHaveLength(1);
  });

  it('is no more than 4 KiB and one byte, however much comes; then the connection is closed', async () => {
    server.reply = says(Buffer.alloc(10 << 20, ' '));
    expect(await ask('http://server.test/')).toHaveLength(4_097);
    await expect.poll(() => server.connections, { timeout: 10_000 }).toBe(0);
  });

  it('is nothing from nobody: no listener, no name', async () => {
    expect(await ask('http://server.test:81/')).toBe('(no-connection)');
    expect(await ask('http://nobody.test/')).toBe('(no-name)');
  });
});

describe('when time is up', () => {
  it.each([
    ['in silence', () => {}],
    ['in the headers', drips('HTTP/1.1 200 OK\r\n', 'X-Slow: 1\r\n', 20)],
    ['in a body of one byte now and then', drips(head('200 OK', { 'Content-Length': '12' }), '1', 50)],
  ])('%s, the request ends and the connection is closed', async (_, reply) => {
    server.reply = reply as typeof server.reply;
    expect(await ask('http://server.test/', { signal: AbortSignal.timeout(150) })).toBe('(timeout)');
    await expect.poll(() => server.connections, { timeout: 10_000 }).toBe(0);
  });

  it('before it begins, nothing is sent', async () => {
    server.requests.length = 0;
    expect(await ask('http://server.test/', { signal: AbortSignal.abort() })).toBe('(timeout)');
    expect(server.requests).toEqual([]);
  });
});

describe('https', () => {
  async function site(body = '203.0.113.10'): Promise<string> {
    const server = https.createServer(
      { key: KEY, cert: CERTIFICATE, ALPNProtocols: ['h2', 'http/1.1'] },
      (request, response) =>
        response.end(
          `${body} ${(request.socket as { alpnProtocol?: string }).alpnProtocol} ${request.rawHeaders.length / 2}`,
        ),
    );
    const { port } = await listen(world, (socket) => void server.emit('connection', socket));
    return `https://server.test:${port}/`;
  }

  it('is spoken over HTTP/1.1, with the same four headers', async () => {
    expect(await ask(await site(), { ca: CERTIFICATE })).toBe('203.0.113.10 http/1.1 4');
  });

  it('is believed only with a certificate that verifies, for that name, whatever the environment says', async () => {
    const url = await site();
    expect(await ask(url)).toBe('(not-verified)');
    const unnamed = url.replace('server.test', 'other.test');
    expect(await ask(unnamed, { ca: CERTIFICATE })).toBe('(not-verified)');
    // Node warns of it.
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    expect(await ask(url)).toBe('(not-verified)');
  });

  it('is not spoken to a server that has none', async () => {
    server.reply = says('203.0.113.10');
    expect(await ask('https://server.test:80/', { signal: AbortSignal.timeout(500) })).not.toContain('203');
  });
});
