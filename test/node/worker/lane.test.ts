/** One direction between the two threads of an engine, seen from one. */
import { MessageChannel } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import type { Downward, Upward } from '../../../src/node/worker/codec.ts';
import { Inbox, Outbox } from '../../../src/node/worker/lane.ts';
import { createRing } from '../../../src/node/worker/ring.ts';

const channels: MessageChannel[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const { port1, port2 } of channels.splice(0)) {
    port1.close();
    port2.close();
  }
});

type Message = Upward | Downward;

class Lane {
  wakes = 0;
  rooms = 0;
  drops = 0;
  /** Whose stream bytes are lent. */
  readonly lent: Set<number> = new Set();
  readonly outbox: Outbox;
  readonly #inbox: Inbox<Message>;

  constructor(bytes: number) {
    const channel = new MessageChannel();
    channels.push(channel);
    const ring = createRing(bytes);
    this.outbox = new Outbox(
      { ring, messages: channel.port1 },
      { wake: () => this.wakes++, onDrop: () => this.drops++ },
    );
    const isLent = (socket: number): boolean => this.lent.has(socket);
    this.#inbox = new Inbox({ ring, messages: channel.port2 }, () => this.rooms++, isLent);
  }

  /** As they are handed over. */
  look(take: (message: Message) => void): void {
    this.#inbox.drain(take);
  }

  /** Views of commands are copied, since they hold only until the next one. */
  drain(): Message[] {
    const messages: Message[] = [];
    this.#inbox.drain((message) => {
      const bytes =
        'bytes' in message && typeof message.bytes !== 'number' ? Uint8Array.from(message.bytes) : undefined;
      messages.push(bytes ? ({ ...message, bytes } as Message) : message);
    });
    return messages;
  }
}

const data = (socket: number, length: number, fill = 1): Extract<Upward, { kind: 'tcp-data' }> => ({
  kind: 'tcp-data',
  socket,
  bytes: new Uint8Array(length).fill(fill),
});
const datagram: Upward = {
  kind: 'udp-datagram',
  socket: 4,
  bytes: Uint8Array.of(1, 2, 3),
  from: { address: ip('2001:db8::1'), port: 40_001 },
};

describe('a lane', () => {
  it('keeps one order of what is in the ring and what is beside it', () => {
    const lane = new Lane(4096);
    const messages: Message[] = [
      { kind: 'tcp-connect', socket: 1, to: { address: ip('10.0.0.1'), port: 80 } },
      { kind: 'tcp-write', socket: 1, bytes: Uint8Array.of(9, 8) },
      { kind: 'udp-send', socket: 2, bytes: Uint8Array.of(7), to: { address: ip('10.0.0.2'), port: 53 } },
      { kind: 'control', command: { kind: 'start' } },
      { kind: 'tcp-credit', socket: 1, bytes: 70_000 },
      { kind: 'tcp-write-credit', socket: -1, bytes: 5 },
      datagram,
      data(-7, 3),
      { kind: 'tcp-end', socket: -7 },
      { kind: 'closed', socket: -7, error: 'ECONNRESET' },
    ];
    for (const message of messages) lane.outbox.send(message);
    expect(lane.drain()).toEqual([]);
    lane.outbox.flush();
    expect(lane.drain()).toEqual(messages);
  });

  it('hands over the bytes of a stream as the reader’s own, those of a stream that is lent where they are', () => {
    const lane = new Lane(4096);
    lane.lent.add(2);
    for (const socket of [1, 2]) lane.outbox.send(data(socket, 100, socket));
    lane.outbox.flush();
    const memories: string[] = [];
    lane.look((message) => {
      const { socket, bytes } = message as ReturnType<typeof data>;
      memories.push(`${socket} ${bytes[99]} ${bytes.buffer.constructor.name}`);
    });
    expect(memories).toEqual(['1 1 ArrayBuffer', '2 2 SharedArrayBuffer']);
  });

  it('wakes the other side once for everything that a flush shows, and not for nothing', () => {
    const lane = new Lane(4096);
    lane.outbox.send(data(1, 5));
    lane.outbox.send(data(1, 5));
    lane.outbox.flush();
    lane.outbox.flush();
    expect(lane.wakes).toBe(1);
  });

  it('lets small credit wait for another reason to wake the other side, but a moment at most', () => {
    vi.useFakeTimers();
    const lane = new Lane(4096);
    const credit = (bytes: number): void => {
      lane.outbox.send({ kind: 'tcp-credit', socket: 1, bytes });
      lane.outbox.flush();
    };
    credit(30_000);
    credit(30_000);
    expect([lane.wakes, lane.outbox.wakesSoon]).toEqual([0, true]);
    vi.runAllTimers();
    expect([lane.wakes, lane.outbox.wakesSoon]).toEqual([1, false]);
    credit(65_536);
    expect(lane.wakes).toBe(2);
    lane.drain();
    credit(1);
    expect(lane.drain()).toHaveLength(1);
    vi.runAllTimers();
    expect(lane.wakes).toBe(2);
  });

  it('loses and reorders nothing when the ring is full: what finds no room goes on when there is some', () => {
    const lane = new Lane(4096);
    const sent: Message[] = [];
    for (let i = 0; i < 60; i++) sent.push(data(i, 300, i), { kind: 'closed', socket: i });
    for (const message of sent) lane.outbox.send(message);
    lane.outbox.flush();
    const got: Message[] = [];
    for (let part = lane.drain(); part.length > 0; part = lane.drain()) {
      got.push(...part);
      lane.outbox.retry();
    }
    expect(got).toEqual(sent);
    expect(lane.rooms).toBeGreaterThan(1);
  });

  it('holds bytes that wait as they were when they were sent', () => {
    const lane = new Lane(4096);
    const bytes = new Uint8Array(1_500).fill(1);
    for (let i = 0; i < 4; i++) lane.outbox.send({ kind: 'tcp-write', socket: 1, bytes });
    bytes.fill(2);
    lane.outbox.flush();
    const got = lane.drain();
    lane.outbox.retry();
    got.push(...lane.drain());
    lane.outbox.retry();
    got.push(...lane.drain());
    const values = got.flatMap((message) => (message.kind === 'tcp-write' ? [...new Set(message.bytes)] : []));
    expect(values).toEqual([1, 1, 1, 1]);
  });

  it('drops datagrams that find no room, and counts them', () => {
    const lane = new Lane(1024);
    for (let i = 0; i < 40; i++) lane.outbox.send(datagram);
    lane.outbox.flush();
    const arrived = lane.drain().length;
    expect(arrived).toBeGreaterThan(5);
    expect(lane.drops).toBeGreaterThan(5);
    expect(arrived + lane.drops).toBe(40);
    lane.outbox.retry();
    expect(lane.drain()).toEqual([]);
  });

  it('cuts a chunk that is longer than a ring takes', () => {
    const lane = new Lane(4096);
    lane.outbox.send({ kind: 'tcp-data', socket: 3, bytes: Uint8Array.from({ length: 10_000 }, (_, i) => i) });
    lane.outbox.flush();
    const bytes: number[] = [];
    for (let part = lane.drain(); part.length > 0; part = lane.drain()) {
      for (const message of part) if (message.kind === 'tcp-data') bytes.push(...message.bytes);
      lane.outbox.retry();
    }
    expect(bytes).toEqual(Array.from({ length: 10_000 }, (_, i) => i & 0xff));
  });
});
