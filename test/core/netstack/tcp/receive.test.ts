import { describe, expect, it } from 'vitest';
import type { SocketEvent } from '../../../../src/core/netstack/messages.ts';
import { dataLength, established, type Script, SOCKET } from '../../../support/tcp-script.ts';
import { Simulation } from '../../../support/tcp-simulation.ts';
import { openFlows } from '../../../support/tcp-transfer.ts';

const credit = (script: Script, t: number, bytes: number): Script =>
  script.command(t, { kind: 'tcp-credit', socket: SOCKET, bytes });
const write = (script: Script, t: number, length: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(length) });
/** `count` full segments from byte `from` on. */
const run = (from: number, count: number, length = 1000) =>
  Array.from({ length: count }, (_, i) => ({ flags: 'A', seq: from + i * length, ack: 1, length }));

describe('data in order', () => {
  it('is handed over once per burst, as one chunk', () => {
    const script = established();
    script.inject(20, ...run(1, 30));
    const events = script.takeEvents();
    expect(events).toHaveLength(1);
    expect(dataLength(events)).toBe(30_000);
  });

  it('is trimmed where it overlaps what was received (RFC 9293 §3.10.7.4)', () => {
    const script = established();
    script.inject(20, ...run(1, 1), { flags: 'A', seq: 501, ack: 1, length: 1000 });
    expect(dataLength(script.takeEvents())).toBe(1500);
  });

  it('is cut at the right edge of the window (RFC 9293 §3.10.7.4)', () => {
    const script = established({ settings: { receiveWindowStart: 4096, receiveWindowMax: 4096 } });
    script.inject(20, { flags: 'A', seq: 1, ack: 1, length: 1300 }, ...run(1301, 3, 1300));
    expect(dataLength(script.takeEvents())).toBe(4096);
    expect(script.take().at(-1)).toMatchObject({ ack: 4097, window: 0 });
  });

  it('is delivered across the wrap of the sequence space (RFC 9293 §3.4)', () => {
    const script = established();
    // The peer begins 256 below 2^31, where signed comparison would break.
    const events: SocketEvent[] = [];
    for (let i = 0; i < 20; i++) {
      script.inject(20 + i, { flags: 'A', seq: 1 + i * 100, ack: 1, length: 100 });
      events.push(...script.takeEvents());
    }
    expect(dataLength(events)).toBe(2000);
  });
});

describe('data out of order', () => {
  it('waits for the hole to be filled, then all of it is delivered (RFC 9293 §3.10.7.4)', () => {
    const script = established();
    script.inject(20, ...run(1001, 5));
    expect(script.takeEvents()).toEqual([]);
    script.inject(30, ...run(1, 1));
    expect(dataLength(script.takeEvents())).toBe(6000);
    expect(script.take().at(-1)).toMatchObject({ ack: 6001, sack: [] });
  });

  it('fills any number of holes in any order', () => {
    const script = established();
    const order = [7, 3, 9, 1, 5, 8, 2, 6, 4, 0];
    const events: SocketEvent[] = [];
    for (const [step, index] of order.entries()) {
      script.inject(20 + step, ...run(1 + index * 1000, 1));
      events.push(...script.takeEvents());
    }
    expect(dataLength(events)).toBe(10_000);
  });

  it('can fill the whole advertised window behind one hole', () => {
    const script = established();
    script.inject(20, ...run(1001, 64));
    const ack = script.take().at(-1)!;
    expect(ack).toMatchObject({ ack: 1, sack: [[1001, 65_001]] });
    script.inject(30, ...run(1, 1));
    expect(dataLength(script.takeEvents())).toBe(65_000);
  });

  it('outside the window is dropped and answered (RFC 9293 §3.10.7.4)', () => {
    const script = established();
    script.inject(20, { flags: 'A', seq: 70_001, ack: 1, length: 100 });
    script.expect(20, { flags: 'A', ack: 1, sack: [] });
    expect(script.drops.get('tcp-out-of-window')).toBe(1);
  });

  it('is refused in more ranges than the limit, and refused data is not reported', () => {
    const script = established({ settings: { outOfOrderRanges: 4 } });
    for (let i = 0; i < 6; i++) script.inject(20 + i, { flags: 'A', seq: 1001 + i * 200, ack: 1, length: 100 });
    expect(script.drops.get('tcp-memory')).toBe(2);
    const last = script.take().at(-1)!;
    expect(last.sack[0]).toEqual([1601, 1701]);
  });
});

