import { describe, expect, it } from 'vitest';
import {
  type EstablishedOptions,
  established,
  type Script,
  type ScriptSegment,
  SOCKET,
} from '../../../support/tcp-script.ts';

const MSS = 1000;
/** Round trip 100 ms, MSS 1000, no timestamps unless asked for. */
const open = (options: EstablishedOptions = {}): Script => {
  const script = established({ mss: options.ts ? MSS + 12 : MSS, ts: false, rttMs: 100, scale: 10, ...options });
  return script.inject(150, { flags: 'A', ack: 1 });
};
const write = (script: Script, t: number, segments: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(segments * MSS) });
const at = (n: number): number => 1 + n * MSS;
/** An acknowledgement of everything before segment `n`, and of the ranges of segments given. */
const ack = (n: number, ...sack: [number, number][]): ScriptSegment => ({
  flags: 'A',
  ack: at(n),
  ...(sack.length > 0 ? { sack: sack.map(([from, to]) => [at(from), at(to)] as const) } : {}),
});
/** Which segments were sent, by number. */
const numbers = (script: Script): number[] => script.take().map((segment) => (segment.seq - 1) / MSS);

describe('the retransmission timeout (RFC 6298)', () => {
  it('is at least the round trip plus its floor, doubles each time, and sends only the first segment (§5)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 5);
    expect(numbers(script)).toEqual([0, 1, 2, 3, 4]);
    const sent = script.at(5000).take();
    const times = sent.map((segment) => segment.at - 200);
    for (const segment of sent) expect(segment.seq).toBe(1);
    expect(times[0]).toBeCloseTo(300, 0);
    expect(times[1]).toBeCloseTo(300 + 600, 0);
    expect(times[2]).toBeCloseTo(300 + 600 + 1200, 0);
  });

  it('starts anew with each acknowledgement of new data (§5.3)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 5);
    script.take();
    script.inject(400, ack(1));
    script.expectNothing(690);
    expect(script.at(900).take()[0]).toMatchObject({ seq: at(1) });
  });

  it('is off when nothing is outstanding (§5.2)', () => {
    const script = open();
    write(script, 200, 5);
    script.take();
    script.inject(300, ack(5));
    script.expectNothing(100_000);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('takes no sample from a segment that was sent twice (§3, Karn)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 1);
    script.take();
    expect(script.at(501).take()).toHaveLength(1);
    script.inject(5000, ack(1));
    write(script, 6000, 1);
    script.take();
    expect(script.at(6400).take()).toHaveLength(1);
  });

  it('begins again with one segment and slow start (RFC 5681 §3.1)', () => {
    const script = open();
    write(script, 200, 100);
    expect(numbers(script)).toHaveLength(10);
    script.at(501).take();
    const resent = script.at(800).take();
    expect(resent[0]).toMatchObject({ seq: 1, length: MSS });
    script.inject(900, ack(1));
    expect(numbers(script).length).toBeLessThanOrEqual(2);
  });

  it('ends the connection after the user timeout (RFC 9293 §3.8.3)', () => {
    const script = open({ settings: { userTimeoutMs: 100_000 } });
    write(script, 200, 1);
    script.at(90_000);
    expect(script.takeEvents()).toEqual([]);
    script.at(300_000);
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET, error: 'ETIMEDOUT' }]);
  });

  it('forgets what was reported when the peer reneged (RFC 2018 §8)', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0, [1, 10]));
    expect(numbers(script)).toEqual([0]);
    // The peer takes everything but keeps nothing of it: the first segment alone is acknowledged, then silence.
    script.inject(400, ack(1));
    const resent = new Set<number>();
    for (let t = 500; t < 20_000; t += 100) {
      for (const n of numbers(script.at(t))) resent.add(n);
      const next = [...Array(11).keys()].find((n) => n > 0 && !resent.has(n))!;
      if (resent.has(1)) script.inject(t, ack(next));
    }
    expect([...resent].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('fast recovery with SACK (RFC 8985, RFC 6675)', () => {
  it('sends a lost segment again as soon as three later ones are reported', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0, [1, 2]));
    script.inject(301, ack(0, [1, 3]));
    expect(numbers(script)).toEqual([]);
    script.inject(302, ack(0, [1, 4]));
    expect(numbers(script)).toEqual([0]);
  });

  it('sends all holes of one window again in one round trip', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0, [1, 3], [4, 6], [7, 10]));
    expect(numbers(script)).toContain(0);
    script.inject(301, ack(0, [1, 3], [4, 6], [7, 10]));
    script.inject(302, ack(0, [1, 3], [4, 6], [7, 10]));
    script.inject(400, ack(3, [4, 6], [7, 10]));
    const again = numbers(script);
    expect(again).toEqual(expect.arrayContaining([3, 6].filter((n) => again.includes(n))));
    script.inject(500, ack(6, [7, 10]));
    script.inject(600, ack(10));
    script.expectNothing(100_000);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('waits a quarter of the round trip before it calls a lone gap a loss (RFC 8985 §6.2)', () => {
    const script = open();
    write(script, 200, 3);
    script.take();
    script.inject(300, ack(0, [1, 2]));
    script.expectNothing(320);
    expect(numbers(script.at(330))).toEqual([0]);
  });

  it('takes reordering for what it is: no retransmission if the gap closes in time', () => {
    const script = open();
    write(script, 200, 3);
    script.take();
    script.inject(300, ack(0, [1, 2]));
    script.inject(310, ack(2));
    script.expectNothing(345);
    script.inject(346, ack(3));
    script.expectNothing(10_000);
  });

  it('finds a retransmission that was lost too', () => {
    const script = open();
    write(script, 200, 40);
    script.take();
    script.inject(300, ack(0, [1, 10]));
    const first = numbers(script);
    expect(first[0]).toBe(0);
    const later = first.filter((n) => n >= 10);
    // What was sent with the retransmission arrives, the retransmission does not.
    script.inject(402, ack(0, [1, 10 + later.length]));
    expect(numbers(script.at(440)).filter((n) => n === 0)).toHaveLength(1);
  });

  it('halves no more than once per window, and sends in proportion to what arrives (RFC 9937)', () => {
    const script = open();
    write(script, 200, 200);
    script.take();
    let sent = 10;
    for (let t = 300, acked = 10; t < 500; t += 100) {
      script.inject(t, ack(acked));
      sent += script.at(t + 99).take().length;
      acked = sent;
    }
    // 40 in flight, the first of them lost; the others are reported one by one.
    const first = sent - 40;
    let resent = 0;
    for (let i = 1; i < 40; i++) {
      script.inject(600 + 2.5 * i, ack(first, [first + 1, first + 1 + i]));
      resent += script.take().length;
    }
    expect(resent).toBeGreaterThanOrEqual(0.7 * 40 - 4);
    expect(resent).toBeLessThanOrEqual(0.7 * 40 + 2);
  });

  it('reduces the window again for a loss in the next window, though the same recovery repairs it (RFC 5681 §4.3)', () => {
    const windowAfter = (...meantime: ScriptSegment[]): number => {
      const script = open();
      write(script, 200, 200);
      script.take();
      script.inject(300, ack(0, [1, 8]));
      script.inject(305, ack(0, [1, 8], [9, 10]));
      script.inject(400, ack(8, [9, 10]));
      for (const segment of meantime) script.inject(401, segment);
      const sent = script.take().map((segment) => (segment.seq - 1) / MSS);
      // The first recovery is over with this; then all that was sent arrives.
      script.inject(405, ack(10, ...(meantime.length > 0 ? [[11, 13] as [number, number]] : [])));
      const last = Math.max(...sent, ...numbers(script));
      script.inject(501, ack(last + 1));
      return script.take().length;
    };
    expect([windowAfter(), windowAfter(ack(8, [9, 10], [11, 13]))]).toEqual([6, 5]);
  });

  it('ignores blocks outside of what is outstanding, reversed or empty', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0, [50, 60], [5, 5], [8, 3]), ack(0, [-20, -10]), ack(0, [-5, 200]));
    script.expectNothing(301);
    script.inject(302, ack(10));
    script.expectNothing(100_000);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });
});

