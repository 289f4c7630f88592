import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HostResponse } from '../../src/torrent/webtorrent.ts';
import { MAX_BODY_BYTES, readWhole } from '../../src/torrent/whole-response.ts';
import { loopbackHost } from '../support/loopback-host.ts';
import { clean, client, content, later, next, seed } from './swarm.ts';

afterEach(clean);

async function server(handle: (response: ServerResponse) => void): Promise<string> {
  const made = createServer((_request, response) => handle(response));
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  later(() => {
    made.closeAllConnections();
    made.close();
  });
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}/`;
}

describe('fetch in the bundle', () => {
  it('hands over status, headers and the whole body', async () => {
    const url = await server((response) => response.writeHead(206, { 'x-a': 'b' }).end('content'));
    const response = await readWhole(loopbackHost(), url, {});
    expect([response.status, response.ok, response.headers.get('x-a')]).toEqual([206, true, 'b']);
    expect(Buffer.from(await response.arrayBuffer()).toString()).toBe('content');
  });

  it('hands over a response without a body', async () => {
    const url = await server((response) => response.writeHead(204).end());
    expect((await readWhole(loopbackHost(), url, {})).status).toBe(204);
  });

  it('passes method, headers and signal on, and nothing that could name another way out', async () => {
    const calls: unknown[] = [];
    const host = {
      ...loopbackHost(),
      fetch(url: string, init?: object): Promise<HostResponse> {
        calls.push([url, init]);
        return Promise.resolve({ status: 200, statusText: '', headers: [], body: null });
      },
    };
    const { signal } = new AbortController();
    const init = {
      headers: { range: 'bytes=0-1' },
      signal,
      dispatcher: {},
      agent: {},
      cache: 'no-store',
    } as object;
    await readWhole(host, new URL('http://a.test/'), init);
    expect(calls).toEqual([['http://a.test/', { method: 'GET', headers: { range: 'bytes=0-1' }, signal }]]);
  });

  it('rejects when the connection ends half-way, rather than later where nobody listens', async () => {
    const url = await server((response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(readWhole(loopbackHost(), url, {})).rejects.toThrow();
  });

  it('rejects when the signal aborts half-way', async () => {
    const url = await server((response) => response.writeHead(200, { 'content-length': 100 }).write('half'));
    await expect(readWhole(loopbackHost(), url, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/i);
  });

  it('stops reading at its bound', async () => {
    let sent = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        sent += 1 << 20;
        yield new Uint8Array(1 << 20);
      }
    }
    const host = {
      ...loopbackHost(),
      fetch: () => Promise.resolve({ status: 200, statusText: '', headers: [], body: endless() }),
    };
    await expect(readWhole(host, 'http://a.test/', {})).rejects.toThrow(RangeError);
    expect(sent).toBe(MAX_BODY_BYTES + (1 << 20));
  });

  it('ends no process when a tracker breaks off its answer: the torrent hears a warning', async () => {
    const unfinished: ServerResponse[] = [];
    let heard = false;
    const url = await server((response) => {
      response.writeHead(200, { 'content-length': 100 }).write('d8:interval');
      if (heard) response.destroy();
      else unfinished.push(response);
    });
    const made = await client(loopbackHost(), { dht: false });
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    later(() => process.removeListener('unhandledRejection', note));
    const torrent = await seed(made, content(1000), { announce: [`${url}announce`] });
    const warned = next(torrent, 'warning');
    heard = true;
    for (const response of unfinished) response.destroy();
    await warned;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unhandled).toEqual([]);
  });
});
