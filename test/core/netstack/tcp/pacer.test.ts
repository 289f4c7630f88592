import { describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../../src/core/base/instant.ts';
import { Pacer } from '../../../../src/core/netstack/tcp/pacer.ts';
import { NEVER } from '../../../../src/core/netstack/tcp/timers.ts';

const MSS = 1000;
const RTT_MS = 100;

/** Bytes that leave in each of so many milliseconds, when there is always more to send. */
function sentPerMs(pace: { window: number; threshold: number }, ms: number, skip: readonly number[] = []): number[] {
  const pacer = new Pacer();
  return Array.from({ length: ms }, (_, t) => {
    let sent = 0;
    const now = instant(t);
    while (!skip.includes(t) && sent < 1e6 && pacer.admits(now)) {
      pacer.onSent(MSS, { mss: MSS, ...pace }, RTT_MS, now);
      sent += MSS;
    }
    return sent;
  });
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('pacing', () => {
  it('lets a window of 32 segments and less go at once', () => {
    expect(sentPerMs({ window: 31 * MSS, threshold: Number.POSITIVE_INFINITY }, 1)).toEqual([1e6]);
  });

  it('doubles a window in a round trip of slow start, and sends a fifth more than it in avoidance', () => {
    const window = 500 * MSS;
    // What is sent ahead of the pace is sent in the first round trip.
    const windows = (threshold: number): number =>
      sum(sentPerMs({ window, threshold }, 11 * RTT_MS).slice(RTT_MS)) / (10 * window);
    expect(windows(Number.POSITIVE_INFINITY)).toBeCloseTo(2, 2);
    expect(windows(window)).toBeCloseTo(1.2, 2);
  });

  it('spreads slow start evenly: in no millisecond more than twice the share of one, behind the first', () => {
    const window = 500 * MSS;
    const [, ...later] = sentPerMs({ window, threshold: Number.POSITIVE_INFINITY }, RTT_MS);
    expect(Math.max(...later)).toBeLessThanOrEqual(2 * 2 * (window / RTT_MS));
  });

  it('is 32 segments ahead of the pace in avoidance, and then sends sixteen when so many are due', () => {
    const window = 500 * MSS;
    const perMs = (1.2 * window) / RTT_MS;
    const [first, ...later] = sentPerMs({ window, threshold: window }, RTT_MS);
    // The beginning counts as four milliseconds late.
    expect(Math.abs(first! - 4 * perMs - 32 * MSS)).toBeLessThanOrEqual(MSS);
    const bursts = later.filter((bytes) => bytes > 0);
    expect(Math.min(...bursts)).toBeGreaterThanOrEqual(16 * MSS);
    expect(Math.max(...bursts)).toBeLessThanOrEqual(16 * MSS + perMs);
  });

  it('sends what is due within a millisecond at once where that is more than 32 segments', () => {
    const window = 20_000 * MSS;
    const perMs = (1.2 * window) / RTT_MS;
    const [, ...later] = sentPerMs({ window, threshold: window }, RTT_MS);
    expect(Math.min(...later)).toBeGreaterThan(perMs / 2);
    expect(Math.max(...later)).toBeLessThanOrEqual(2 * perMs);
  });

  it('makes up for a late timer, by four milliseconds at most', () => {
    const window = 500 * MSS;
    const perMs = (1.2 * window) / RTT_MS;
    const late = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    const sent = sentPerMs({ window, threshold: window }, 30, late);
    expect(Math.abs(sent[20]! - 4 * perMs - 32 * MSS)).toBeLessThanOrEqual(MSS);
  });

  it('says when to ask again, and nothing while nothing is held back', () => {
    const pacer = new Pacer();
    expect(pacer.admits(instant(0))).toBe(true);
    expect(pacer.at).toBe(NEVER);
    for (let i = 0; i < 100; i++)
      pacer.onSent(MSS, { window: 100 * MSS, threshold: 100 * MSS, mss: MSS }, RTT_MS, instant(0));
    expect(pacer.admits(instant(0))).toBe(false);
    const at: Instant = pacer.at;
    expect(pacer.admits(instant(at - 0.01))).toBe(false);
    expect(pacer.admits(at)).toBe(true);
  });

  it('does nothing before the round-trip time is known', () => {
    const pacer = new Pacer();
    for (let i = 0; i < 1_000; i++)
      pacer.onSent(MSS, { window: 100 * MSS, threshold: 100 * MSS, mss: MSS }, 0, instant(0));
    expect(pacer.admits(instant(0))).toBe(true);
  });
});