describe('SACK (RFC 2018)', () => {
  it('reports the newest range first, then those before it (§4)', () => {
    const script = established();
    for (const [step, seq] of [1001, 3001, 5001, 7001].entries()) script.inject(20 + step, ...run(seq, 1));
    const acks = script.take();
    expect(acks.map((ack) => ack.sack)).toEqual([
      [[1001, 2001]],
      [
        [3001, 4001],
        [1001, 2001],
      ],
      [
        [5001, 6001],
        [3001, 4001],
        [1001, 2001],
      ],
      [
        [7001, 8001],
        [5001, 6001],
        [3001, 4001],
      ],
    ]);
  });

  it('has room for four blocks where there are no timestamps (§3)', () => {
    const script = established({ ts: false });
    for (const [step, seq] of [1001, 3001, 5001, 7001, 9001].entries()) script.inject(20 + step, ...run(seq, 1));
    expect(script.take().at(-1)!.sack).toHaveLength(4);
  });

  it('sends as many acknowledgements as it takes when one burst made more ranges than fit', () => {
    const script = established();
    script.inject(20, ...[1001, 3001, 5001, 7001, 9001, 11_001, 13_001].flatMap((seq) => run(seq, 1)));
    const reported = new Set(script.take().flatMap((ack) => ack.sack.map(([start]) => start)));
    expect([...reported].sort((a, b) => a - b)).toEqual([1001, 3001, 5001, 7001, 9001, 11_001, 13_001]);
  });

  it('joins ranges that meet', () => {
    const script = established();
    script.inject(20, ...run(1001, 1));
    script.inject(21, ...run(3001, 1));
    script.inject(22, ...run(2001, 1));
    expect(script.take().at(-1)!.sack).toEqual([[1001, 4001]]);
  });

  it('reports a duplicate below the acknowledgement first (RFC 2883 §4.1)', () => {
    const script = established();
    script.inject(20, ...run(1, 3));
    script.take();
    script.inject(30, ...run(1001, 1));
    script.expect(30, { ack: 3001, sack: [[1001, 2001]] });
    script.inject(40, ...run(5001, 1));
    script.expect(40, { ack: 3001, sack: [[5001, 6001]] });
  });

  it('reports a duplicate above the acknowledgement first, then the range that holds it (RFC 2883 §4.2)', () => {
    const script = established();
    script.inject(20, ...run(2001, 3));
    script.take();
    script.inject(30, ...run(3001, 1));
    script.expect(30, {
      ack: 1,
      sack: [
        [3001, 4001],
        [2001, 5001],
      ],
    });
    script.inject(40, ...run(6001, 1));
    script.expect(40, {
      ack: 1,
      sack: [
        [6001, 7001],
        [2001, 5001],
      ],
    });
  });

  it('counts for a peer without SACK: one duplicate acknowledgement for each segment out of order (RFC 5681 §3.2)', () => {
    const script = established({ sackOk: false });
    script.inject(20, ...run(1001, 5));
    const acks = script.take();
    expect(acks).toHaveLength(5);
    for (const ack of acks) expect(ack).toMatchObject({ flags: 'A', ack: 1, sack: [] });
  });
});

