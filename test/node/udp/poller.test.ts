import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Libc } from '../../../src/node/udp/ffi.ts';
import { Poller } from '../../../src/node/udp/poller.ts';
import type { UdpPortHandlers } from '../../../src/node/udp-port.ts';
import { libc } from '../../support/fast-udp.ts';
import { describeUdpPort, loopback } from '../../support/udp-port-conformance.ts';

const handlers = (onBurst: UdpPortHandlers['onBurst'] = () => {}): UdpPortHandlers => ({
  onBurst,
  onDrain() {},
  onError() {},
});

const openDescriptors = ({ descriptors }: Poller): number[] => [...descriptors].filter((one) => one !== -1);

describe.skipIf(!libc)('UDP port of a poller', () => {
  let poller: Poller;
  let turns: NodeJS.Timeout;
  beforeAll(() => {
    poller = new Poller(libc!);
    turns = setInterval(() => {
      poller.wait(0);
      poller.receive();
    }, 1);
  });
  afterAll(async () => {
    clearInterval(turns);
    await poller.close();
    expect(openDescriptors(poller)).toEqual([]);
  });

  describeUdpPort((options, handlers) => poller.openUdpPort(options, handlers));
});

describe.skipIf(!libc)('Poller', () => {
  it('is woken by eight bytes from another thread, as often as they come', async () => {
    const found: number[] = [];
    const poll: Libc['poll'] = (...values) => {
      found.push(libc!.poll(...values));
      return found.at(-1)!;
    };
    const poller = new Poller({ ...libc!, poll });
    const told = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(
      `const { workerData: { descriptor, told } } = require('node:worker_threads');
      const { writeSync } = require('node:fs');
      for (let i = 1; i <= 3; i++) {
        Atomics.wait(told, 0, i - 1);
        writeSync(descriptor, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
      }`,
      { eval: true, workerData: { descriptor: poller.wakeDescriptor, told } },
    );
    for (let i = 1; i <= 3; i++) {
      Atomics.store(told, 0, i);
      Atomics.notify(told, 0);
      const before = found.length;
      for (let attempt = 0; attempt < 40 && !found.slice(before).includes(1); attempt++) poller.wait(250);
      expect(found.slice(before)).toContain(1);
      // The bytes were taken: nothing more is found.
      poller.wait(0);
      expect(found.at(-1)).toBe(0);
    }
    await worker.terminate();
    await poller.close();
  });

  it('sleeps for as long as it is told, in whole milliseconds, and never for long', async () => {
    const asked: number[] = [];
    const poll: Libc['poll'] = (_descriptors, _count, timeoutMs) => {
      asked.push(timeoutMs);
      return 0;
    };
    const poller = new Poller({ ...libc!, poll });
    for (const timeout of [0, -3, 0.2, 7, 1e9, Infinity]) poller.wait(timeout);
    expect(asked).toEqual([0, 0, 1, 7, 500, 500]);
    await poller.close();
  });

  it('hands over nothing of a port that was closed after it was found ready, by another port’s handler or before', async () => {
    const poller = new Poller(libc!);
    const heard = vi.fn();
    const ports = [0, 1].map((i) =>
      poller.open(
        { bind: loopback(4) },
        handlers(() => {
          heard(i);
          void ports[1 - i]!.close();
        }),
      ),
    );
    const early = poller.open({ bind: loopback(4) }, handlers(heard));
    const client = poller.open({ bind: loopback(4) }, handlers());
    for (const port of [...ports, early]) client.transmit.append(Uint8Array.of(1), port.local);
    client.flush();
    poller.wait(100);
    await early.close();
    poller.receive();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(openDescriptors(poller)).toHaveLength(3);
    await poller.close();
  });

  it('gives back every descriptor and every slab, however often ports are opened, closed and refused', async () => {
    const lent = new Set<Uint8Array>();
    const memory = {
      allocate(bytes: number): Uint8Array {
        const slab = new Uint8Array(bytes);
        lent.add(slab);
        return slab;
      },
      release: (slab: Uint8Array): void => void lent.delete(slab),
    };
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const poller = new Poller(libc!, memory);
    for (let i = 0; i < 50; i++) {
      const port = poller.open({ bind: loopback(4), ...memory }, handlers());
      expect(() => poller.open({ bind: port.local, ...memory }, handlers())).toThrow('EADDRINUSE');
      await port.close();
    }
    expect(lent.size).toBe(1);
    expect(openDescriptors(poller)).toEqual([poller.wakeDescriptor]);
    expect(descriptors()).toBe(before + 1);
    await poller.close();
    await poller.close();
    expect(lent.size).toBe(0);
    expect(descriptors()).toBe(before);
  });

  it('has room for 127 ports (ERR_UDP_PORT)', async () => {
    const poller = new Poller(libc!);
    for (let i = 0; i < 127; i++) poller.open({ bind: loopback(4) }, handlers());
    expect(() => poller.open({ bind: loopback(4) }, handlers())).toThrow(
      expect.objectContaining({ code: 'ERR_UDP_PORT' }),
    );
    await poller.close();
    expect(openDescriptors(poller)).toEqual([]);
  });
});