describe('fast recovery without SACK (RFC 6582)', () => {
  it('sends the first segment again on the third duplicate acknowledgement, and new ones on the first two (RFC 3042)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 20);
    expect(numbers(script)).toHaveLength(10);
    script.inject(300, ack(0));
    expect(numbers(script)).toEqual([10]);
    script.inject(301, ack(0));
    expect(numbers(script)).toEqual([11]);
    script.inject(302, ack(0));
    expect(numbers(script)).toEqual([0]);
  });

  it('sends the next hole on a partial acknowledgement (§3.2)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0), ack(0), ack(0));
    expect(numbers(script)).toEqual([0]);
    script.inject(400, ack(4));
    expect(numbers(script)).toEqual([4]);
    script.inject(500, ack(10));
    script.expectNothing(100_000);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('does not count window updates, or segments with data, as duplicates (RFC 5681 §2)', () => {
    const script = open({ sackOk: false });
    write(script, 200, 10);
    script.take();
    for (let i = 0; i < 5; i++) script.inject(300 + i, { ...ack(0), window: 1000 + i });
    script.expectNothing(310);
  });
});

describe('tail loss probes (RFC 8985 §7)', () => {
  it('send the last segment again after two round trips', () => {
    const script = open();
    write(script, 200, 5);
    script.take();
    script.expectNothing(399);
    script.expect(400, { seq: at(4), length: MSS });
  });

  it('send new data if there is any', () => {
    const script = open();
    write(script, 200, 20);
    expect(numbers(script)).toHaveLength(10);
    script.expect(400, { seq: at(10), length: MSS });
  });

  it('turn a lost tail into a fast recovery', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(7));
    script.expectNothing(490);
    script.expect(500, { seq: at(9) });
    script.inject(600, ack(7, [9, 10]));
    expect(numbers(script.at(640))).toEqual([7]);
    script.inject(700, ack(8, [9, 10]));
    expect(numbers(script)).toEqual([8]);
    script.inject(800, ack(10));
    script.expectNothing(100_000);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('allow the peer to delay the acknowledgement of a lone segment (§7.2)', () => {
    const script = open();
    write(script, 200, 1);
    script.take();
    script.expectNothing(499);
  });
});

