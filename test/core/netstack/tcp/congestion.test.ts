import { describe, expect, it } from 'vitest';
import { instant } from '../../../../src/core/base/instant.ts';
import {
  type AckSample,
  type CongestionController,
  initialWindow,
} from '../../../../src/core/netstack/tcp/congestion/controller.ts';
import { Cubic } from '../../../../src/core/netstack/tcp/congestion/cubic.ts';
import { HyStart } from '../../../../src/core/netstack/tcp/congestion/hystart.ts';
import { Reno } from '../../../../src/core/netstack/tcp/congestion/reno.ts';
import { RateReduction } from '../../../../src/core/netstack/tcp/prr.ts';
import { RttEstimator } from '../../../../src/core/netstack/tcp/rtt.ts';

const MSS = 1000;

/** Acknowledges a window's worth, segment by segment, over one round trip. */
function roundTrip(controller: CongestionController, rttMs: number, now: number, limited = true): void {
  const rtt = new RttEstimator(200, 60_000);
  rtt.sample(rttMs, 1);
  const segments = Math.floor(controller.window / MSS);
  for (let i = 0; i < segments; i++) {
    const at = instant(now + (rttMs * i) / segments);
    const sample: AckSample = { delivered: MSS, rttMs, limited, acknowledged: 0, next: 1, now: at };
    controller.onAck(sample, rtt);
  }
}

/** Windows in segments after each of `rounds` round trips behind a loss at `atLoss` segments. */
function afterLoss(controller: CongestionController, atLoss: number, rttMs: number, rounds: number): number[] {
  controller.window = atLoss * MSS;
  controller.onCongestion(controller.window, instant(0));
  controller.window = controller.threshold;
  return Array.from({ length: rounds }, (_, i) => {
    roundTrip(controller, rttMs, i * rttMs);
    return controller.window / MSS;
  });
}

describe('the initial window (RFC 6928 §2)', () => {
  it('is ten segments, but no more than 14600 bytes or two segments', () => {
    expect([initialWindow(1368), initialWindow(1460), initialWindow(9000), initialWindow(536)]).toEqual([
      13_680, 14_600, 18_000, 5360,
    ]);
  });
});

describe('Reno (RFC 5681)', () => {
  it('halves, then adds one segment per round trip (§3.1)', () => {
    const windows = afterLoss(new Reno(MSS), 100, 50, 10);
    expect(windows[0]).toBeCloseTo(51, 0);
    expect(windows[9]).toBeCloseTo(60, 0);
  });

  it('falls to one segment on a timeout, with half of what was in flight as the threshold', () => {
    const reno = new Reno(MSS);
    reno.window = 40 * MSS;
    reno.onTimeout(40 * MSS, instant(0));
    expect([reno.window, reno.threshold]).toEqual([MSS, 20 * MSS]);
  });
});

describe('CUBIC (RFC 9438)', () => {
  it('falls to seven tenths (§4.6)', () => {
    const cubic = new Cubic(MSS);
    cubic.window = 100 * MSS;
    cubic.onCongestion(100 * MSS, instant(0));
    expect(cubic.threshold).toBeCloseTo(70 * MSS, 6);
  });

  it('is back at its old window after K seconds, flat there, and steep beyond (§4.2)', () => {
    // K = cbrt(1000 · 0.3 / 0.4) = 9.09 s; round trips of 100 ms.
    const windows = afterLoss(new Cubic(MSS), 1000, 100, 150);
    expect(windows[10]).toBeGreaterThan(700 + 80);
    expect(windows[90]).toBeGreaterThan(990);
    expect(windows[90]).toBeLessThan(1010);
    expect(windows[95]! - windows[85]!).toBeLessThan(5);
    expect(windows[149]).toBeGreaterThan(1050);
  });

  it('takes the same time whatever the round trip (§3.1)', () => {
    const short = afterLoss(new Cubic(MSS), 1000, 50, 180).at(-1)!;
    const long = afterLoss(new Cubic(MSS), 1000, 150, 60).at(-1)!;
    expect(short / long).toBeCloseTo(1, 1);
  });

  it('is never slower than Reno with the same decrease (§4.3)', () => {
    // Ten segments at 10 ms: here the cubic is the slower of the two.
    const windows = afterLoss(new Cubic(MSS), 10, 10, 20);
    expect(windows.at(-1)).toBeGreaterThan(7 + 0.5 * 20);
  });

  it('aims below its old plateau when it lost again before reaching it (fast convergence, §4.7)', () => {
    const cubic = new Cubic(MSS);
    cubic.window = 1000 * MSS;
    cubic.onCongestion(cubic.window, instant(0));
    cubic.window = 800 * MSS;
    cubic.onCongestion(cubic.window, instant(1000));
    cubic.window = cubic.threshold;
    let now = 1000;
    for (let i = 0; i < 85; i++, now += 100) roundTrip(cubic, 100, now);
    // The plateau is at 680 = 800 · 1.7 / 2.
    expect(cubic.window / MSS).toBeLessThan(800);
  });

  it('stands still while the window is not used, and goes on where it was (§5.8)', () => {
    const used = new Cubic(MSS);
    const idle = new Cubic(MSS);
    for (const cubic of [used, idle]) {
      cubic.window = 500 * MSS;
      cubic.onCongestion(cubic.window, instant(0));
      cubic.window = cubic.threshold;
      for (let i = 0; i < 20; i++) roundTrip(cubic, 100, i * 100);
    }
    const before = idle.window;
    for (let i = 20; i < 100; i++) roundTrip(idle, 100, i * 100, false);
    expect(idle.window).toBe(before);
    roundTrip(idle, 100, 10_000);
    expect(idle.window - before).toBeLessThan(20 * MSS);
  });

  it('returns to what it was when the loss was none', () => {
    const cubic = new Cubic(MSS);
    cubic.window = 300 * MSS;
    cubic.onTimeout(300 * MSS, instant(0));
    cubic.undo();
    expect([cubic.window, cubic.threshold]).toEqual([300 * MSS, Number.POSITIVE_INFINITY]);
  });
});

