/** `GET /api/v1/events` over real sockets: server-sent events as proxies and slow readers meet them. */
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_STREAMS } from '../../src/api/event-streams.ts';
import { EVENT_NAMES } from '../../src/api/source.ts';
import { ask, KEY, type Served, serve } from './support.ts';

const PATIENCE = { timeout: 15_000 };

let served: Served;
beforeEach(async () => {
  served = await serve();
});
afterEach(() => served.server.close());

class Reader {
  text = '';
  ended = false;
  readonly call: ClientRequest;
  readonly response: IncomingMessage;

  static async open(lastEventId?: string): Promise<Reader> {
    const call = request({
      host: '127.0.0.1',
      port: served.port,
      path: '/api/v1/events',
      agent: false,
      headers: { 'X-Api-Key': KEY, ...(lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }) },
    });
    call.on('error', () => {});
    call.end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    return new Reader(call, response);
  }

  private constructor(call: ClientRequest, response: IncomingMessage) {
    this.call = call;
    this.response = response;
    response.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
    });
    response.on('error', () => {});
    response.on('close', () => {
      this.ended = true;
    });
  }

  /** Waits until the text matches, and returns it. */
  async until(pattern: RegExp): Promise<string> {
    await vi.waitFor(() => expect(this.text).toMatch(pattern), PATIENCE);
    return this.text;
  }

  ids(): string[] {
    return [...this.text.matchAll(/^id: (.*)$/gm)].map((match) => match[1]!);
  }
}

const connected = { state: 'connected', reason: null } as const;

describe('the stream of events', () => {
  it('is not buffered, stored or changed by proxies (RP9, RP16)', async () => {
    const { response, call } = await Reader.open();
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(response.headers['content-length']).toBeUndefined();
    call.destroy();
  });

  it('tells every event of a tunnel to every reader, with id, name, time and facts', async () => {
    const readers = [await Reader.open(), await Reader.open()];
    served.source.emit('port.mapped', { port: 54_321 });
    for (const name of EVENT_NAMES) served.source.emit(name as 'state', connected);
    served.source.emit('killswitch.released');
    for (const reader of readers) {
      await reader.until(/killswitch\.released\ndata: .*\n\n(?![\s\S]*killswitch)/);
      expect(reader.ids()).toHaveLength(EVENT_NAMES.length + 2);
      expect(reader.text).toMatch(/id: \w+-1\nevent: port\.mapped\ndata: {"time":"[\dT:.-]+Z","port":54321}\n\n/);
      for (const name of EVENT_NAMES) expect(reader.text).toContain(`event: ${name}\n`);
      reader.call.destroy();
    }
  });

  it('says something at least every 15 seconds', async () => {
    await served.server.close();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      served = await serve();
      const reader = await Reader.open();
      for (let i = 0; i < 4; i++) vi.advanceTimersByTime(15_000);
      await reader.until(/(: alive\n\n[\s\S]*){4}/);
      reader.call.destroy();
    } finally {
      vi.useRealTimers();
    }
  });

  it('replays what was missed to a reader that comes back, and nothing twice', async () => {
    const first = await Reader.open();
    served.source.emit('port.mapped', { port: 1 });
    await first.until(/"port":1}/);
    const [seen] = first.ids();
    first.call.destroy();
    served.source.emit('port.mapped', { port: 2 });
    served.source.emit('port.mapped', { port: 3 });
    const again = await Reader.open(seen);
    served.source.emit('port.mapped', { port: 4 });
    await again.until(/"port":4}/);
    expect([...again.text.matchAll(/"port":(\d)/g)].map((match) => match[1])).toEqual(['2', '3', '4']);
    expect(again.text).not.toContain('event: gap');
    again.call.destroy();
  });

  it('says so when it cannot tell what was missed', async () => {
    served.source.emit('port.mapped', { port: 1 });
    const reader = await Reader.open('another-17');
    await reader.until(/event: gap\ndata: {}\n\nid: \w+-1\n/);
    reader.call.destroy();
  });

  it('cuts off a reader that does not read, and keeps the others', async () => {
    const slow = connect(served.port, '127.0.0.1');
    slow.on('error', () => {});
    slow.write(`GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: ${KEY}\r\n\r\n`);
    const good = await Reader.open();
    const large = { state: 'connected', reason: { code: 'x', message: 'x'.repeat(20_000), hint: '' } } as const;
    // More than two kernels keep for a connection, and what the server keeps beside it.
    const sent = 1_500;
    for (let i = 0; i < sent; i++) {
      served.source.emit('state', large);
      await new Promise((resolve) => setImmediate(resolve));
    }
    served.source.emit('port.mapped', { port: 7 });
    await good.until(/"port":7}/);
    slow.resume();
    await once(slow, 'close');
    expect(slow.bytesRead).toBeLessThan(sent * 20_000);
    good.call.destroy();
  });

  it(`has room for ${MAX_STREAMS} readers, and for the next when one goes`, async () => {
    const readers = await Promise.all(Array.from({ length: MAX_STREAMS }, () => Reader.open()));
    const { status, json } = await ask(served.port, { path: '/api/v1/events' });
    expect([status, json.error.code]).toEqual([503, 'ERR_API_BUSY']);
    readers[0]!.call.destroy();
    await vi.waitFor(async () => {
      const reader = await Reader.open();
      reader.call.destroy();
      expect(reader.response.statusCode).toBe(200);
    }, PATIENCE);
    for (const reader of readers) reader.call.destroy();
  });

  it('ends when the server closes, which does not wait for its readers', async () => {
    const reader = await Reader.open();
    await served.server.close();
    await vi.waitFor(() => expect(reader.ended).toBe(true), PATIENCE);
    // Not cut off in the middle of a chunk.
    expect(reader.response.complete).toBe(true);
    expect(served.source.eventNames()).toEqual([]);
  });
});
