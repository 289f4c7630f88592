/** Reading into memory of the user's: the `onread` option. */

import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { delay, pair, pattern, readAll, record, type SocketWorld } from './socket-world.ts';

type Callback = (this: unknown, bytes: number, buffer: Uint8Array) => boolean | undefined;

/** What came, copied at once, and what else `callback` answers. */
function reader(size: number, callback: Callback = () => undefined) {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(size);
  const onread = {
    buffer,
    callback(this: unknown, bytes: number, filled: Uint8Array): boolean | undefined {
      parts.push(Uint8Array.from(filled.subarray(0, bytes)));
      return callback.call(this, bytes, filled);
    },
  };
  return { onread, buffer, parts, received: () => Buffer.concat(parts) };
}

export function describeOnRead(world: () => SocketWorld): void {
  describe('reading with onread', () => {
    it('puts every byte into the one buffer, in order, and none into the stream', async () => {
      const { onread, buffer, parts, received } = reader(4096, (_, filled) => void expect(filled).toBe(buffer));
      const { client, accepted } = await pair(world(), {}, { onread });
      const seen = record(client, 'data', 'end');
      const bytes = pattern(1 << 20);
      accepted.end(bytes);
      await once(client, 'end');
      expect(received().equals(bytes)).toBe(true);
      expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(4096);
      expect([seen, client.bytesRead, client.readableLength]).toEqual([['end'], bytes.length, 0]);
    });

    it('calls back with the socket as this', async () => {
      let self: unknown;
      const { onread } = reader(64, function () {
        self = this;
        return undefined;
      });
      const { client, accepted } = await pair(world(), {}, { onread });
      accepted.end('x');
      await once(client, 'end');
      expect(self).toBe(client);
    });

    it('asks for another buffer after each piece, and writes no more in the one before', async () => {
      const handed: Buffer[] = [];
      let asked = 0;
      const onread = {
        buffer: () => {
          asked++;
          return Buffer.alloc(1024);
        },
        callback: (bytes: number, buffer: Uint8Array) => void handed.push(Buffer.from(buffer.buffer, 0, bytes)),
      };
      const { client, accepted } = await pair(world(), {}, { onread });
      const bytes = pattern(100_000);
      accepted.end(bytes);
      await once(client, 'end');
      expect(Buffer.concat(handed).equals(bytes)).toBe(true);
      expect(asked).toBe(handed.length + 1);
    });

    it('pauses when the callback says false, in the middle of what has come, and loses nothing', async () => {
      const { onread, parts, received } = reader(1000, () => false);
      const { client, accepted } = await pair(world(), {}, { onread });
      const bytes = pattern(20_000);
      accepted.end(bytes);
      const over = once(client, 'end');
      await delay(20);
      expect(parts).toHaveLength(1);
      const going = setInterval(() => client.resume(), 1);
      await over;
      clearInterval(going);
      expect(received().equals(bytes)).toBe(true);
    });

    it('stops at pause, from within the callback too, and the writer with it', async () => {
      const { onread, parts, received } = reader(1000, function () {
        if (parts.length === 3) (this as { pause(): void }).pause();
        return undefined;
      });
      const { client, accepted } = await pair(world(), {}, { onread });
      const bytes = pattern(4 * world().mostUnread);
      const written = new Promise((resolve) => accepted.end(bytes, () => resolve('written')));
      expect(await Promise.race([written, delay(50)])).toBe(undefined);
      expect(parts).toHaveLength(3);
      client.resume();
      await once(client, 'end');
      expect(received().equals(bytes)).toBe(true);
    });

    it('does not call back within the callback that resumes', async () => {
      let depth = 0;
      let deepest = 0;
      const { onread, received } = reader(500, function () {
        deepest = Math.max(deepest, ++depth);
        (this as { pause(): { resume(): void } }).pause().resume();
        depth--;
        return undefined;
      });
      const { client, accepted } = await pair(world(), {}, { onread });
      const bytes = pattern(10_000);
      accepted.end(bytes);
      await once(client, 'end');
      expect(deepest).toBe(1);
      expect(received().equals(bytes)).toBe(true);
    });

    it('is heard no more after destroy', async () => {
      const { onread, parts } = reader(100, function () {
        (this as { destroy(): void }).destroy();
        return undefined;
      });
      const { client, accepted } = await pair(world(), {}, { onread });
      accepted.write(pattern(5_000));
      await once(client, 'close');
      expect(parts).toHaveLength(1);
    });

    it('means nothing without a callback, or without a buffer', async () => {
      for (const onread of [{ buffer: new Uint8Array(9) }, { buffer: 'text', callback: () => {} }, null]) {
        const { client, accepted } = await pair(world(), {}, { onread: onread as never });
        accepted.end('as ever');
        expect(String(await readAll(client))).toBe('as ever');
      }
    });
  });
}
