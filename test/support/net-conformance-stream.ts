/** How bytes flow over an established connection: intact, in order, with backpressure both ways, and counted. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { closed, collect, delay, dial, listen, pair, pattern, readAll, type SocketWorld } from './socket-world.ts';

const MIB = 1 << 20;

export function describeStream(world: () => SocketWorld): void {
  describe('carrying bytes', () => {
    it('carries a mebibyte both ways at once, intact', async () => {
      const { client, accepted } = await pair(world());
      const [up, down] = [pattern(MIB, 1), pattern(MIB, 2)];
      client.end(up);
      accepted.end(down);
      const [atServer, atClient] = await Promise.all([collect(accepted), collect(client)]);
      expect(atServer.equals(up)).toBe(true);
      expect(atClient.equals(down)).toBe(true);
    });

    it('carries megabytes through a pipeline at the pace of its slowest part', async () => {
      const { client, accepted } = await pair(world());
      const [sent, received] = [createHash('sha256'), createHash('sha256')];
      const chunks = Array.from({ length: 96 }, (_, i) => pattern(65_536 + i, i));
      const sink = new Writable({
        write(chunk, _encoding, done) {
          received.update(chunk);
          setImmediate(done);
        },
      });
      await Promise.all([pipeline(Readable.from(chunks), client), pipeline(accepted, sink)]);
      for (const chunk of chunks) sent.update(chunk);
      expect(received.digest('hex')).toBe(sent.digest('hex'));
    });

    it('echoes through pipe', async () => {
      const { port } = await listen(world(), (socket) => socket.pipe(socket));
      const client = dial(world(), port);
      const bytes = pattern(300_000);
      client.end(bytes);
      expect((await readAll(client)).equals(bytes)).toBe(true);
    });

    it('takes one write of many megabytes', async () => {
      const { client, accepted } = await pair(world());
      const bytes = pattern(4 * MIB);
      const written = new Promise((resolve) => client.end(bytes, () => resolve(undefined)));
      expect((await readAll(accepted)).equals(bytes)).toBe(true);
      await written;
    });

    it('keeps the order of many small writes, corked and not', async () => {
      const { client, accepted } = await pair(world());
      let expected = '';
      for (let i = 0; i < 2000; i++) {
        if (i % 50 === 0) client.cork();
        client.write(`${i},`);
        expected += `${i},`;
        if (i % 50 === 25) client.uncork();
      }
      client.uncork();
      client.end();
      expect(String(await readAll(accepted))).toBe(expected);
    });

    it('encodes strings as told', async () => {
      const { client, accepted } = await pair(world());
      client.write('c3a9', 'hex');
      client.write('\u00e9', 'latin1');
      client.end('4pyT', 'base64');
      expect([...(await readAll(accepted))]).toEqual([0xc3, 0xa9, 0xe9, 0xe2, 0x9c, 0x93]);
    });

    it('decodes as told, also characters that arrive in pieces', async () => {
      const { client, accepted } = await pair(world());
      accepted.setEncoding('utf8');
      for (const byte of Buffer.from('über €')) client.write(Buffer.of(byte));
      client.end();
      let text = '';
      for await (const chunk of accepted) text += chunk as unknown as string;
      expect(text).toBe('über €');
    });

    it('takes a plain Uint8Array', async () => {
      const { client, accepted } = await pair(world());
      client.end(Uint8Array.of(1, 2, 3));
      expect([...(await readAll(accepted))]).toEqual([1, 2, 3]);
    });

    it('hands over Buffers', async () => {
      const { client, accepted } = await pair(world());
      client.write('x');
      const [chunk] = await once(accepted, 'data');
      expect(Buffer.isBuffer(chunk)).toBe(true);
    });

    it('calls back an empty write, and sends nothing', async () => {
      const { client, accepted } = await pair(world());
      await new Promise<void>((resolve, reject) => client.write('', (error) => (error ? reject(error) : resolve())));
      client.end('x');
      expect(String(await readAll(accepted))).toBe('x');
    });

    it('lets the caller reuse the memory of a write that called back', async () => {
      const { client, accepted } = await pair(world());
      const bytes = pattern(200_000);
      const copy = Buffer.from(bytes);
      client.write(bytes, () => {
        bytes.fill(0);
        client.end();
      });
      expect((await readAll(accepted)).equals(copy)).toBe(true);
    });

    it('calls back each write, in order', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      const seen: number[] = [];
      const last = new Promise<void>((resolve) => {
        for (let i = 0; i < 20; i++)
          client.write(pattern(10_000, i), () => {
            seen.push(i);
            if (i === 19) resolve();
          });
      });
      await last;
      expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));
    });

    it('says false to a write beyond the high-water mark, and drain when there is room', async () => {
      const { client, accepted } = await pair(world(), { pauseOnConnect: true });
      expect(client.write('small')).toBe(true);
      for (let total = 0; client.write(pattern(65_536)); total += 65_536)
        expect(total).toBeLessThan(world().mostUnread);
      expect(client.writableNeedDrain).toBe(true);
      expect(client.writableLength).toBeGreaterThanOrEqual(client.writableHighWaterMark);
      accepted.resume();
      await once(client, 'drain');
      expect(client.writableLength).toBe(0);
    });

    it('stops the writer when the reader is paused, and loses nothing', async () => {
      const { client, accepted } = await pair(world());
      accepted.pause();
      const total = await fill(client, world().mostUnread);
      expect(total).toBeLessThan(world().mostUnread);
      client.end();
      const bytes = await readAll(accepted);
      expect(bytes.length).toBe(total);
      expect(bytes.equals(expectedFill(total))).toBe(true);
    });

    it('stops the writer when nobody reads at all', async () => {
      const { client, accepted } = await pair(world(), { pauseOnConnect: true });
      const total = await fill(client, world().mostUnread);
      expect(total).toBeLessThan(world().mostUnread);
      expect(accepted.bytesRead).toBe(0);
    });

    it('loses nothing to a reader that pauses and resumes', async () => {
      const { client, accepted } = await pair(world());
      const bytes = pattern(600_000);
      const parts: Buffer[] = [];
      accepted.on('data', (chunk: Buffer) => {
        parts.push(chunk);
        accepted.pause();
        setImmediate(() => accepted.resume());
      });
      client.end(bytes);
      await once(accepted, 'end');
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });

    it('serves read() in the sizes that are asked for', async () => {
      const { client, accepted } = await pair(world());
      const bytes = pattern(100_000);
      const parts: Buffer[] = [];
      accepted.on('readable', () => {
        for (let part = accepted.read(777) ?? accepted.read(); part; part = accepted.read(777) ?? accepted.read())
          parts.push(part);
      });
      client.end(bytes);
      await once(accepted, 'end');
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });

    it('can be read with for await', async () => {
      const { client, accepted } = await pair(world());
      client.end(pattern(50_000));
      let length = 0;
      for await (const chunk of accepted) length += (chunk as Buffer).length;
      expect(length).toBe(50_000);
    });

    it('is destroyed when for await is left early, and the peer sees the end', async () => {
      const { client, accepted } = await pair(world());
      client.on('error', () => {});
      client.write('first');
      const ended = closed(client);
      client.resume();
      for await (const _ of accepted) break;
      expect(accepted.destroyed).toBe(true);
      await ended;
    });

    it('resolves stream.finished when both directions are over', async () => {
      const { client, accepted } = await pair(world());
      const over = Promise.all([finished(client), finished(accepted)]);
      client.resume();
      accepted.resume();
      client.end('x');
      await over;
      expect([client.readableEnded, client.writableFinished]).toEqual([true, true]);
    });

    it('counts what was read and written', async () => {
      const { client, accepted } = await pair(world());
      client.write(pattern(30_000));
      client.end(pattern(20_000));
      await readAll(accepted);
      expect(client.bytesWritten).toBe(50_000);
      expect(accepted.bytesRead).toBe(50_000);
      expect([client.bytesRead, accepted.bytesWritten]).toEqual([0, 0]);
      client.destroy();
      expect([client.bytesWritten, accepted.bytesRead]).toEqual([50_000, 50_000]);
    });

    it('counts as written what still waits for the connection or for the peer', async () => {
      const { port } = await listen(world(), () => {}, { pauseOnConnect: true });
      const client = dial(world(), port);
      client.write('12345');
      client.write('678');
      expect(client.bytesWritten).toBe(8);
      await once(client, 'connect');
      const total = await fill(client, world().mostUnread);
      expect(client.bytesWritten).toBe(8 + total);
    });

    it('emits timeout-free data in the turn order of the peer’s writes', async () => {
      const { client, accepted } = await pair(world());
      const seen: string[] = [];
      accepted.on('data', (chunk) => seen.push(String(chunk)));
      for (const word of ['a', 'b', 'c']) {
        client.write(word);
        await delay(10);
      }
      client.end();
      await once(accepted, 'end');
      expect(seen.join('')).toBe('abc');
    });
  });
}

/** Writes until the socket has had no room for a while, or `limit` bytes went in. Returns how many bytes were accepted. */
async function fill(socket: NodeJS.WritableStream, limit: number): Promise<number> {
  let total = 0;
  while (total < limit) {
    const more = socket.write(expectedFill(16_384));
    total += 16_384;
    if (more) continue;
    const drained = once(socket, 'drain').then(() => true);
    if (!(await Promise.race([drained, delay(150).then(() => false)]))) return total;
  }
  return total;
}

function expectedFill(length: number): Buffer {
  const block = pattern(16_384, 7);
  return Buffer.alloc(length, block);
}
