/**
 * Performance as a specification: goodput of two of our stacks over a simulated link, stored as a table. A change that moves a figure
 * shows it in the diff; `npx vitest run -u` stores new ones. SLUICE_DEEP=1 runs the large table too.
 */
import { describe, expect, it, vi } from 'vitest';
import { Cubic } from '../../../../src/core/netstack/tcp/congestion/cubic.ts';
import { DEEP } from '../../../support/deep.ts';
import { Simulation } from '../../../support/tcp-simulation.ts';
import { openFlows } from '../../../support/tcp-transfer.ts';

interface Cell {
  readonly rttMs: number;
  readonly loss: number;
  readonly flows: number;
}

interface Measured extends Cell {
  readonly mbits: number;
  /** Jain's index over the flows: 1 is perfectly fair. */
  readonly fairness: number;
  /** Of the data packets that arrived, the share that had arrived before. */
  readonly needless: number;
}

const cells = (rtts: readonly number[], flowCounts: readonly number[]): Cell[] =>
  rtts.flatMap((rttMs) => [0, 0.001, 0.01].flatMap((loss) => flowCounts.map((flows) => ({ rttMs, loss, flows }))));

/** Goodput from the server over `seconds`; the queue of the link holds one bandwidth-delay product, at least 100 packets. */
function measure(cell: Cell, megabits: number, seconds: number): Measured {
  const rate = megabits * 1e6;
  const link = {
    rate,
    delayMs: cell.rttMs / 2,
    queueBytes: Math.max(150_000, (rate / 8000) * cell.rttMs),
    loss: cell.loss,
    burstMs: 0.5,
  };
  // Of the acknowledgements as many are lost as of the data.
  const simulation = new Simulation({ seed: 42, aToB: link, bToA: link });
  const pairs = openFlows(simulation, cell.flows, 0, Number.MAX_SAFE_INTEGER);
  simulation.run(seconds * 1000);
  const received = pairs.map((pair) => pair.client.received);
  const total = received.reduce((sum, bytes) => sum + bytes, 0);
  const squares = received.reduce((sum, bytes) => sum + bytes * bytes, 0);
  const duplicates = simulation.a.drops.get('tcp-out-of-window') ?? 0;
  return {
    ...cell,
    mbits: (total * 8) / seconds / 1e6,
    fairness: (total * total) / (cell.flows * squares),
    needless: duplicates / Math.max(1, simulation.dataPackets - simulation.lostData),
  };
}

function table(rows: readonly Measured[], title: string): string {
  const lines = [title, '', 'rtt ms  loss %  flows   Mbit/s  fairness  needless %', ''];
  for (const { rttMs, loss, flows, mbits, fairness, needless } of rows) {
    const columns = [String(rttMs).padStart(6), (loss * 100).toFixed(1).padStart(7), String(flows).padStart(6)];
    lines.push(
      [
        ...columns,
        mbits.toFixed(1).padStart(8),
        fairness.toFixed(2).padStart(9),
        (needless * 100).toFixed(2).padStart(11),
      ].join(' '),
    );
  }
  return `${lines.join('\n')}\n`;
}

describe('goodput over a simulated link', () => {
  it('is what the stored table says, at 50 Mbit/s for five seconds', async () => {
    const rows = cells([40, 150], [1, 32]).map((cell) => measure(cell, 50, 5));
    await expect(table(rows, '50 Mbit/s, 5 s from the first SYN, CUBIC')).toMatchFileSnapshot(
      './snapshots/throughput.txt',
    );
  }, 120_000);

  it.runIf(DEEP)(
    'is what the stored table says, at 200 Mbit/s for ten seconds (SLUICE_DEEP=1)',
    async () => {
      const rows = cells([20, 40, 100, 150], [1, 32, 200]).map((cell) => measure(cell, 200, 10));
      await expect(table(rows, '200 Mbit/s, 10 s from the first SYN, CUBIC')).toMatchFileSnapshot(
        './snapshots/throughput-deep.txt',
      );
    },
    900_000,
  );

  it.runIf(DEEP).each([100, 150])(
    'fills 1 Gbit/s with one flow at a round trip of %i ms (SLUICE_DEEP=1)',
    (rttMs) => {
      // Half a bandwidth-delay product of queue.
      const link = { rate: 1e9, delayMs: rttMs / 2, queueBytes: (1e9 / 8000) * (rttMs / 2), burstMs: 0.2 };
      const simulation = new Simulation({ aToB: link, bToA: link });
      const [pair] = openFlows(simulation, 1, 0, Number.MAX_SAFE_INTEGER);
      simulation.run(3000);
      const before = pair!.client.received;
      simulation.run(6000);
      const mbits = ((pair!.client.received - before) * 8) / 3 / 1e6;
      // 1368 of 1420 bytes are payload.
      expect(mbits).toBeGreaterThan(0.96 * 1000 * (1368 / 1420));
    },
    300_000,
  );
});

describe('slow start through bursts of 2 ms, at 200 Mbit/s and 100 ms', () => {
  /** Until 20 MB have arrived. A sender grows by `segments` at most for an acknowledgement. */
  const timeMs = (segments: number): number => {
    const { onAck } = Cubic.prototype;
    const counting = vi.spyOn(Cubic.prototype, 'onAck').mockImplementation(function (this: Cubic, sample, rtt) {
      if (this.window < this.threshold) sample.delivered = Math.min(sample.delivered, segments * this.mss);
      onAck.call(this, sample, rtt);
    });
    const link = { rate: 200e6, delayMs: 50, queueBytes: (200e6 / 8000) * 100 };
    const simulation = new Simulation({ seed: 42, aToB: link, bToA: { ...link, burstMs: 2 } });
    const [pair] = openFlows(simulation, 1, 0, Number.MAX_SAFE_INTEGER);
    const time = simulation.run(20_000, () => pair!.client.received > 20e6);
    const { length } = counting.mock.calls;
    counting.mockRestore();
    expect(length).toBeGreaterThan(0);
    return time;
  };

  it('takes a sender that grows by two segments per acknowledgement no longer than one that counts bytes (RFC 3465 §2.3)', () => {
    expect(timeMs(2)).toBeLessThan(1.05 * timeMs(Number.POSITIVE_INFINITY));
  });

  it('takes one that grows by one segment half a second more, its two thirds of the growth (RFC 5681 §3.1)', () => {
    expect(timeMs(1)).toBeLessThan(timeMs(Number.POSITIVE_INFINITY) + 500);
  });
});
