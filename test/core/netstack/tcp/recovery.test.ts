import { describe, expect, it } from 'vitest';
import { instant } from '../../../../src/core/base/instant.ts';
import { Cubic } from '../../../../src/core/netstack/tcp/congestion/cubic.ts';
import { MemoryBudget } from '../../../../src/core/netstack/tcp/memory.ts';
import { LossRecovery } from '../../../../src/core/netstack/tcp/recovery.ts';
import { RttEstimator } from '../../../../src/core/netstack/tcp/rtt.ts';
import { Sender } from '../../../../src/core/netstack/tcp/sender.ts';
import { tcpSettings } from '../../../../src/core/netstack/tcp/settings.ts';
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

describe('once everything is acknowledged', () => {
  it('no probe of the tail is due any more (RFC 8985 §7), and nothing counts as held back (RFC 7661 §4.1)', () => {
    const sender = new Sender(tcpSettings(), new MemoryBudget(1e6, 1e6));
    const { recovery } = sender;
    sender.open(0);
    sender.next = 1;
    sender.establish(MSS, 10 * MSS, true);
    sender.window = 65_535;
    sender.write(new Uint8Array(MSS));
    sender.onSent(sender.plan(instant(0)), false, instant(0));
    recovery.onProbeTimeout(instant(50));
    recovery.limited = true;
    expect(recovery.probe.due).toBe(true);
    const segment = new TcpSegment();
    segment.flags = ACK;
    segment.acknowledgement = sender.next;
    segment.window = 65_535;
    sender.acknowledge(segment, Number.NaN, instant(60));
    expect(sender.settled).toBe(true);
    expect(recovery.probe.due).toBe(false);
    expect(recovery.limited).toBe(false);
  });
});
