import { describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { type Instant, instant, after as later } from '../../src/core/base/instant.ts';
import { DelayQueue } from '../../src/sandbox/delay-queue.ts';
import { Faults, Link } from '../../src/sandbox/faults.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';

const T0 = instant(1000);

/** Sends `count` numbered datagrams of four bytes at `T0 + i * gapMs`; what arrives, and when after T0. */
function send(
  faults: Partial<Faults>,
  count = 1000,
  gapMs = 0,
  seed = 1,
): { arrivals: [number, number][]; link: Link } {
  const link = new Link(Object.assign(new Faults(), faults), new SeededRandom(seed));
  const arrivals: [number, number][] = [];
  const drain = (now: Instant): void => {
    for (let next = link.nextTimeout(); next !== undefined && next <= now; next = link.nextTimeout())
      for (let item = link.take(next); item; item = link.take(next))
        arrivals.push([(item.bytes[0]! << 8) | item.bytes[1]!, next - T0]);
  };
  for (let i = 0; i < count; i++) {
    const now = later(T0, i * gapMs);
    drain(now);
    link.offer(Uint8Array.of(i >>> 8, i & 255, 0, 0), undefined, now);
  }
  drain(later(T0, 1e9));
  return { arrivals, link };
}

describe('the line', () => {
  it('is not used while no fault is on', () => {
    const link = new Link(new Faults(), new SeededRandom(1));
    expect(link.active).toBe(false);
    expect(link.nextTimeout()).toBeUndefined();
  });

  it('delays each datagram by as much as asked, to the millisecond', () => {
    const { arrivals } = send({ delayMs: 50 }, 10, 7);
    expect(arrivals).toEqual(Array.from({ length: 10 }, (_, i) => [i, 7 * i + 50]));
  });

  it('varies the delay within the jitter but keeps the order', () => {
    const { arrivals } = send({ delayMs: 50, jitterMs: 30 }, 500, 1);
    expect(arrivals.map(([index]) => index)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    const delays = arrivals.map(([index, time]) => time - index);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(50);
    expect(Math.max(...delays)).toBeLessThanOrEqual(80);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(15);
  });

  it('loses, duplicates, corrupts and reorders about as often as asked, and counts it', () => {
    const lossy = send({ loss: 0.1 });
    expect(lossy.arrivals.length).toBeGreaterThan(860);
    expect(lossy.arrivals.length).toBeLessThan(940);
    expect(lossy.link.counts).toMatchObject({ lost: 1000 - lossy.arrivals.length, passed: lossy.arrivals.length });
    expect(send({ duplicate: 0.1 }).arrivals.length).toBeGreaterThan(1060);
    const shuffled = send({ reorder: 0.1 }, 1000, 1).arrivals.map(([index]) => index);
    expect(shuffled).toHaveLength(1000);
    expect(shuffled.filter((index, i) => i > 0 && index < shuffled[i - 1]!).length).toBeGreaterThan(40);
    const { counts } = send({ corrupt: 0.1 }).link;
    expect(counts.corrupted).toBeGreaterThan(60);
    expect(counts.passed).toBe(1000);
  });

  it('turns over exactly one bit of a corrupted datagram, in a copy', () => {
    const link = new Link(Object.assign(new Faults(), { corrupt: 1 }), new SeededRandom(1));
    const original = new Uint8Array(100);
    link.offer(original, undefined, T0);
    const arrived = link.take(T0)!.bytes;
    const bits = arrived.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
    expect([bits, original.every((byte) => byte === 0)]).toEqual([1, true]);
  });

  it('loses what is larger than its MTU, headers included, without a word', () => {
    const link = new Link(Object.assign(new Faults(), { mtu: 1400 }), new SeededRandom(1));
    const six = { address: ip('2001:db8::1'), port: 1 };
    link.offer(new Uint8Array(1400 - 28), undefined, T0);
    link.offer(new Uint8Array(1400 - 27), undefined, T0);
    link.offer(new Uint8Array(1400 - 48), six, T0);
    link.offer(new Uint8Array(1400 - 47), six, T0);
    expect([link.take(T0)?.bytes.length, link.take(T0)?.bytes.length, link.take(T0)]).toEqual([1372, 1352, undefined]);
    expect(link.counts).toMatchObject({ passed: 2, tooLarge: 2 });
  });

  it('is silent, and heals', () => {
    const faults = Object.assign(new Faults(), { silent: true });
    const link = new Link(faults, new SeededRandom(1));
    link.offer(new Uint8Array(4), undefined, T0);
    expect(link.take(T0)).toBeUndefined();
    faults.clear();
    expect([link.active, faults.any]).toEqual([false, false]);
  });

  it('lets nothing overtake what is still on its way when the delay is taken off', () => {
    const faults = Object.assign(new Faults(), { delayMs: 100 });
    const link = new Link(faults, new SeededRandom(1));
    link.offer(Uint8Array.of(1), undefined, T0);
    faults.clear();
    expect(link.active).toBe(true);
    link.offer(Uint8Array.of(2), undefined, later(T0, 10));
    expect(link.take(later(T0, 99))).toBeUndefined();
    const end = later(T0, 100);
    expect([link.take(end)?.bytes[0], link.take(end)?.bytes[0]]).toEqual([1, 2]);
    expect(link.active).toBe(false);
  });

  it('carries so many bits per second and no more, with a queue of so many milliseconds', () => {
    const { arrivals, link } = send({ bitsPerSecond: 32_000, queueMs: 100 }, 1000);
    expect(arrivals[0]).toEqual([0, 1]);
    expect(arrivals.at(-1)![1]).toBe(arrivals.length);
    expect(arrivals.length).toBe(101);
    expect(link.counts.overflowed).toBe(1000 - 101);
  });

  it('does the same again from the same seed, and something else from another', () => {
    const faults = { loss: 0.2, jitterMs: 9, reorder: 0.1, duplicate: 0.1 };
    expect(send(faults, 300, 1, 5).arrivals).toEqual(send(faults, 300, 1, 5).arrivals);
    expect(send(faults, 300, 1, 5).arrivals).not.toEqual(send(faults, 300, 1, 6).arrivals);
  });
});

describe('the delay queue', () => {
  it('gives things out by time, and in order within a moment', () => {
    const queue = new DelayQueue<number>();
    const random = new SeededRandom(3);
    const draw = new Uint8Array(1);
    const times: number[] = [];
    for (let i = 0; i < 500; i++) {
      random.fill(draw);
      times.push(draw[0]!);
      queue.push(i, later(T0, draw[0]!));
    }
    const expected = times.map((time, i) => [time, i]).sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!);
    const taken: number[] = [];
    for (let item = queue.take(later(T0, 300)); item !== undefined; item = queue.take(later(T0, 300))) taken.push(item);
    expect(taken).toEqual(expected.map(([, i]) => i));
    expect(queue.nextTimeout()).toBeUndefined();
  });
});