describe('when it acknowledges (RFC 5681 §4.2)', () => {
  /** Past the first sixteen segments. */
  const settled = (): Script => {
    const script = established();
    for (let i = 0; i < 20; i++) script.inject(20 + i, { ...run(1 + i * 1000, 1)[0]!, flags: 'A' });
    credit(script, 40, 20_000).at(90).take();
    script.takeEvents();
    return script;
  };

  it('at once, one for each, in the first sixteen segments', () => {
    const script = established();
    for (let i = 0; i < 15; i++) {
      script.inject(20 + i, ...run(1 + i * 1000, 1));
      script.expect(20 + i, { flags: 'A', ack: 1001 + i * 1000 });
    }
  });

  it('after a short delay for a lone segment', () => {
    const script = settled();
    script.inject(100, ...run(20_001, 1));
    script.expectNothing(100);
    const [ack] = script.at(125).take();
    expect(ack).toMatchObject({ flags: 'A', ack: 21_001 });
    expect(ack!.at).toBeLessThanOrEqual(125);
  });

  it('for every second full segment while little is in flight', () => {
    const script = settled();
    script.inject(100, ...run(20_001, 1));
    script.expectNothing(100.5);
    script.inject(100.5, ...run(21_001, 1));
    script.expect(100.5, { ack: 22_001 });
  });

  it('so often that what it waits adds a thirtieth of the round trip at most, however evenly segments come', () => {
    const script = established({ rttMs: 100 });
    const waits: number[] = [];
    let acknowledged = 0;
    // 64 segments in each round trip of 100 ms, at equal distances; the last round counts.
    for (let i = 0; i < 5 * 64; i++) {
      const now = 200 + (i * 100) / 64;
      script.inject(now, { ...run(1 + i * 1000, 1)[0]!, ts: [1000 + Math.floor(now), Math.floor(now) - 100] });
      credit(script, now, 1000);
      for (const ack of script.take())
        for (; acknowledged * 1000 + 1 < ack.ack; acknowledged++)
          if (i >= 4 * 64) waits.push(ack.at - (200 + (acknowledged * 100) / 64));
    }
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect(mean).toBeLessThan(100 / 30);
    // And yet for several at a time.
    expect(new Set(waits).size).toBeGreaterThan(2);
  });

  it('once per burst, however many segments it had', () => {
    const script = settled();
    script.inject(100, ...run(20_001, 30));
    script.expect(100, { ack: 50_001 });
    script.expectNothing(200);
  });

  describe('while the sender seems to be in slow start, whose window may grow by acknowledgements (RFC 3465 §2.3)', () => {
    /** One burst of `count` segments per round trip of 50 ms, each read at once; what the last of `counts` was answered with. */
    const answers = (script: Script, counts: readonly number[]): { acks: number[]; edges: number[]; from: number } => {
      let seq = 1;
      let from = 1;
      let sent = script.take();
      counts.forEach((count, i) => {
        const now = 100 + i * 50;
        from = seq;
        script.inject(now, ...run(seq, count).map((segment) => ({ ...segment, ts: [1000 + now, now - 50] as const })));
        seq += count * 1000;
        sent = script.take();
        credit(script, now, count * 1000);
        script.at(now + 40).take();
        script.takeEvents();
      });
      return {
        acks: sent.map(({ ack }) => ack),
        edges: sent.map(({ ack, window }) => ack + (window << script.windowShift)),
        from,
      };
    };

    it('for every second segment of a burst, each with a number of its own', () => {
      const { acks, from } = answers(established(), [10, 20, 40, 9]);
      expect(acks).toEqual([2000, 4000, 6000, 8000, 9000].map((length) => from + length));
    });

    it('and promises no less of the window with any of them (RFC 9293 §3.8.6)', () => {
      const settings = { receiveWindowStart: 65_535, receiveWindowMax: 65_535 };
      const { edges } = answers(established({ settings }), [10, 20, 40]);
      expect(edges).toHaveLength(20);
      expect(edges).toEqual(edges.toSorted((a, b) => a - b));
    });

    it('for segments of the size that came, not of the size that was asked for', () => {
      const script = established({ mss: 1380 });
      const small = run(1, 4, 300).map((segment) => ({ ...segment, ts: [1100, 50] as const }));
      script.inject(100, ...small);
      expect(script.take().map(({ ack }) => ack)).toEqual([601, 1201]);
    });

    it('once per burst again when two round trips have brought about as much as the ones before', () => {
      const { acks, from } = answers(established(), [10, 20, 40, 40, 42, 40]);
      expect(acks).toEqual([from + 40_000]);
    });

    it('once per burst also when round trips bring now more and now less, but not more than ever', () => {
      const { acks, from } = answers(established(), [10, 20, 40, 20, 44, 15, 40]);
      expect(acks).toEqual([from + 40_000]);
    });

    it('for every second one anew when a round trip brought hardly anything, which a timeout or a pause may have been', () => {
      const { acks } = answers(established(), [40, 40, 40, 40, 4, 8]);
      expect(acks).toHaveLength(4);
    });

    it('once per burst where the path is too short for it to matter, also when queues make its round trips longer', () => {
      const script = established();
      let now = 100;
      let seq = 1;
      for (let round = 0; round < 20; round++) {
        const rttMs = round < 2 ? 2 : 40;
        const count = round % 2 === 0 ? 20 : 40;
        now += rttMs;
        const stamps = [1000 + now, now - rttMs] as const;
        script.inject(now, ...run(seq, count).map((segment) => ({ ...segment, ts: stamps })));
        seq += count * 1000;
        expect(script.take().map(({ ack }) => ack)).toEqual([seq]);
        credit(script, now, count * 1000).take();
      }
    });

    it('once, at once, for all that filling a hole sets free', () => {
      const script = established();
      const stamped = (from: number, count: number) =>
        run(from, count).map((segment) => ({ ...segment, ts: [1100, 50] as const }));
      script.inject(100, ...stamped(1, 2), ...stamped(4001, 10));
      script.take();
      script.inject(101, ...stamped(2001, 2));
      expect(script.take().map(({ ack }) => ack)).toEqual([14_001]);
    });
  });

  it('for every second segment, always, if acknowledgements are not to be stretched', () => {
    const script = established({ settings: { stretchAcks: false } });
    script.inject(20, ...run(1, 20));
    script.take();
    script.inject(30, ...run(20_001, 7));
    expect(script.take().map(({ ack }) => ack)).toEqual([22_001, 24_001, 26_001, 27_001]);
    script.expectNothing(100);
  });

  it('at once for the tail of what was pushed', () => {
    const script = settled();
    script.inject(100, { flags: 'PA', seq: 20_001, ack: 1, length: 50 });
    script.expect(100, { ack: 20_051 });
  });

  it('at once for data out of order, and when a hole is filled', () => {
    const script = settled();
    script.inject(100, ...run(21_001, 1));
    script.expect(100, { ack: 20_001, sack: [[21_001, 22_001]] });
    script.inject(101, ...run(20_001, 1));
    script.expect(101, { ack: 22_001 });
  });

  it('with data instead of alone, where there is some', () => {
    const script = settled();
    script.inject(100, ...run(20_001, 1));
    write(script, 100.2, 10);
    script.expect(100.2, { flags: 'PA', ack: 21_001, length: 10 });
    script.inject(105, { flags: 'A', seq: 21_001, ack: 11 });
    script.expectNothing(200);
  });

  it('never waits longer than the limit', () => {
    const script = settled();
    script.inject(10_000, ...run(20_001, 1));
    const [ack] = script.at(10_025).take();
    expect(ack).toMatchObject({ ack: 21_001 });
  });
});

