/** fetch and undici with undici's own connections on loopback, and through the tunnel's dispatcher over each engine. */

import { once } from 'node:events';
import type http from 'node:http';
import type { ReadableStreamDefaultController } from 'node:stream/web';
import type { TLSSocket } from 'node:tls';
import * as undici from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDispatcher, createFetch, type FetchFunction } from '../../src/node/fetch.ts';
import { serve } from '../support/http-conformance.ts';
import { CERTIFICATE } from '../support/self-signed.ts';
import {
  closed,
  delay,
  listen,
  loopbackWorld,
  type MakeWorld,
  nodeWorld,
  pattern,
  type SocketWorld,
  slow,
} from '../support/socket-world.ts';
import { virtualWorld } from '../support/virtual-world.ts';

const worlds: Record<string, MakeWorld> = {
  'undici on loopback': nodeWorld,
  'the tunnel over an engine in memory': loopbackWorld(),
  'the tunnel over a slow seam': loopbackWorld(slow),
  'the tunnel over two virtual hosts': virtualWorld(),
};

describe.each(Object.entries(worlds))('%s', (_name, make) => {
  let world: SocketWorld;
  let dispatcher: undici.Agent;
  let fetch: FetchFunction;
  beforeAll(async () => {
    world = await make();
    const trusting = { ca: CERTIFICATE };
    dispatcher = world.layer ? createDispatcher(world.layer.net, trusting) : new undici.Agent({ connect: trusting });
    fetch = createFetch(dispatcher);
  });
  afterAll(async () => {
    await dispatcher.destroy();
    await world.close();
  });

  const site = async (
    handler: http.RequestListener,
    secure = false,
  ): Promise<{ url: string; connections(): number }> => {
    const served = await serve(world, handler, secure);
    return { url: `http${secure ? 's' : ''}://${served.host}:${served.port}`, connections: () => served.connections };
  };
  const bodyOf = async (request: http.IncomingMessage): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks);
  };

  it('fetches text and JSON', async () => {
    const { url } = await site((_request, response) => response.end('{"a":[1,2]}'));
    expect(await (await fetch(url)).text()).toBe('{"a":[1,2]}');
    expect(await (await fetch(url)).json()).toEqual({ a: [1, 2] });
  });

  it('sends method, headers and body', async () => {
    const { url } = await site(async (request, response) => {
      response.end(`${request.method} ${request.headers['x-test']} ${await bodyOf(request)}`);
    });
    const response = await fetch(url, { method: 'PUT', headers: { 'x-test': 'yes' }, body: 'words' });
    expect(await response.text()).toBe('PUT yes words');
  });

  it('takes a Request of Node’s own', async () => {
    const { url } = await site(async (request, response) => {
      response.end(`${request.method} ${request.headers['x-test']} ${await bodyOf(request)}`);
    });
    const request = new Request(url, { method: 'POST', headers: { 'x-test': 'own' }, body: 'body' });
    expect(await (await fetch(request as unknown as undici.Request)).text()).toBe('POST own body');
  });

  it('reuses a connection', async () => {
    const { url, connections } = await site((_request, response) => response.end('x'));
    for (let i = 0; i < 6; i++) {
      await (await fetch(url)).text();
      await delay(10); // undici frees the connection a little after the body’s end.
    }
    expect(connections()).toBeLessThanOrEqual(3);
  });

  it('follows redirects', async () => {
    const { url } = await site((request, response) => {
      if (request.url === '/there') response.end('here it is');
      else response.writeHead(302, { location: '/there' }).end();
    });
    const response = await fetch(`${url}/here`);
    expect([await response.text(), response.redirected]).toEqual(['here it is', true]);
  });

  it('streams the response as it comes', async () => {
    const { url } = await site(async (_request, response) => {
      for (const part of ['one', 'two', 'three']) {
        response.write(part);
        await delay(20);
      }
      response.end();
    });
    const response = await fetch(url);
    const parts: string[] = [];
    for await (const part of response.body!) parts.push(Buffer.from(part).toString());
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.join('')).toBe('onetwothree');
  });

  it('streams the request as it is made', async () => {
    const { url } = await site(async (request, response) => response.end(String((await bodyOf(request)).length)));
    let left = 5;
    const body = new ReadableStream({
      async pull(controller: ReadableStreamDefaultController) {
        await delay(5);
        if (left-- > 0) controller.enqueue(pattern(10_000));
        else controller.close();
      },
    });
    const response = await fetch(url, { method: 'POST', body: body as undici.BodyInit, duplex: 'half' });
    expect(await response.text()).toBe('50000');
  });

  it('carries megabytes intact', async () => {
    const bytes = pattern(3 << 20);
    const { url } = await site((_request, response) => response.end(bytes));
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('holds back the server while the body is not read', async () => {
    let sent = 0;
    const { url } = await site((_request, response) => {
      const pump = (): void => {
        while (sent < 64 << 20) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', pump);
        }
      };
      pump();
    });
    const response = await fetch(url);
    await delay(200);
    expect(sent).toBeLessThan(world.mostUnread + (1 << 20));
    await response.body!.cancel();
  });

  it('rejects with AbortError when the signal aborts before the answer, and hangs up', async () => {
    const abort = new AbortController();
    let hungUp: Promise<unknown> | undefined;
    const { url } = await site((request) => {
      hungUp = closed(request);
      abort.abort();
    });
    await expect(fetch(url, { signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' });
    await hungUp;
    expect(hungUp).toBeDefined();
  });

  it('rejects the body with AbortError when the signal aborts in the middle, and hangs up', async () => {
    let hungUp: Promise<unknown> | undefined;
    const { url } = await site((request, response) => {
      hungUp = once(request.socket, 'close');
      response.write('half');
    });
    const abort = new AbortController();
    const response = await fetch(url, { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' });
    await hungUp;
  });

  it('rejects at once with a signal that had aborted', async () => {
    const { url, connections } = await site((_request, response) => response.end('x'));
    await expect(fetch(url, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(connections()).toBe(0);
  });

  it('rejects with the cause ECONNREFUSED where nobody listens', async () => {
    const { server, port } = await listen(world);
    await new Promise((resolve) => server.close(resolve));
    await expect(fetch(`http://${world.server.address}:${port}`)).rejects.toMatchObject({
      message: 'fetch failed',
      cause: { code: 'ECONNREFUSED', syscall: 'connect' },
    });
  });

  it('rejects when the server hangs up before the answer', async () => {
    const { url } = await site((request) => request.socket.destroy());
    await expect(fetch(url)).rejects.toMatchObject({ message: 'fetch failed', cause: { code: 'UND_ERR_SOCKET' } });
  });

  it('fetches over TLS from a server that it trusts', async () => {
    const { url } = await site((_request, response) => response.end('secret'), true);
    expect(await (await fetch(url)).text()).toBe('secret');
  });

  it('resumes the TLS session on a new connection', async () => {
    const resumed: boolean[] = [];
    const { url } = await site((request, response) => {
      resumed.push((request.socket as TLSSocket).isSessionReused());
      response.setHeader('connection', 'close').end('x');
    }, true);
    for (let i = 0; i < 2; i++) {
      await (await fetch(url)).text();
      await delay(30);
    }
    expect(resumed).toEqual([false, true]);
  });

  it('carries megabytes over TLS intact', async () => {
    const bytes = pattern(2 << 20);
    const { url } = await site((_request, response) => response.end(bytes), true);
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('serves undici.request, many at once', async () => {
    const { url } = await site((request, response) => response.end(request.url));
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const { body } = await undici.request(`${url}/${i}`, { dispatcher });
        return body.text();
      }),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => `/${i}`));
  });
});

describe('the tunnel’s fetch', () => {
  it('asks the tunnel for names, and rejects with the cause ENOTFOUND for one that it does not know', async () => {
    const world = await loopbackWorld()();
    const served = await serve(world, (request, response) => response.end(request.headers.host));
    const response = await world.layer!.fetch(`http://server.test:${served.port}/`);
    expect(await response.text()).toBe(`server.test:${served.port}`);
    await expect(world.layer!.fetch('http://nowhere.test/')).rejects.toMatchObject({
      cause: { code: 'ENOTFOUND', hostname: 'nowhere.test' },
    });
    await world.close();
  });

  it('verifies certificates', async () => {
    const world = await loopbackWorld()();
    const served = await serve(world, (_request, response) => response.end('x'), true);
    await expect(world.layer!.fetch(`https://${served.host}:${served.port}/`)).rejects.toMatchObject({
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    });
    await world.close();
  });

  it('cannot be told to use another dispatcher', async () => {
    const world = await loopbackWorld()();
    const served = await serve(world, (_request, response) => response.end('inside'));
    const dispatcher = new undici.MockAgent();
    dispatcher.disableNetConnect();
    const response = await world.layer!.fetch(`http://${served.host}:${served.port}/`, { dispatcher });
    expect(await response.text()).toBe('inside');
    await world.close();
  });

  it('rejects what is under way when the layer closes', async () => {
    const world = await loopbackWorld()();
    const served = await serve(world, () => {});
    const failed = expect(world.layer!.fetch(`http://${served.host}:${served.port}/`)).rejects.toThrow('fetch failed');
    await delay(30);
    await world.close();
    await failed;
  });
});
