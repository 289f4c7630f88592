import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { instant } from '../../src/core/base/instant.ts';
import { NetworkWatch } from '../../src/node/network-watch.ts';

let now = 0;
let addresses = '';
let changes = 0;
let watch: NetworkWatch;

beforeEach(() => {
  vi.useFakeTimers();
  now = 0;
  changes = 0;
  addresses = '192.0.2.2/24';
  const clock = { now: () => instant(now), wallMs: () => now };
  watch = new NetworkWatch(
    clock,
    () => changes++,
    () => addresses,
  );
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

const pass = (ms: number): void => {
  now += ms;
  vi.advanceTimersByTime(ms);
};

describe('the network watch', () => {
  it('is quiet while nothing changes', () => {
    for (let i = 0; i < 1_000; i++) pass(1_000);
    expect(changes).toBe(0);
  });

  it('notices another address of the host within three seconds, once', () => {
    pass(10_000);
    addresses = '198.51.100.7/24';
    pass(3_000);
    expect(changes).toBe(1);
    for (let i = 0; i < 60; i++) pass(1_000);
    expect(changes).toBe(1);
  });

  it('notices that an address is gone', () => {
    addresses = '';
    pass(3_000);
    expect(changes).toBe(1);
  });

  it('notices a sleep, in which timers stand still and the clock of the tunnel does not', () => {
    pass(10_000);
    now += 3_600_000;
    pass(3_000);
    expect(changes).toBe(1);
  });

  it('does not take a busy event loop for sleep', () => {
    now += 20_000;
    pass(3_000);
    expect(changes).toBe(0);
  });

  it('ends with close', () => {
    watch.close();
    addresses = '';
    pass(10_000);
    expect(changes).toBe(0);
  });
});
