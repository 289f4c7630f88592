/** The data structures against naive models of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instant } from '../../../../src/core/base/instant.ts';
import { Delivery, Slab } from '../../../../src/core/netstack/tcp/delivery.ts';
import { Flight } from '../../../../src/core/netstack/tcp/flight.ts';
import { MemoryBudget } from '../../../../src/core/netstack/tcp/memory.ts';
import { SequenceRanges } from '../../../../src/core/netstack/tcp/ranges.ts';
import { Reassembly } from '../../../../src/core/netstack/tcp/reassembly.ts';
import { SendBuffer } from '../../../../src/core/netstack/tcp/send-buffer.ts';
import { seqAdd, seqDiff, seqGt, seqLt } from '../../../../src/core/netstack/tcp/sequence.ts';
import { halfSipHash } from '../../../../src/core/netstack/tcp/siphash.ts';
import { nextState, STATES, type State } from '../../../../src/core/netstack/tcp/state.ts';
import { type Timed, TimerHeap } from '../../../../src/core/netstack/tcp/timers.ts';
import { NONE, SACKED, TransmitQueue } from '../../../../src/core/netstack/tcp/transmit-queue.ts';
import { TUPLE_WORDS, TupleTable } from '../../../../src/core/netstack/tcp/tuple.ts';
import { heldBytes } from '../../../support/memory.ts';

describe('sequence numbers (RFC 9293 §3.4)', () => {
  it('compare across the wrap at 2^32 and across the sign at 2^31', () => {
    for (const base of [0, 0x7fff_fff0, -0x8000_0000, -10]) {
      const ahead = seqAdd(base, 1000);
      expect(seqDiff(ahead, base | 0)).toBe(1000);
      expect(seqGt(ahead, base | 0) && seqLt(base | 0, ahead)).toBe(true);
    }
  });
});

describe('ranges', () => {
  it('hold what a set of numbers would, at any place of the sequence space', () => {
    const step = fc.record({ at: fc.nat(200), length: fc.integer({ min: 1, max: 30 }), cut: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        (steps, base) => {
          const ranges = new SequenceRanges(1000);
          let model = new Set<number>();
          for (const { at, length, cut } of steps) {
            if (cut && at > 150) {
              ranges.removeBelow(seqAdd(base, at - 150));
              model = new Set([...model].filter((n) => n >= at - 150));
            } else {
              ranges.add(seqAdd(base, at), seqAdd(base, at + length));
              for (let n = at; n < at + length; n++) model.add(n);
            }
          }
          for (let n = 0; n < 240; n++) expect(ranges.find(seqAdd(base, n)) >= 0).toBe(model.has(n));
          for (let i = 1; i < ranges.count; i++)
            expect(seqDiff(ranges.startOf(i), ranges.endOf(i - 1)), 'a gap between ranges').toBeGreaterThan(0);
          for (let n = 0; n < 240; n++) {
            let missing = n;
            while (model.has(missing)) missing++;
            expect(seqDiff(ranges.nextMissing(seqAdd(base, n)), base)).toBe(missing);
          }
        },
      ),
    );
  });

  it('refuse one more than their limit, but still take what joins or extends', () => {
    const ranges = new SequenceRanges(2);
    expect([ranges.add(0, 10), ranges.add(20, 30), ranges.add(40, 50)]).toEqual([true, true, false]);
    expect(ranges.add(10, 20)).toBe(true);
    expect([ranges.count, ranges.startOf(0), ranges.endOf(0)]).toEqual([1, 0, 30]);
  });
});

describe('reassembly', () => {
  it('gives back every byte where it belongs, whatever order the segments come in', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        fc.array(fc.tuple(fc.nat(120_000), fc.integer({ min: 1, max: 3000 })), { maxLength: 80 }),
        (base, segments) => {
          const memory = new MemoryBudget(1 << 24, 1 << 24);
          const reassembly = new Reassembly(memory, 1000);
          const delivery = new Delivery(new Slab());
          const stream = Uint8Array.from({ length: 130_000 }, (_, i) => (i * 7 + (i >>> 8)) & 255);
          for (const [at, length] of segments) reassembly.write(stream, at + 1, length, seqAdd(base, at + 1), base);
          // The hole in front is one byte.
          delivery.append(stream, 0, 1);
          const next = reassembly.take(seqAdd(base, 1), delivery);
          const received: number[] = [];
          delivery.flush({ emit: (event: { bytes: Uint8Array }) => received.push(...event.bytes) } as never, 1);
          const expected = seqDiff(next, base);
          expect(received).toEqual([...stream.subarray(0, expected)]);
          reassembly.clear();
          expect(memory.outOfOrder).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('charges pages, not bytes, and refuses when the budget is spent', () => {
    const memory = new MemoryBudget(64 * 1024, 1 << 20);
    const reassembly = new Reassembly(memory, 1000);
    const byte = new Uint8Array(1);
    const kept = Array.from({ length: 8 }, (_, i) => reassembly.write(byte, 0, 1, 1 + i * 16_384, 0));
    expect(kept).toEqual([true, true, true, true, false, false, false, false]);
    expect(memory.outOfOrder).toBe(64 * 1024);
    expect(reassembly.ranges.count).toBe(4);
  });
});

describe('delivery', () => {
  it('makes one chunk of what a connection got in a burst, though another got as much in between', () => {
    const slab = new Slab();
    const [a, b] = [new Delivery(slab), new Delivery(slab)];
    const chunks: Uint8Array[] = [];
    const host = { emit: (event: { bytes: Uint8Array }) => chunks.push(event.bytes) } as never;
    const packet = new Uint8Array(1368);
    for (let burst = 0; burst < 2; burst++) {
      chunks.length = 0;
      for (let i = 0; i < 8; i++) for (const delivery of [a, b]) delivery.append(packet, 0, packet.length);
      a.flush(host, 1);
      b.flush(host, 2);
    }
    expect(chunks.map((chunk) => chunk.length)).toEqual([8 * 1368, 8 * 1368]);
  });

  it('never hands out the same memory twice', () => {
    const slab = new Slab();
    const deliveries = [new Delivery(slab), new Delivery(slab), new Delivery(slab)];
    const chunks: Uint8Array[] = [];
    const host = { emit: (event: { bytes: Uint8Array }) => chunks.push(event.bytes) } as never;
    const random = (n: number, i: number): number => (i * 7919) % n;
    for (let i = 0; i < 3000; i++) {
      const length = 1 + random(1400, i);
      deliveries[random(3, i)]!.append(new Uint8Array(length).fill(i), 0, length);
      if (random(17, i) === 0) for (const delivery of deliveries) delivery.flush(host, 1);
    }
    // Where copies to shared memory are fast.
    expect(chunks.every((chunk) => chunk.byteOffset % 8 === 0)).toBe(true);
    const taken = new Map<ArrayBufferLike, [number, number][]>();
    for (const chunk of chunks)
      taken.set(chunk.buffer, [
        ...(taken.get(chunk.buffer) ?? []),
        [chunk.byteOffset, chunk.byteOffset + chunk.length],
      ]);
    for (const ranges of taken.values()) {
      ranges.sort(([x], [y]) => x - y);
      for (let i = 1; i < ranges.length; i++) expect(ranges[i]![0]).toBeGreaterThanOrEqual(ranges[i - 1]![1]);
    }
  });

  it('uses memory again that was given back, and none that a reader still has', () => {
    const slab = new Slab();
    const deliveries = [new Delivery(slab), new Delivery(slab)];
    const read: { readonly chunk: Uint8Array; readonly value: number }[] = [];
    const memory = new Set<ArrayBufferLike>();
    let value = 0;
    const host = {
      emit: ({ bytes }: { bytes: Uint8Array }) => {
        memory.add(bytes.buffer);
        read.push({ chunk: bytes, value });
      },
    } as never;
    for (let burst = 0; burst < 2000; burst++) {
      value = burst & 255;
      for (let i = 0; i < 4; i++)
        for (const delivery of deliveries) delivery.append(new Uint8Array(1368).fill(value), 0, 1368);
      for (const delivery of deliveries) delivery.flush(host, 1);
      // Eight bursts behind, more than one piece; now one reader first, now the other.
      while (read.length > 16) {
        const [{ chunk, value: expected }] = read.splice(burst & 1, 1) as [(typeof read)[number]];
        expect(chunk.every((byte) => byte === expected)).toBe(true);
        slab.reclaim(chunk);
      }
    }
    expect(memory.size).toBeLessThanOrEqual(4);
  });

  it('takes no new memory for bursts of 1 MiB that are given back whole', () => {
    const slab = new Slab();
    const delivery = new Delivery(slab);
    const read: Uint8Array[] = [];
    const memory = new Set<ArrayBufferLike>();
    const host = { emit: ({ bytes }: { bytes: Uint8Array }) => void read.push(bytes) } as never;
    const packet = new Uint8Array(1368);
    for (let burst = 0; burst < 50; burst++) {
      for (let i = 0; i < 766; i++) delivery.append(packet, 0, packet.length);
      delivery.flush(host, 1);
      for (const chunk of read.splice(0)) {
        memory.add(chunk.buffer);
        slab.reclaim(chunk);
      }
    }
    const packetsOfPiece = Math.floor((64 << 10) / packet.length);
    expect(memory.size).toBe(Math.ceil(766 / packetsOfPiece));
  });

  it('hands a chunk that came back out again, for as many bytes at the same place, and no other', () => {
    const slab = new Slab();
    const delivery = new Delivery(slab);
    const read: Uint8Array[] = [];
    const host = { emit: ({ bytes }: { bytes: Uint8Array }) => void read.push(bytes) } as never;
    const burst = (length: number): Uint8Array => {
      delivery.append(new Uint8Array(length).fill(length), 0, length);
      delivery.flush(host, 1);
      return read.at(-1)!;
    };
    const first = burst(100);
    const second = burst(100);
    expect(second).not.toBe(first);
    slab.reclaim(second);
    slab.reclaim(first);
    expect(burst(100)).toBe(first);
    const longer = burst(101);
    expect(longer).not.toBe(second);
    expect(longer).toEqual(new Uint8Array(101).fill(101));
    // In the hands of a reader, neither is written again.
    expect(burst(100)).not.toBe(first);
    expect(first).toEqual(new Uint8Array(100).fill(100));
  });
});

describe('the send buffer', () => {
  it('is a queue of bytes with random access', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), n: fc.nat(40_000) }),
      fc.record({ kind: fc.constant('release' as const), n: fc.nat(40_000) }),
      fc.record({ kind: fc.constant('read' as const), n: fc.nat(40_000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const buffer = new SendBuffer(new MemoryBudget(1, 1));
        let model: number[] = [];
        let counter = 0;
        for (const { kind, n } of steps) {
          if (kind === 'append') {
            const bytes = Uint8Array.from({ length: n }, () => counter++ & 255);
            buffer.append(bytes);
            for (const byte of bytes) model.push(byte);
          } else if (kind === 'release') {
            const size = Math.min(n, model.length);
            buffer.release(size);
            model = model.slice(size);
          } else {
            const length = Math.min(1400, model.length - Math.min(n, model.length));
            const target = new Uint8Array(1400);
            const from = Math.min(n, model.length);
            buffer.copyTo(from, target, 0, length);
            expect([...target.subarray(0, length)]).toEqual(model.slice(from, from + length));
          }
          expect(buffer.length).toBe(model.length);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('the flight', () => {
  it('is the most that was outstanding in this round trip or the one before', () => {
    const flight = new Flight();
    flight.begin(-1000);
    flight.onSent(8000);
    flight.onAck(-1000, 8000, 7000);
    expect(flight.peak).toBe(8000);
    // Nothing more is sent: until all of it is acknowledged the round trip lasts.
    for (let acknowledged = 0; acknowledged < 7000; acknowledged += 1000)
      flight.onAck(acknowledged, 7000 - acknowledged, 7000);
    expect(flight.peak).toBe(8000);
    flight.onAck(7000, 0, 7000);
    flight.onSent(500);
    expect(flight.peak).toBe(8000);
    flight.onAck(7500, 0, 7500);
    expect(flight.peak).toBe(500);
    flight.onAck(7500, 0, 7500);
    expect(flight.peak).toBe(0);
  });
});

describe('the transmit queue', () => {
  it('keeps its sums and its list of what is in the network, whatever happens to segments', () => {
    const step = fc.record({
      kind: fc.constantFrom('push', 'shift', 'sack', 'lose', 'resend', 'undo', 'cut'),
      n: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new TransmitQueue();
        let sequence = 0x7fff_ff00;
        let now = 0;
        for (const { kind, n } of steps) {
          now++;
          const slot = queue.count > 0 ? queue.slot(n % queue.count) : NONE;
          if (kind === 'push') {
            queue.push(sequence, 100, 0, instant(now));
            sequence = seqAdd(sequence, 100);
          } else if (queue.count === 0) continue;
          else if (kind === 'shift') queue.shift();
          else if (kind === 'sack' && (queue.flags(slot) & SACKED) === 0) queue.markSacked(slot);
          else if (kind === 'lose') queue.markLost(slot);
          else if (kind === 'resend' && queue.nextLost() !== NONE) queue.retransmitted(queue.nextLost(), instant(now));
          else if (kind === 'undo') queue.forgetLost();
          else if (kind === 'cut' && n < 3) queue.resegment(37, true);
          check(queue);
        }
      }),
    );
  });

  it('gives back what a busy time took, once everything is acknowledged', () => {
    const queues = Array.from({ length: 200 }, () => new TransmitQueue());
    const before = heldBytes();
    for (const queue of queues) {
      for (let i = 0; i < 3000; i++) queue.push(i * 100, 100, 0, instant(i));
      while (queue.count > 0) queue.shift();
    }
    expect((heldBytes() - before) / queues.length).toBeLessThan(4096);
    for (const queue of queues) {
      queue.push(7, 100, 0, instant(1));
      check(queue);
    }
  });

  const check = (queue: TransmitQueue): void => {
    let [inFlight, sacked, lost] = [0, 0, 0];
    let firstLost: number = NONE;
    for (let i = 0; i < queue.count; i++) {
      const slot = queue.slot(i);
      const length = queue.length(slot);
      if ((queue.flags(slot) & SACKED) !== 0) sacked += length;
      else if ((queue.flags(slot) & 2) !== 0) {
        lost += length;
        if (firstLost === NONE) firstLost = slot;
      } else inFlight += length;
      if (i > 0) expect(queue.sequence(slot)).toBe(queue.end(queue.slot(i - 1)));
    }
    expect([queue.inFlight, queue.sackedBytes, queue.lostBytes]).toEqual([inFlight, sacked, lost]);
    expect(queue.nextLost()).toBe(firstLost);
    let listed = 0;
    for (let slot = queue.oldest; slot !== NONE; slot = queue.newer(slot)) listed += queue.length(slot);
    expect(listed).toBe(inFlight);
  };
});

describe('the tuple table', () => {
  it('finds what a map would, through any number of removals', () => {
    const step = fc.record({ remove: fc.boolean(), port: fc.nat(60), six: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer(), (steps, seed) => {
        const table = new TupleTable(seed);
        const model = new Map<string, number>();
        const tupleOf = (port: number, six: boolean): Int32Array => {
          const tuple = new Int32Array(TUPLE_WORDS);
          if (six) tuple.set([6, port, 10, 1, 0, 0, 20, port, 0, 0]);
          // The 61 differ in any one of the three words, or in several.
          else tuple.set([4, port % 7, 10 + (port % 3), 0, 0, 0, 20 + Math.floor(port / 21), 0, 0, 0]);
          return tuple;
        };
        for (const [i, { remove, port, six }] of steps.entries()) {
          const tuple = tupleOf(port, six);
          const key = tuple.join();
          if (remove) {
            table.delete(tuple);
            model.delete(key);
          } else if (!model.has(key)) {
            table.set(tuple, i);
            model.set(key, i);
          }
        }
        expect(table.size).toBe(model.size);
        for (let port = 0; port <= 60; port++)
          for (const six of [false, true]) {
            const tuple = tupleOf(port, six);
            const value = model.get(tuple.join()) ?? -1;
            expect(table.get(tuple)).toBe(value);
            if (!six) expect(table.getV4(tuple[1]!, tuple[2]!, tuple[6]!)).toBe(value);
          }
      }),
    );
  });
});

describe('the timers', () => {
  it('come up in order, none late, none forgotten', () => {
    interface Item extends Timed {
      deadline: number;
    }
    const step = fc.record({ item: fc.nat(20), at: fc.nat(1000), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new TimerHeap<Item>();
        const items = Array.from({ length: 21 }, () => ({
          timerIndex: -1,
          timerAt: 0,
          deadline: Number.POSITIVE_INFINITY,
        }));
        for (const { item, at, remove } of steps) {
          const it = items[item]!;
          if (remove) {
            heap.remove(it);
            it.deadline = Number.POSITIVE_INFINITY;
          } else {
            heap.arm(it, instant(at));
            it.deadline = Math.min(it.deadline, at);
          }
        }
        const expected = items.filter((it) => it.deadline < 2000).map((it) => it.deadline);
        const fired: number[] = [];
        for (let it = heap.pop(instant(2000)); it; it = heap.pop(instant(2000))) fired.push(it.deadline);
        expect(fired).toEqual(expected.sort((a, b) => a - b));
      }),
    );
  });
});

describe('HalfSipHash-2-4', () => {
  it('computes the vectors of its authors', () => {
    const key = { k0: 0x0302_0100, k1: 0x0706_0504 };
    const words = Int32Array.from({ length: 3 }, (_, i) => 0x0302_0100 + i * 0x0404_0404);
    const hashes = [0, 1, 2, 3].map((count) => halfSipHash(key, words, count) >>> 0);
    expect(hashes).toEqual([0x5b9f_35a9, 0x8946_6e2a, 0x8f84_b8d0, 0x2f87_f057]);
  });
});

describe('the state table (RFC 9293 figure 5)', () => {
  it('leads to CLOSED from every state but TIME-WAIT by an abort', () => {
    for (const state of Object.keys(STATES) as State[])
      expect(nextState(state, 'abort')).toBe(state === 'time-wait' ? 'time-wait' : 'closed');
  });

  it('has a FIN of each side on every way from ESTABLISHED to TIME-WAIT', () => {
    const ways = (state: State, path: string[]): string[][] =>
      state === 'time-wait'
        ? [path]
        : Object.entries(STATES[state].on)
            .filter(([event]) => event !== 'abort')
            .flatMap(([event, next]) => ways(next, [...path, event]));
    const all = ways('established', []);
    expect(all).toHaveLength(2);
    for (const path of all) expect([...path].sort()).toEqual(['fin-acknowledged', 'receive-fin', 'shutdown']);
  });
});
