/** Hostile bytes on live connections: nothing throws, no byte of a stream is wrong, memory stays within its bounds. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { instant } from '../../../../src/core/base/instant.ts';
import { deep } from '../../../support/deep.ts';
import { dataLength, established, listening, SOCKET } from '../../../support/tcp-script.ts';
import { Host, seeded } from '../../../support/tcp-simulation.ts';

describe('fuzz', () => {
  it('one valid segment changed at random places, checksum mended, on a live connection', () => {
    const random = seeded(11);
    const pick = (n: number): number => Math.floor(random() * n);
    for (let round = 0; round < deep(150, 3000); round++) {
      const script = established({ seed: round, ts: random() < 0.5, sackOk: random() < 0.7, scale: pick(15) - 1 });
      const payload = new Uint8Array(20_000);
      let credit = 256 * 1024;
      for (let i = 0; i < 60; i++) {
        script.at(script.now + random() * 50);
        const size = Math.min(credit, pick(payload.length));
        if (random() < 0.3) {
          script.command(script.now, { kind: 'tcp-write', socket: SOCKET, bytes: payload.subarray(0, size) });
          credit -= size;
        }
        const packet = script.build({
          flags: ['A', 'PA', 'FA', 'R', 'S', 'SA', 'FPA'][pick(7)]!,
          seq: 1 + pick(3) * 500 - 500,
          ack: 1 + pick(20_000),
          length: pick(800),
          ...(random() < 0.3 ? { sack: [[1 + pick(9000), 1 + pick(20_000)]] as const } : {}),
        });
        for (let change = pick(4); change > 0; change--)
          packet[20 + pick(Math.min(60, packet.length - 20))] = pick(256);
        packet.set([0x13, 0x88, script.localPort >>> 8, script.localPort], 20);
        script.feed(script.finish(Uint8Array.from([...packet, ...new Uint8Array(40)]), packet.length - 20));
        if (random() < 0.7) script.tcp.endBurst(script.time);
        script.drain();
        script.take();
        for (const event of script.takeEvents()) if (event.kind === 'tcp-write-credit') credit += event.bytes;
      }
      script.tcp.endBurst(script.time);
      script.at(script.now + 2e6);
      const left = script.tcp.memoryUse();
      expect(left.outOfOrderBytes).toBeLessThanOrEqual(64 * 1024 + 2 * 16_384);
    }
  }, 600_000);

  it('packets that are expected, whatever they hold and whether they come or not, change nothing', () => {
    const run = (hints: boolean): string => {
      const random = seeded(14);
      const script = listening();
      const peers = [10_000, 10_001, 10_002];
      for (const port of peers) {
        script.remotePort = port;
        script.inject(0, { flags: 'S', seq: 0, mss: 1460, sackOk: true, scale: 7, ts: [1, 0] });
        script.inject(0, { flags: 'A', seq: 1, ack: 1, ts: [1, 0] });
      }
      const seen: unknown[] = [];
      const noise = new Uint8Array(64);
      for (let i = 0; i < 300; i++) {
        for (let k = 0; k < noise.length; k++) noise[k] = random() * 256;
        const packets = peers.map((port) => {
          script.remotePort = port;
          return script.build({ flags: 'PA', seq: 1 + i * 100, ack: 1, length: 100, ts: [1, 0] });
        });
        if (hints) {
          // Often, as if all of them were refused further up.
          for (let k = 0; k < (i % 40 === 0 ? 100 : 1); k++)
            for (const packet of [noise, ...packets.toReversed()]) script.tcp.expect(packet, 0);
        }
        script.at(script.now + 1);
        for (const packet of packets) if (random() < 0.95) script.feed(packet);
        if (i % 3 === 0) script.tcp.endBurst(script.time);
        script.drain();
        seen.push(script.take(), script.takeEvents());
      }
      return JSON.stringify([seen, script.tcp.counts(), script.tcp.memoryUse(), script.drops]);
    };
    const without = run(false);
    expect(without).toContain('tcp-data');
    expect(run(true)).toBe(without);
  });

  it('arbitrary bytes as segments, at a listener and a connection', () => {
    const random = seeded(12);
    const script = listening();
    const bytes = new Uint8Array(1600);
    for (let i = 0; i < deep(10_000, 200_000); i++) {
      const length = Math.floor(random() * 100);
      for (let k = 0; k < length + 12; k++) bytes[k] = random() * 256;
      script.tcp.handleSegment(bytes, 12, length, 4, 0, 4, script.time);
      if (i % 50 === 0) script.tcp.endBurst(script.time);
    }
    expect(script.tcp.counts().connections).toBe(0);
  });

  it('commands in any order, for any socket', () => {
    const random = seeded(13);
    for (let round = 0; round < deep(40, 500); round++) {
      const script = established({ seed: round });
      for (let i = 0; i < 60; i++) {
        const socket = [SOCKET, 2, -1, 99][Math.floor(random() * 4)]!;
        const kind = Math.floor(random() * 8);
        const now = script.now + random() * 20;
        if (kind === 0) script.command(now, { kind: 'tcp-shutdown', socket });
        else if (kind === 1 && random() < 0.1) script.command(now, { kind: 'tcp-abort', socket });
        else if (kind === 2) script.command(now, { kind: 'tcp-credit', socket, bytes: Math.floor(random() * 1e6) });
        else if (kind === 3) script.command(now, { kind: 'tcp-write', socket, bytes: new Uint8Array(100) });
        else if (kind === 4)
          script.command(now, { kind: 'tcp-options', socket, keepAliveMs: random() * 100, noDelay: false });
        else if (kind === 5) script.command(now, { kind: 'close', socket });
        else script.inject(now, { flags: ['A', 'PA', 'FA', 'R'][Math.floor(random() * 4)]!, seq: 1, length: 10 });
        script.take();
      }
      const kinds = script.takeEvents().filter((event) => 'socket' in event && event.socket === SOCKET);
      const closed = kinds.findIndex((event) => event.kind === 'closed');
      if (closed >= 0) expect(closed, '`closed` is the last event of a socket').toBe(kinds.length - 1);
    }
  });
});

describe('memory in the face of hostile peers', () => {
  it('segments of one byte, each in another page, buy no more than the window and no more ranges than the limit', () => {
    const script = established({ settings: { receiveWindowMax: 1 << 20, receiveWindowStart: 1 << 20 } });
    for (let i = 0; i < 5000; i++) script.inject(20 + i / 100, { flags: 'A', seq: 2 + i * 200, ack: 1, length: 1 });
    script.take();
    expect(script.tcp.memoryUse().outOfOrderBytes).toBeLessThanOrEqual((1 << 20) + 2 * 16_384);
    script.command(100, { kind: 'tcp-abort', socket: SOCKET });
    expect(script.tcp.memoryUse()).toEqual({ windowBytes: 0, outOfOrderBytes: 0, sendBufferBytes: 0 });
  });

  it('many peers together hold no more out of order than the budget', () => {
    const budget = 2 << 20;
    const script = listening({ settings: { receiveBudget: budget, synQueueLimit: 1000 } });
    for (let i = 0; i < 300; i++) {
      script.remotePort = 10_000 + i;
      script.inject(i, { flags: 'S', seq: 0, mss: 1460, sackOk: true, scale: 7 });
      script.inject(i, { flags: 'A', seq: 1, ack: 1 });
      script.inject(i, ...[1, 2, 3].map((n) => ({ flags: 'A', seq: 1 + n * 16_400, ack: 1, length: 1 })));
    }
    expect(script.tcp.memoryUse().outOfOrderBytes).toBeLessThanOrEqual(budget);
    expect(script.tcp.memoryUse().outOfOrderBytes).toBeGreaterThan(budget / 2);
    expect(script.drops.get('tcp-memory')).toBeGreaterThan(300);
    // Data in order is taken all the same.
    script.takeEvents();
    script.inject(1000, { flags: 'A', seq: 1, ack: 1, length: 100 });
    expect(dataLength(script.takeEvents())).toBe(100);
  });

  it('a peer that acknowledges by bytes, and one with tiny windows, cost a bounded queue', () => {
    const script = established({ window: 88, mss: 88, ts: false });
    script.command(20, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(200_000) });
    for (let i = 1; i < 5000; i++) {
      script.inject(20 + i, { flags: 'A', seq: 1, ack: 1 + i, window: 88 });
      script.take();
    }
    expect(script.tcp.memoryUse().sendBufferBytes).toBeLessThanOrEqual(256 * 1024);
  });

  it('a flood of SYNs leaves no more than the queue of half-open connections', () => {
    const script = listening({ settings: { synQueueLimit: 128 } });
    for (let i = 0; i < 20_000; i++) {
      script.feed(script.build({ flags: 'S', seq: i, mss: 1460 }, 1024 + (i % 60_000)));
      if (i % 64 === 0) {
        script.tcp.endBurst(script.time);
        script.drain();
        script.take();
      }
    }
    script.tcp.endBurst(script.time);
    expect(script.tcp.counts().connections).toBeLessThanOrEqual(128);
    script.at(200_000);
    expect(script.tcp.counts().connections).toBe(0);
    expect(script.tcp.memoryUse()).toEqual({ windowBytes: 0, outOfOrderBytes: 0, sendBufferBytes: 0 });
  });

  it('an idle connection costs less than 10 KiB', () => {
    expect(idleBytes()).toBeLessThan(10 * 1024);
  });
});

/** Heap and array buffers per connection, of 2000 that each carried a little data both ways and are idle now. */
function idleBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const count = 2000;
  const packets: [Host, Uint8Array][] = [];
  const [a, b] = [new Host('10.0.0.1', 1, {}), new Host('10.0.0.2', 2, {})];
  const buffer = new Uint8Array(2048);
  const now = (t: number) => instant(t);
  const exchange = (t: number): void => {
    for (let busy = true; busy; ) {
      busy = false;
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (let n = from.tcp.nextPacket(buffer, 0, now(t)); n > 0; n = from.tcp.nextPacket(buffer, 0, now(t))) {
          packets.push([to, buffer.slice(0, n)]);
          busy = true;
        }
      }
      for (const [to, packet] of packets.splice(0))
        to.tcp.handleSegment(packet, 20, packet.length - 20, 4, 12, 16, now(t));
      for (const host of [a, b]) {
        host.tcp.endBurst(now(t));
        host.deliverEvents();
      }
    }
  };
  const use = (): number => {
    collect();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  b.onEvent = (event) => {
    if (event.kind === 'tcp-accepted')
      b.tcp.handleCommand({ kind: 'tcp-write', socket: event.socket, bytes: new Uint8Array(68) }, now(1));
    if (event.kind === 'tcp-data')
      b.tcp.handleCommand({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now(1));
  };
  a.onEvent = (event) => {
    if (event.kind === 'tcp-connected')
      a.tcp.handleCommand({ kind: 'tcp-write', socket: event.socket, bytes: new Uint8Array(68) }, now(1));
    if (event.kind === 'tcp-data')
      a.tcp.handleCommand({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now(1));
  };
  b.tcp.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 10_000 }, now(0));
  exchange(0);
  const before = use();
  for (let i = 0; i < count; i += 50) {
    for (let k = 0; k < 50; k++)
      a.tcp.handleCommand({ kind: 'tcp-connect', socket: i + k + 1, to: { address: b.address, port: 80 } }, now(1));
    exchange(1);
  }
  const t = 1000;
  for (const host of [a, b]) host.tcp.handleTimeout(now(t));
  exchange(t);
  expect(a.tcp.counts().connections).toBe(count);
  expect(b.tcp.counts().connections).toBe(count);
  const bytes = (use() - before) / (2 * count);
  return bytes;
}
