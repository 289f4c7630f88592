/** What `setTimeout` of a socket does. */

import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { delay, dial, listen, pair, readAll, record, type SocketWorld } from './socket-world.ts';

export function describeTimeout(world: () => SocketWorld): void {
  describe('idle timers', () => {
    it('emit timeout after the time without traffic, and leave the socket alone', async () => {
      const { client, accepted } = await pair(world());
      const before = Date.now();
      client.setTimeout(60);
      await once(client, 'timeout');
      expect(Date.now() - before).toBeGreaterThanOrEqual(55);
      expect(client.destroyed).toBe(false);
      client.end('still works');
      expect(String(await readAll(accepted))).toBe('still works');
    });

    it('are put off by writing and by reading', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      let trafficAt = performance.now();
      const quiet: number[] = [];
      client.on('data', () => (trafficAt = performance.now()));
      client.on('timeout', () => quiet.push(performance.now() - trafficAt));
      client.setTimeout(300);
      for (let i = 0; i < 4; i++) {
        await delay(180);
        if (i % 2 === 1) accepted.write('x');
        else {
          trafficAt = performance.now();
          client.write('x');
        }
      }
      await once(client, 'timeout');
      // However late a busy machine is with all of it.
      for (const milliseconds of quiet) expect(milliseconds).toBeGreaterThan(200);
    });

    it('run from the start of the connect, with the option timeout', async () => {
      const { port } = await listen(world());
      const client = dial(world(), port, { timeout: 70 });
      expect(client.timeout).toBe(70);
      await once(client, 'timeout');
      expect(client.connecting).toBe(false);
    });

    it('fire again after new traffic', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      client.setTimeout(40);
      await once(client, 'timeout');
      client.write('x');
      await once(client, 'timeout');
    });

    it('are switched off by 0, which also removes the listener', async () => {
      const { client } = await pair(world());
      let fired = 0;
      const onTimeout = (): void => void fired++;
      client.setTimeout(30, onTimeout);
      client.setTimeout(0, onTimeout);
      await delay(80);
      expect([fired, client.listenerCount('timeout')]).toEqual([0, 0]);
    });

    it('call the listener given to setTimeout once', async () => {
      const { client, accepted } = await pair(world());
      accepted.resume();
      let fired = 0;
      client.setTimeout(30, () => void fired++);
      await once(client, 'timeout');
      client.write('x');
      await once(client, 'timeout');
      expect(fired).toBe(1);
    });

    it('do not fire after destroy', async () => {
      const { client } = await pair(world());
      const seen = record(client, 'timeout');
      client.setTimeout(30);
      client.destroy();
      await delay(80);
      expect(seen).toEqual([]);
    });

    it('throw for what is no time', async () => {
      const { client } = await pair(world());
      expect(() => client.setTimeout('1' as unknown as number)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
      for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY])
        expect(() => client.setTimeout(wrong)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
      expect(() => client.setTimeout(1, 'x' as unknown as () => void)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    });
  });
}