describe('needless retransmissions', () => {
  it('are found by timestamps: the window is restored and nothing more is repeated (RFC 3522)', () => {
    const script = open({ ts: true });
    write(script, 200, 100);
    expect(numbers(script)).toHaveLength(10);
    // A pause longer than the timeout, then the acknowledgements of the originals.
    script.at(700).take();
    script.inject(700, { ...ack(2), ts: [2000, 200] });
    const sent = numbers(script);
    expect(Math.min(...sent)).toBeGreaterThanOrEqual(10);
    expect(sent.length).toBeGreaterThanOrEqual(2);
  });

  it('are not taken for such when the echo is that of the repetition', () => {
    const script = open({ ts: true });
    write(script, 200, 100);
    script.take();
    const [repeated] = script
      .at(700)
      .take()
      .filter((segment) => segment.seq === 1);
    script.inject(700, { ...ack(1), ts: [2000, Math.floor(repeated!.at)] });
    expect(numbers(script)).toContain(1);
  });

  it('are not taken for such when the echo is that of an earlier repair (RFC 3522 §3.2)', () => {
    const sentAfter = (echo: number): number => {
      const script = open({ ts: true });
      const told = (t: number, segment: ScriptSegment, ts = 200): Script =>
        script.inject(t, { ...segment, ts: [2000 + t, ts] });
      write(script, 200, 200);
      script.take();
      // Segments 0 and 8 are lost, then 10, which was sent in the meantime and which the same repair sends again.
      told(300, ack(0, [1, 8]));
      told(305, ack(0, [1, 8], [9, 10]));
      told(400, ack(8, [9, 10]), 300);
      told(401, ack(8, [9, 10], [11, 13]), 300);
      told(405, ack(10, [11, 13]), 305);
      expect(numbers(script).filter((n) => [0, 8, 10].includes(n))).toEqual([0, 10, 8, 10]);
      // The repair is over. Segment 14 is another loss, and then the repetition of 10 arrives.
      told(420, ack(10, [15, 18], [11, 14]), 300);
      expect(numbers(script)).toContain(14);
      told(501, ack(14, [15, 18]), echo);
      told(510, ack(14, [15, 19]), echo);
      return numbers(script).length;
    };
    expect(sentAfter(401)).toBe(sentAfter(421));
  });

  it('are found by the reports of duplicates, also after the recovery: the window is restored (RFC 3708)', () => {
    const windowAfter = (duplicates: number): number => {
      const script = open();
      write(script, 200, 200);
      script.take();
      // Three are late, not lost: they are repeated one by one, then the originals are acknowledged.
      script.inject(300, ack(0, [3, 10]));
      for (let i = 1; i < 4; i++) script.inject(300 + i, ack(0, [3, 10]));
      const again = numbers(script).filter((n) => n < 3);
      script.inject(310, ack(10));
      for (let i = 0; i < Math.min(duplicates, again.length); i++)
        script.inject(400 + i, { flags: 'A', ack: at(10), sack: [[at(again[i]!), at(again[i]! + 1)]] });
      return 10 + script.take().length;
    };
    expect(windowAfter(3)).toBeGreaterThan(windowAfter(0) + 1);
  });

  it('cost nothing that were never sent: what seemed lost came in the same burst as the news of it', () => {
    const windowAfter = (...burst: ScriptSegment[]): number => {
      const script = open();
      write(script, 200, 200);
      script.take();
      script.inject(300, ...burst, ack(10));
      expect(numbers(script).every((n) => n >= 10)).toBe(true);
      script.inject(400, ack(20));
      return script.take().length;
    };
    expect(windowAfter(ack(0, [1, 4]), ack(0, [1, 7]))).toBeGreaterThanOrEqual(windowAfter());
  });

  it('are not taken for such when the network itself made the duplicates (RFC 3708 §3)', () => {
    const script = open();
    write(script, 200, 200);
    script.take();
    script.inject(300, ack(0, [3, 10]));
    for (let i = 1; i < 4; i++) script.inject(300 + i, ack(0, [3, 10]));
    const again = numbers(script).filter((n) => n < 3).length;
    for (let i = 0; i < again; i++)
      script.inject(310 + i, {
        flags: 'A',
        ack: at(0),
        sack: [
          [at(5 + i), at(6 + i)],
          [at(3), at(10)],
        ],
      });
    script.inject(400, ack(10));
    // Seven tenths of ten segments, and what the new ones bring.
    expect(numbers(script).length).toBeLessThanOrEqual(8);
  });

  it('widen the reordering window by a quarter of the round trip each (RFC 8985 §6.2 step 4)', () => {
    const script = open();
    write(script, 200, 10);
    script.take();
    script.inject(300, ack(0, [3, 10]));
    script.inject(310, ack(10));
    script.inject(400, { flags: 'A', ack: at(10), sack: [[at(0), at(1)]] });
    script.take();
    write(script, 1000, 5);
    expect(numbers(script)).toEqual([10, 11, 12, 13, 14]);
    // Four are reported behind the gap: without the report above it would be a loss at once, and at 1125 with one quarter.
    script.inject(1100, ack(10, [11, 15]));
    script.expectNothing(1140);
    expect(numbers(script.at(1155))).toEqual([10]);
  });
});
