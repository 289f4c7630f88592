/** How connections end: half-close, destroy, reset, idle timers, and the order of events. */

import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { closed, collect, delay, failure, pair, pattern, readAll, record, type SocketWorld } from './socket-world.ts';

const ENDINGS = ['end', 'finish', 'error', 'close'];

export function describeClose(world: () => SocketWorld): void {
  describe('ending', () => {
    it('lets the server go on writing after the client’s end, if half-open is allowed', async () => {
      const { client, accepted } = await pair(world(), { allowHalfOpen: true });
      const got = collect(client);
      client.end('question');
      expect(String(await collect(accepted))).toBe('question');
      expect([accepted.writable, accepted.readyState]).toEqual([true, 'writeOnly']);
      await delay(20);
      accepted.end(pattern(100_000));
      expect((await got).equals(pattern(100_000))).toBe(true);
    });

    it('lets the client go on writing after the server’s end, if half-open is allowed', async () => {
      const { client, accepted } = await pair(world(), {}, { allowHalfOpen: true });
      const got = collect(accepted);
      accepted.end('bye');
      expect(String(await collect(client))).toBe('bye');
      client.write('still ');
      await delay(10);
      client.end('here');
      expect(String(await got)).toBe('still here');
    });

    it('is readOnly after its own end', async () => {
      const { client, accepted } = await pair(world(), { allowHalfOpen: true });
      client.end();
      await once(client, 'finish');
      expect(client.readyState).toBe('readOnly');
      accepted.end();
      client.resume();
      await closed(client);
      expect(client.readyState).toBe('closed');
    });

    it('ends by itself after the peer’s end, if half-open is not allowed', async () => {
      const { client, accepted } = await pair(world());
      const [near, far] = [record(client, ...ENDINGS), record(accepted, ...ENDINGS)];
      accepted.resume();
      client.resume();
      client.end();
      await Promise.all([closed(client), closed(accepted)]);
      expect(near).toEqual(['finish', 'end', 'close(false)']);
      expect(far).toEqual(['end', 'finish', 'close(false)']);
    });

    it('waits with end until what came before was read', async () => {
      const { client, accepted } = await pair(world());
      const seen = record(accepted, 'end');
      client.end('words');
      await delay(30);
      expect(seen).toEqual([]);
      accepted.on('data', () => seen.push('data'));
      await once(accepted, 'end');
      expect(seen.at(-1)).toBe('end');
      expect(seen).toContain('data');
    });

    it('does not tell a socket that was accepted paused of the end before it is resumed', async () => {
      const { client, accepted } = await pair(world(), { pauseOnConnect: true });
      const seen = record(accepted, ...ENDINGS);
      client.end();
      await delay(40);
      expect(seen).toEqual([]);
      accepted.resume();
      await once(accepted, 'end');
    });

    it('calls back end when all was written', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      await new Promise<void>((resolve) => client.end('last', () => resolve()));
      expect(client.writableFinished).toBe(true);
    });

    it('fails a write after its own end with ERR_STREAM_WRITE_AFTER_END', async () => {
      const { client } = await pair(world());
      client.end();
      const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) =>
        client.write('x', resolve),
      );
      expect(error?.code).toBe('ERR_STREAM_WRITE_AFTER_END');
    });

    it('fails a write after destroy with ERR_STREAM_DESTROYED', async () => {
      const { client } = await pair(world());
      client.destroy();
      const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) =>
        client.write('x', resolve),
      );
      expect(error?.code).toBe('ERR_STREAM_DESTROYED');
    });

    it('fails a write after the peer’s end with EPIPE, in words that do not blame the caller', async () => {
      const { client, accepted } = await pair(world());
      accepted.end();
      client.resume();
      await once(client, 'finish');
      const [error] = await Promise.all([
        new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => client.write('x', resolve)),
        delay(0),
      ]);
      expect(error).toMatchObject({ code: 'EPIPE', message: 'This socket has been ended by the other party' });
    });

    it('looks like an end to the peer when it is destroyed', async () => {
      const { client, accepted } = await pair(world());
      const seen = record(accepted, ...ENDINGS);
      accepted.resume();
      client.destroy();
      await closed(accepted);
      expect(seen).toEqual(['end', 'finish', 'close(false)']);
    });

    it('still delivers what a write called back for before destroy', async () => {
      const { client, accepted } = await pair(world());
      client.write(pattern(20_000), () => client.destroy());
      expect((await readAll(accepted)).equals(pattern(20_000))).toBe(true);
    });

    it('resets the peer when it is destroyed with bytes unread', async () => {
      const { client, accepted } = await pair(world(), { pauseOnConnect: true });
      client.write('never read');
      await delay(50);
      const failed = failure(client);
      client.resume();
      accepted.destroy();
      expect(await failed).toMatchObject({ code: 'ECONNRESET', syscall: 'read' });
    });

    it('resets the peer that goes on writing to a destroyed socket', async () => {
      const { client, accepted } = await pair(world(), { allowHalfOpen: true });
      client.destroy();
      accepted.resume();
      await once(accepted, 'end');
      const timer = setInterval(() => accepted.write('anybody there?'), 5);
      const error = await failure(accepted);
      clearInterval(timer);
      expect(['ECONNRESET', 'EPIPE']).toContain(error.code);
    });

    it('reports a reset as ECONNRESET, an error of read, then close', async () => {
      const { client, accepted } = await pair(world());
      const seen = record(accepted, ...ENDINGS);
      accepted.resume();
      const failed = failure(accepted);
      const over = closed(accepted);
      client.resetAndDestroy();
      const error = await failed;
      expect(error).toMatchObject({ code: 'ECONNRESET', syscall: 'read', message: 'read ECONNRESET' });
      expect(error.errno).toBeLessThan(0);
      await over;
      expect(seen).toEqual(['error(ECONNRESET)', 'close(true)']);
    });

    it('delivers what arrived before a reset', async () => {
      const { client, accepted } = await pair(world());
      const seen: string[] = [];
      accepted.on('data', (chunk) => {
        seen.push(String(chunk));
        if (seen.join('') === 'last words') client.resetAndDestroy();
      });
      accepted.on('error', (error: NodeJS.ErrnoException) => seen.push(String(error.code)));
      client.write('last words');
      await closed(accepted);
      expect(seen.pop()).toBe('ECONNRESET');
      expect(seen.join('')).toBe('last words');
    });

    it('closes without error on the side that resets', async () => {
      const { client } = await pair(world());
      const seen = record(client, ...ENDINGS);
      expect(client.resetAndDestroy()).toBe(client);
      await closed(client);
      expect(seen).toEqual(['close(false)']);
    });

    it('fails resetAndDestroy with ERR_SOCKET_CLOSED if it was never connected', async () => {
      const socket = new (world().client.net.Socket)();
      const failed = failure(socket);
      socket.resetAndDestroy();
      expect((await failed).code).toBe('ERR_SOCKET_CLOSED');
    });

    it('reports the error that it is destroyed with, then close', async () => {
      const { client } = await pair(world());
      const seen = record(client, ...ENDINGS);
      client.destroy(Object.assign(new Error('mine'), { code: 'EMINE' }));
      await closed(client);
      expect(seen).toEqual(['error(EMINE)', 'close(true)']);
    });

    it('closes once, however often it is destroyed', async () => {
      const { client } = await pair(world());
      const seen = record(client, ...ENDINGS);
      client.destroy();
      client.destroy(new Error('too late'));
      await delay(50);
      expect(seen).toEqual(['close(false)']);
    });

    it('emits close for a socket that was never connected', async () => {
      const socket = new (world().client.net.Socket)();
      const seen = record(socket, 'close', 'error');
      socket.destroy();
      await closed(socket);
      expect(seen.length).toBe(1);
    });

    it('writes everything out before it is destroyed by destroySoon', async () => {
      const { client, accepted } = await pair(world());
      const bytes = pattern(500_000);
      const over = closed(client);
      client.write(bytes);
      client.destroySoon();
      expect((await readAll(accepted)).equals(bytes)).toBe(true);
      await over;
    });

    it('rejects stream.finished with the reset', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      const over = finished(accepted);
      client.resetAndDestroy();
      await expect(over).rejects.toMatchObject({ code: 'ECONNRESET' });
    });

    it('rejects for await with the reset, behind the data', async () => {
      const { client, accepted } = await pair(world());
      let text = '';
      const reading = (async () => {
        for await (const chunk of accepted) {
          text += String(chunk);
          if (text === 'data') client.resetAndDestroy();
        }
      })();
      client.write('data');
      await expect(reading).rejects.toMatchObject({ code: 'ECONNRESET' });
      expect(text).toBe('data');
    });

    it('is destroyed by await using', async () => {
      const { client } = await pair(world());
      await client[Symbol.asyncDispose]();
      expect(client.destroyed).toBe(true);
    });
  });
}
