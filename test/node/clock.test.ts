import { describe, expect, it } from 'vitest';
import { createClock, systemClock } from '../../src/node/clock.ts';

function setup(): { host: { monotonic: number; uptime: number; wall: number }; now: () => number } {
  const host = { monotonic: 500, uptime: 90_000, wall: 1.7e12 };
  const clock = createClock({
    monotonicMs: () => host.monotonic,
    uptimeMs: () => host.uptime,
    wallMs: () => host.wall,
  });
  return { host, now: () => clock.now() };
}

describe('clock', () => {
  it('counts time in suspend at the first reading after it (whitepaper §6.1, BOOTTIME)', () => {
    const { host, now } = setup();
    expect(now()).toBe(500);
    host.monotonic += 40;
    host.uptime += 200_040;
    host.wall += 200_040;
    expect(now()).toBe(200_540);
    host.monotonic += 10;
    host.uptime += 10;
    host.wall += 10;
    expect(now()).toBe(200_550);
  });

  it('is not moved by a step of the wall clock, forward or back', () => {
    const { host, now } = setup();
    for (const step of [3_600_000, -7_200_000]) {
      const before = now();
      host.monotonic += 5;
      host.uptime += 5;
      host.wall += step;
      expect(now()).toBe(before + 5);
    }
  });

  it('finds suspended time even if the wall clock hides it, within ten seconds', () => {
    const { host, now } = setup();
    host.uptime += 60_000;
    expect(now()).toBe(500);
    host.monotonic += 10_001;
    host.uptime += 10_001;
    host.wall += 10_001;
    expect(now()).toBe(70_501);
  });

  it('takes the coarse steps of the uptime for what they are', () => {
    const { host, now } = setup();
    for (let i = 0; i < 50; i++) {
      host.monotonic += 10_001;
      host.wall += 10_001;
      host.uptime += 10_001 + (i % 2 === 0 ? 90 : -90);
      now();
    }
    expect(now()).toBe(host.monotonic);
  });

  it('never steps back, whatever its sources do', () => {
    const { host, now } = setup();
    const before = now();
    host.monotonic -= 100;
    host.uptime = 0;
    expect(now()).toBe(before);
  });

  it('goes on without an uptime where the host forbids it', () => {
    let monotonic = 1;
    const clock = createClock({
      monotonicMs: () => monotonic,
      uptimeMs: () => {
        throw new Error('EPERM');
      },
      wallMs: () => 0,
    });
    monotonic = 20_000;
    expect(clock.now()).toBe(20_000);
  });

  it('runs at the pace of this host', async () => {
    const start = systemClock.now();
    await new Promise((resolve) => setTimeout(resolve, 30));
    const passed = systemClock.now() - start;
    expect(passed).toBeGreaterThan(25);
    expect(passed).toBeLessThan(5_000);
    expect(Math.abs(systemClock.wallMs() - Date.now())).toBeLessThan(1_000);
  });
});
