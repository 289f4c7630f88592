import { describe, expect, it } from 'vitest';
import { instant } from '../../../../src/core/base/instant.ts';
import { Cubic } from '../../../../src/core/netstack/tcp/congestion/cubic.ts';
import { LossRecovery } from '../../../../src/core/netstack/tcp/recovery.ts';
import { RttEstimator } from '../../../../src/core/netstack/tcp/rtt.ts';
import { ACK, TcpSegment } from '../../../../src/core/wire/tcp.ts';

const MSS = 1000;

/** The threshold, in segments, after a loss with a window of 100 segments of which 50 are outstanding. */
function thresholdAfterLoss(limited: boolean): number {
  const rtt = new RttEstimator(200, 60_000);
  rtt.sample(100, 1);
  const cubic = new Cubic(MSS);
  cubic.window = 100 * MSS;
  const recovery = new LossRecovery(cubic, rtt);
  recovery.sackPermitted = true;
  for (let i = 0; i < 50; i++) recovery.onSent(i * MSS, MSS, false, instant(i));
  recovery.limited = limited;
  const segment = new TcpSegment();
  segment.flags = ACK;
  segment.acknowledgement = 0;
  segment.sackBlocks = 1;
  segment.sackStart[0] = MSS;
  segment.sackEnd[0] = 5 * MSS;
  recovery.onAck(segment, 0, 50 * MSS, Number.NaN, true, instant(105));
  return cubic.threshold / MSS;
}

describe('what a loss reduces (RFC 9438 §4.6)', () => {
  it('is the window where it, or the pace that follows from it, held data back', () => {
    expect(thresholdAfterLoss(true)).toBeCloseTo(70, 5);
  });

  it('is what was outstanding where the application wrote less than the window had room for', () => {
    expect(thresholdAfterLoss(false)).toBeCloseTo(35, 5);
  });
});