describe('the window (RFC 9293 §3.8.6)', () => {
  it('shrinks by what was handed over and not credited, and its right edge never moves left', () => {
    const script = established();
    let edge = 0;
    for (let i = 0; i < 20; i++) {
      script.inject(20 + i, ...run(1 + i * 1000, 1));
      for (const ack of script.take()) {
        const right = ack.ack + (ack.window << script.windowShift);
        expect(right).toBeGreaterThanOrEqual(edge - 1023);
        edge = Math.max(edge, right);
      }
    }
    expect(edge).toBeLessThanOrEqual(65_537);
    expect(edge).toBeGreaterThan(65_000);
  });

  it('closes when the reader stops, and a probe into it is answered and dropped', () => {
    const script = established();
    script.inject(20, ...run(1, 65), { flags: 'A', seq: 65_001, ack: 1, length: 535 });
    expect(script.take().at(-1)).toMatchObject({ ack: 65_536, window: 0 });
    expect(dataLength(script.takeEvents())).toBe(65_535);
    script.inject(500, { flags: 'A', seq: 65_536, ack: 1, length: 1 });
    script.expect(500, { flags: 'A', ack: 65_536, window: 0 });
    expect(script.takeEvents()).toEqual([]);
  });

  it('still takes the acknowledgement that comes with data it has no room for (RFC 9293 §3.10.7.4)', () => {
    const script = established();
    script.inject(20, ...run(1, 65), { flags: 'A', seq: 65_001, ack: 1, length: 535 });
    write(script, 30, 100);
    script.take();
    script.takeEvents();
    script.inject(40, { flags: 'A', seq: 65_536, ack: 101, length: 1 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-write-credit', socket: SOCKET, bytes: 100 }]);
  });

  it('reopens with an update as soon as it is worth it, after any pause', () => {
    const script = established();
    script.inject(20, ...run(1, 65), { flags: 'A', seq: 65_001, ack: 1, length: 535 });
    script.take();
    credit(script, 90_000, 1000).expectNothing(90_000);
    credit(script, 90_001, 30_000);
    const update = script.expect(90_001, { flags: 'A', ack: 65_536 });
    expect(update.window << script.windowShift).toBeGreaterThan(30_000);
    script.inject(90_020, ...run(65_536, 1));
    expect(dataLength(script.takeEvents().slice(-1), 65_535)).toBe(1000);
  });

  it('does not grow by less than two segments or a quarter (silly window, RFC 9293 §3.8.6.2.2)', () => {
    const script = established();
    script.inject(20, ...run(1, 65), { flags: 'A', seq: 65_001, ack: 1, length: 535 });
    script.take();
    for (let i = 0; i < 2; i++) credit(script, 100 + i, 1000).expectNothing(100 + i);
    credit(script, 110, 1000);
    script.expect(110, { flags: 'A' });
  });

  it('is scaled: the field counts units of 1024 bytes, but not in a SYN (RFC 7323 §2.2)', () => {
    const script = established();
    script.inject(20, ...run(1, 1));
    expect(script.take()[0]!.window).toBe(Math.floor(64_536 / 1024));
  });

  it('stays below 64 KiB for a peer that does not scale (RFC 7323 §2.2)', () => {
    const script = established({ scale: -1 });
    let seq = 1;
    for (let round = 0; round < 20; round++) {
      script.inject(20 + 20 * round, ...run(seq, 40));
      credit(script, 25 + 20 * round, 40_000);
      seq += 40_000;
    }
    for (const ack of script.take()) expect(ack.window).toBeLessThanOrEqual(65_535);
  });
});

describe('how the window grows', () => {
  /** The peer sends a window's worth per round trip of 50 ms and echoes our clock; the reader takes everything at once. */
  const rounds = (script: Script, count: number): number => {
    let seq = 1;
    let window = 60_000;
    let now = 100;
    for (let i = 0; i < count; i++) {
      const segments = Math.floor(window / 1368);
      script.inject(
        now,
        ...run(seq, segments, 1368).map((segment) => ({ ...segment, ts: [1000 + now, now - 50] as const })),
      );
      seq += segments * 1368;
      credit(script, now, segments * 1368);
      const last = script.take().at(-1);
      if (last) window = last.window << script.windowShift;
      now += 50;
    }
    return window;
  };

  it('doubles per round trip while the reader keeps up, to the limit of the connection', () => {
    const script = established({ settings: { receiveWindowMax: 4 * 1024 * 1024 } });
    expect(rounds(script, 5)).toBeGreaterThan(400_000);
    const other = established({ settings: { receiveWindowMax: 4 * 1024 * 1024 } });
    expect(rounds(other, 30)).toBeGreaterThan(3_900_000);
    expect(rounds(established({ settings: { receiveWindowMax: 4 * 1024 * 1024 } }), 40)).toBeLessThanOrEqual(4_194_304);
  });

  it('does not grow for a reader that takes nothing', () => {
    const script = established();
    script.inject(20, ...run(1, 65));
    script.at(5000);
    script.inject(5000, { flags: 'A', seq: 65_001, ack: 1, length: 500 });
    expect(script.take().at(-1)!.window).toBeLessThanOrEqual(2);
  });

  it('takes from the idle, and from those above a fair share, when the budget is spent', () => {
    const settings = { receiveBudget: 1_500_000, receiveWindowMax: 1 << 20 };
    const simulation = new Simulation({ settingsA: settings, aToB: { delayMs: 50 }, bToA: { delayMs: 50, rate: 2e8 } });
    const [first] = openFlows(simulation, 1, 0, Number.MAX_SAFE_INTEGER);
    simulation.run(3000);
    expect(simulation.a.tcp.memoryUse().windowBytes).toBe(1 << 20);
    const more = openFlows(simulation, 3, 0, Number.MAX_SAFE_INTEGER, undefined, 81);
    simulation.run(6000);
    const before = [first!, ...more].map((pair) => pair.client.received);
    simulation.run(16_000);
    const gained = [first!, ...more].map((pair, i) => pair.client.received - before[i]!);
    expect(simulation.a.tcp.memoryUse().windowBytes).toBeLessThanOrEqual(1_500_000);
    expect(Math.max(...gained) / Math.min(...gained)).toBeLessThan(1.2);
  });

  it('does not grow beyond the budget of all connections', () => {
    const script = established({ settings: { receiveBudget: 300_000 } });
    expect(rounds(script, 30)).toBeLessThanOrEqual(300_000);
  });
});