describe('HyStart++ (RFC 9406)', () => {
  /** Rounds of twenty samples; what the last acknowledgement of each round was told. */
  const rounds = (hystart: HyStart, rtts: readonly number[]): number[] =>
    rtts.map((rttMs, round) => {
      let divisor = 1;
      for (let i = 1; i <= 20; i++) divisor = hystart.onAck(rttMs, round * 20 + i, (round + 1) * 20 + i);
      return divisor;
    });

  it('grows freely while the round trip stays the same', () => {
    expect(rounds(new HyStart(), [40, 41, 40, 42, 41])).toEqual([1, 1, 1, 1, 1]);
  });

  it('grows by a quarter once the round trip rises, and leaves slow start five rounds later (§4.2)', () => {
    const told = rounds(new HyStart(), [40, 40, 50, 55, 60, 65, 70, 75, 80]);
    expect(told.slice(0, 2)).toEqual([1, 1]);
    expect(told).toContain(4);
    expect(told.at(-1)).toBe(0);
  });

  it('takes the rise for a false alarm when the round trip falls again (§4.2)', () => {
    const told = rounds(new HyStart(), [40, 40, 50, 40, 40, 40]);
    expect(told[2]).toBe(4);
    expect(told.slice(-2)).toEqual([1, 1]);
  });

  it('needs eight samples of a round to judge it', () => {
    const hystart = new HyStart();
    for (let round = 0; round < 6; round++)
      for (let i = 1; i <= 4; i++) expect(hystart.onAck(40 + 20 * round, round * 4 + i, (round + 1) * 4 + i)).toBe(1);
  });
});

describe('proportional rate reduction (RFC 9937 §6.2)', () => {
  it('sends seven for ten delivered on the way down to seven tenths', () => {
    const reduction = new RateReduction();
    reduction.begin(100 * MSS);
    let inFlight = 100 * MSS;
    let sent = 0;
    for (let i = 0; i < 90; i++) {
      inFlight -= MSS;
      const window = reduction.window(MSS, inFlight, 70 * MSS, MSS, false);
      while (window - inFlight >= MSS) {
        reduction.onSent(MSS);
        inFlight += MSS;
        sent++;
      }
    }
    expect(sent).toBeGreaterThanOrEqual(61);
    expect(sent).toBeLessThanOrEqual(64);
  });

  it('climbs back to the threshold, but without a burst, when much was lost at once', () => {
    const reduction = new RateReduction();
    reduction.begin(100 * MSS);
    let inFlight = 20 * MSS;
    let largest = 0;
    for (let i = 0; i < 80; i++) {
      inFlight -= MSS;
      const window = reduction.window(MSS, inFlight, 70 * MSS, MSS, true);
      const burst = Math.floor((window - inFlight) / MSS);
      largest = Math.max(largest, burst);
      for (let k = 0; k < burst; k++) reduction.onSent(MSS);
      inFlight += burst * MSS;
    }
    expect(inFlight).toBeGreaterThan(60 * MSS);
    expect(largest).toBeLessThanOrEqual(2);
  });
});

describe('round-trip times (RFC 6298)', () => {
  it('begin with a timeout of one second, then RTT + max(4 · RTT / 2, floor) (§2)', () => {
    const rtt = new RttEstimator(200, 60_000);
    expect(rtt.timeoutMs).toBe(1000);
    rtt.sample(500, 1);
    expect(rtt.timeoutMs).toBe(1500);
  });

  it('settle on a steady path, and the timeout on the floor above it', () => {
    const rtt = new RttEstimator(200, 60_000);
    for (let i = 0; i < 100; i++) rtt.sample(80, 1);
    expect(rtt.smoothedMs).toBeCloseTo(80, 1);
    expect(rtt.timeoutMs).toBeCloseTo(280, 0);
  });

  it('remember as long with many samples in a round trip as with one (RFC 7323 appendix G)', () => {
    const few = new RttEstimator(200, 60_000);
    const many = new RttEstimator(200, 60_000);
    for (const rtt of [few, many]) rtt.sample(50, 1);
    for (let round = 0; round < 4; round++) {
      few.sample(100, 1);
      for (let i = 0; i < 100; i++) many.sample(100, 100);
    }
    expect(many.smoothedMs / few.smoothedMs).toBeCloseTo(1, 1);
  });

  it('back off to the limit and forget it with the next acknowledgement (§5.5, §5.7)', () => {
    const rtt = new RttEstimator(200, 60_000);
    rtt.sample(100, 1);
    for (let i = 0; i < 20; i++) rtt.backOff();
    expect(rtt.timeoutMs).toBe(60_000);
    rtt.resetBackoff();
    expect(rtt.timeoutMs).toBe(300);
  });
});
