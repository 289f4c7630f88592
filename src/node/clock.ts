/**
 * The shell's clock. Node's own monotonic clocks stop while the host sleeps, but the age of a key must not (whitepaper §6.1; the
 * kernel uses BOOTTIME), so time lost in suspend is found by the host's uptime and added.
 */

import { uptime } from 'node:os';
import { type Instant, instant } from '../core/base/instant.ts';

export interface Clock {
  /** Monotonic, counts suspend, never steps back. */
  now(): Instant;
  /** Milliseconds since 1970 by the host's wall clock, which may be wrong and may step. */
  wallMs(): number;
}

/** Where a clock reads from, all in milliseconds. */
export interface ClockSources {
  /** Fine and cheap; stops in suspend. */
  readonly monotonicMs: () => number;
  /** Counts suspend; coarse (10 ms) and slow (it reads a file on Linux). May throw where the host forbids it. */
  readonly uptimeMs: () => number;
  readonly wallMs: () => number;
}

/** Uptime is read this often, and at once when the wall clock and the monotonic one come apart, as they do on waking up. */
const CHECK_INTERVAL_MS = 10_000;
const CLOCKS_APART_MS = 250;
/** Smaller differences are the resolution of the uptime, not sleep. */
const SHORTEST_SLEEP_MS = 100;

/** A clock over other sources: for tests. */
export function createClock({ monotonicMs, uptimeMs, wallMs }: ClockSources): Clock {
  const uptimeOrNothing = (): number | undefined => {
    try {
      return uptimeMs();
    } catch {
      return undefined;
    }
  };
  const start = monotonicMs();
  const startUptime = uptimeOrNothing();
  let suspendedMs = 0;
  let checkedAt = start;
  let wallOffset = wallMs() - start;
  let last = start;

  const checkSuspend = (monotonic: number): void => {
    checkedAt = monotonic;
    wallOffset = wallMs() - monotonic;
    const up = uptimeOrNothing();
    if (up === undefined || startUptime === undefined) return;
    const lost = up - startUptime - (monotonic - start);
    if (lost > suspendedMs + SHORTEST_SLEEP_MS) suspendedMs = lost;
  };

  return {
    wallMs,
    now() {
      const monotonic = monotonicMs();
      const apart = Math.abs(wallMs() - monotonic - wallOffset);
      if (apart > CLOCKS_APART_MS || monotonic - checkedAt > CHECK_INTERVAL_MS) checkSuspend(monotonic);
      last = Math.max(last, monotonic + suspendedMs);
      return instant(last);
    },
  };
}

/** Milliseconds on the process's monotonic clock, the same on each of its threads; `performance.now` has another origin on each. */
function processMs(): number {
  return performance.now() + THREAD_OFFSET_MS;
}

const THREAD_OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** A clock of this host. Another thread's goes on from its `lead`, so that instants of both can be compared. */
export function hostClock(leadMs: number): Clock {
  return createClock({
    monotonicMs: () => processMs() + leadMs,
    uptimeMs: () => uptime() * 1000,
    wallMs: () => Date.now(),
  });
}

/** How far `clock` is ahead of the process's: the time that was lost in suspend so far. */
export function leadOf(clock: Clock): number {
  return clock.now() - processMs();
}

/** The clock of this host. */
export const systemClock: Clock = hostClock(0);
