import { describe, expect, it } from 'vitest';
import { established, type Script, SOCKET } from '../../../support/tcp-script.ts';

const MSS = 1368;
const write = (script: Script, t: number, length: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(length) });
const acknowledge = (script: Script, t: number, ack: number, window = 65_535): Script =>
  script.inject(t, { flags: 'A', seq: 1, ack, window });

describe('what may be sent', () => {
  it('begins with ten segments (RFC 6928 §2)', () => {
    const script = established({ scale: 7 });
    write(script, 20, 100_000);
    const sent = script.take();
    expect(sent).toHaveLength(10);
    for (const [i, segment] of sent.entries()) expect(segment).toMatchObject({ seq: 1 + i * MSS, length: MSS });
  });

  it('doubles the window per round trip in slow start (RFC 5681 §3.1)', () => {
    const script = established({ scale: 7 });
    write(script, 20, 250_000);
    let highest = 10;
    for (const [round, expected] of [20, 40, 80].entries()) {
      script.take();
      acknowledge(script, 40 + 20 * round, 1 + highest * MSS);
      const sent = script.at(40 + 20 * round + 19).take();
      expect(sent).toHaveLength(expected);
      highest += sent.length;
    }
  });

  it('does not grow the window that the application leaves unused (RFC 7661)', () => {
    const script = established({ scale: 7 });
    for (let i = 0; i < 50; i++) {
      write(script, 20 + 20 * i, 1000);
      acknowledge(script, 30 + 20 * i, 1 + 1000 * (i + 1));
    }
    script.take();
    write(script, 1010, 100_000);
    expect(script.take().length).toBeLessThanOrEqual(11);
  });

  it('does not grow the window that the machine is too slow to use, nor the credit that follows it (RFC 7661 §4.1)', () => {
    const script = established({ scale: 7 });
    write(script, 20, 256 << 10);
    expect(script.take()).toHaveLength(10);
    script.packetsAtOnce = 16;
    let acknowledged = 0;
    let highest = 10;
    let inFlight = 0;
    let credit = 0;
    for (let round = 0; round < 300; round++) {
      acknowledge(script, 30 + round, 1 + highest * MSS, 65_000);
      const before = acknowledged;
      acknowledged = highest;
      highest += script.take().length;
      inFlight = Math.max(inFlight, highest - before);
      const granted = script.takeEvents().reduce((sum, e) => sum + (e.kind === 'tcp-write-credit' ? e.bytes : 0), 0);
      credit += granted;
      script.tcp.handleCommand({ kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(granted) }, script.time);
    }
    expect(inFlight).toBeLessThan(100);
    script.packetsAtOnce = Number.POSITIVE_INFINITY;
    acknowledge(script, 330, 1 + highest * MSS, 65_000);
    expect(script.take().length).toBeLessThanOrEqual(2 * inFlight);
    // What was acknowledged came back, and no more.
    expect(credit).toBeLessThanOrEqual(highest * MSS);
  });

  it('returns to the initial window after a long silence (RFC 5681 §4.1)', () => {
    const script = established({ scale: 7 });
    write(script, 20, 200_000);
    let highest = 10;
    script.take();
    for (let round = 0; round < 4; round++) {
      acknowledge(script, 40 + 20 * round, 1 + highest * MSS);
      highest += script.take().length;
    }
    acknowledge(script, 130, 200_001);
    script.takeEvents();
    script.take();
    write(script, 60_000, 100_000);
    expect(script.take().length).toBeLessThanOrEqual(10);
  });

  it('stays within the window of the peer (RFC 9293 §3.8.4)', () => {
    const script = established({ window: 4000 });
    write(script, 20, 10_000);
    expect(script.take().map((segment) => segment.length)).toEqual([MSS, MSS]);
    acknowledge(script, 30, 1 + MSS, 4000);
    expect(script.take().map((segment) => [segment.seq, segment.length])).toEqual([[1 + 2 * MSS, MSS]]);
  });

  it('scales the windows of the peer by its shift, but not that of its SYN (RFC 7323 §2.2)', () => {
    const script = established({ window: 2000, scale: 4 });
    write(script, 20, 100_000);
    expect(script.take()).toHaveLength(1);
    acknowledge(script, 30, 1 + MSS, 1000);
    expect(script.take().length).toBe(10);
  });

  it('never sends more than the MSS of the peer less the timestamps (RFC 6691 §2)', () => {
    const script = established({ mss: 1000 });
    write(script, 20, 3000);
    expect(script.take().map((segment) => segment.length)).toEqual([988, 988, 988, 36]);
    const without = established({ mss: 1000, ts: false });
    write(without, 20, 3000);
    expect(without.take().map((segment) => segment.length)).toEqual([1000, 1000, 1000]);
  });

  it('takes an absurd MSS option for 88 bytes', () => {
    const script = established({ mss: 1, ts: false });
    write(script, 20, 300);
    expect(script.take().map((segment) => segment.length)).toEqual([88, 88, 88, 36]);
  });

  it('sets PSH where what was written ends (RFC 9293 §3.9.1.2)', () => {
    const script = established();
    write(script, 20, 2 * MSS + 5);
    expect(script.take().map((segment) => segment.flags)).toEqual(['A', 'A', 'PA']);
  });
});

describe('whose turn it is', () => {
  it('connections take turns of eight segments', () => {
    expect(turnsOf(10)).toBe(`${'a'.repeat(8)}${'b'.repeat(8)}aabb`);
  });

  it('a turn is an eighth of a large window, and sixteen segments at most', () => {
    const turns = (length: number): string => `${'a'.repeat(length)}${'b'.repeat(length)}`;
    expect(turnsOf(80)).toBe(turns(10).repeat(8));
    expect(turnsOf(160)).toBe(turns(16).repeat(10));
  });

  /** Whose segments go, one by one, when two connections fill such windows. */
  function turnsOf(window: number): string {
    // Without a delay there is nothing to pace.
    const script = established({ mss: MSS, scale: 7, rttMs: 0, ts: false });
    const first = script.remotePort;
    fillUpTo(script, SOCKET, window);
    script.command(0, { kind: 'tcp-connect', socket: 2, to: { address: script.remote, port: 6000 } });
    script.remotePort = 6000;
    script.inject(0, { flags: 'SA', seq: 0, ack: 1, mss: MSS, scale: 7 });
    fillUpTo(script, 2, window);
    script.take();
    for (const socket of [SOCKET, 2])
      script.tcp.handleCommand({ kind: 'tcp-write', socket, bytes: new Uint8Array(window * MSS) }, script.time);
    script.drain();
    const turns = script.take().map((segment) => (segment.remotePort === first ? 'a' : 'b'));
    return turns.join('');
  }

  /** Slow start doubles a window of ten segments, and each that was filled, until it is so large. */
  function fillUpTo(script: Script, socket: number, window: number): void {
    for (let filled = 10, acknowledged = 0; filled < window; filled *= 2) {
      acknowledged += filled;
      script.command(0, { kind: 'tcp-write', socket, bytes: new Uint8Array(filled * MSS) });
      acknowledge(script, 0, 1 + acknowledged * MSS);
    }
  }
});

describe('small segments', () => {
  it('go at once, Nagle being off', () => {
    const script = established();
    write(script, 20, 10).expect(20, { length: 10 });
    write(script, 21, 10).expect(21, { length: 10 });
  });

  it('wait for the acknowledgement with Nagle (RFC 9293 §3.7.4)', () => {
    const script = established();
    script.command(15, { kind: 'tcp-options', socket: SOCKET, noDelay: false });
    write(script, 20, 10).expect(20, { length: 10 });
    write(script, 21, 10);
    write(script, 22, 10).expectNothing(22);
    acknowledge(script, 30, 11);
    script.expect(30, { seq: 11, length: 20 });
  });

  it('are not made from a window that opens a little (silly window, RFC 9293 §3.8.6.2.1)', () => {
    const script = established({ window: 4 * MSS });
    write(script, 20, 10 * MSS);
    expect(script.take()).toHaveLength(4);
    acknowledge(script, 30, 1 + 4 * MSS, 500);
    expect(script.take()).toEqual([]);
    // The override timer, of one retransmission timeout, sends what the window takes.
    const [segment] = script.at(600).take();
    expect(segment).toMatchObject({ seq: 1 + 4 * MSS, length: 500 });
  });
});

describe('the closed window (RFC 9293 §3.8.6.1)', () => {
  const closed = (): Script => {
    const script = established({ window: 2 * MSS });
    write(script, 20, 10 * MSS);
    expect(script.take()).toHaveLength(2);
    acknowledge(script, 30, 1 + 2 * MSS, 0);
    return script.expectNothing(30);
  };

  it('is probed with a byte, at intervals that double to a minute', () => {
    const script = closed();
    const probes: number[] = [];
    while (script.now < 200_000) {
      script.at(script.now + 100);
      for (const probe of script.take()) {
        expect(probe).toMatchObject({ seq: 1 + 2 * MSS, length: 1 });
        probes.push(probe.at);
        acknowledge(script, script.now, 1 + 2 * MSS, 0);
      }
    }
    const gaps = probes.slice(1).map((at, i) => at - probes[i]!);
    expect(probes[0]).toBeLessThan(300);
    for (let i = 1; i < gaps.length; i++) expect(gaps[i]! / gaps[i - 1]!).toBeCloseTo(gaps[i - 1]! > 40_000 ? 1 : 2, 0);
    expect(gaps.at(-1)).toBeLessThanOrEqual(60_001);
  });

  it('is probed for ever while the peer answers', () => {
    const script = closed();
    const day = 24 * 3600 * 1000;
    while (script.now < day) {
      script.at(script.now + 60_000);
      if (script.take().length > 0) acknowledge(script, script.now, 1 + 2 * MSS, 0);
    }
    expect(script.takeEvents().some((event) => event.kind === 'closed')).toBe(false);
    acknowledge(script, day + 1000, 1 + 2 * MSS, 10 * MSS);
    const lengths = script.take().map((segment) => segment.length);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(8 * MSS);
  });

  it('is given up when the peer no longer answers (RFC 9293 §3.8.3)', () => {
    const script = closed();
    script.at(1_000_000);
    expect(script.takeEvents().at(-1)).toEqual({ kind: 'closed', socket: SOCKET, error: 'ETIMEDOUT' });
  });

  it('goes on at once, with the byte that was dropped, when the window opens', () => {
    const script = closed();
    script.at(1000).take();
    acknowledge(script, 1000, 1 + 2 * MSS, 4 * MSS);
    const sent = script.take();
    expect(sent[0]).toMatchObject({ seq: 1 + 2 * MSS, length: 1 });
    expect(sent[1]).toMatchObject({ seq: 2 + 2 * MSS, length: MSS });
  });

  it('goes on behind a probe that was accepted', () => {
    const script = closed();
    script.at(1000).take();
    acknowledge(script, 1000, 2 + 2 * MSS, 4 * MSS);
    expect(script.take()[0]).toMatchObject({ seq: 2 + 2 * MSS, length: MSS });
  });

  it('survives a peer that takes its window back (RFC 9293 §3.8.6)', () => {
    const script = established({ window: 6 * MSS });
    write(script, 20, 20 * MSS);
    expect(script.take()).toHaveLength(6);
    // The peer acknowledges one and shrinks the window to nothing: five in flight are beyond it.
    acknowledge(script, 30, 1 + MSS, 0);
    for (let i = 0; i < 20; i++) {
      script.at(script.now + 10_000);
      if (script.take().length > 0) acknowledge(script, script.now, 1 + MSS, 0);
    }
    expect(script.takeEvents().some((event) => event.kind === 'closed')).toBe(false);
    acknowledge(script, script.now + 1, 1 + MSS, 20 * MSS);
    expect(script.take()[0]).toMatchObject({ seq: 1 + MSS, length: MSS });
  });
});

describe('write credit', () => {
  it('comes back as bytes are acknowledged', () => {
    const script = established();
    write(script, 20, 5000);
    acknowledge(script, 30, 2001);
    acknowledge(script, 40, 5001);
    expect(script.takeEvents()).toEqual([
      { kind: 'tcp-write-credit', socket: SOCKET, bytes: 2000 },
      { kind: 'tcp-write-credit', socket: SOCKET, bytes: 3000 },
    ]);
  });

  it('is enforced: a write beyond it throws', () => {
    const script = established();
    write(script, 20, 256 * 1024);
    expect(() => write(script, 21, 1)).toThrow(RangeError);
  });

  it('grows with the congestion window, up to the limit of the connection', () => {
    const script = established({ scale: 10, settings: { sendBufferMax: 1024 * 1024 } });
    let credit = 256 * 1024;
    let written = 0;
    let now = 20;
    let total = 0;
    for (let i = 0; i < 20; i++) {
      write(script, now, credit);
      written += credit;
      credit = 0;
      const last = script.take().at(-1);
      if (last) acknowledge(script, now + 20, last.seq + last.length);
      else acknowledge(script, now + 20, 1 + written);
      for (const event of script.takeEvents()) if (event.kind === 'tcp-write-credit') credit += event.bytes;
      total = Math.max(total, credit + 0);
      now += 40;
    }
    expect(total).toBeGreaterThan(300_000);
    expect(total).toBeLessThanOrEqual(1024 * 1024);
  });

  it('is for what is in flight and up to 4 MiB behind it, and shrinks again with what is in flight', () => {
    const script = established({ scale: 10 });
    const held = (): number => script.tcp.memoryUse().sendBufferBytes;
    let credit = 256 * 1024;
    let highest = 1;
    let now = 20;
    /** One round trip, in which the application writes all it may and the peer takes what its window permits. */
    const roundTrip = (window: number): number => {
      if (credit > 0) write(script, now, credit);
      script.at(now + 30);
      const before = highest;
      for (const { seq, length } of script.take()) highest = Math.max(highest, seq + length);
      acknowledge(script, now + 40, highest, window);
      credit = 0;
      for (const event of script.takeEvents()) if (event.kind === 'tcp-write-credit') credit += event.bytes;
      now += 40;
      return highest - before;
    };
    let flight = 0;
    for (let i = 0; i < 13; i++) flight = roundTrip(16_384);
    expect(flight).toBeGreaterThan(8 << 20);
    expect(held()).toBeGreaterThan(flight);
    expect(held()).toBeLessThanOrEqual((16 << 20) + (4 << 20));
    for (let i = 0; i < 400; i++) flight = roundTrip(64);
    expect(flight).toBeLessThanOrEqual(64 << 10);
    expect(held()).toBeLessThanOrEqual((64 << 10) + (4 << 20));
  });

  it('goes on growing while a hole is repaired and nothing is acknowledged', () => {
    const script = established({ scale: 10, sackOk: true });
    const writeCredit = (): void => {
      for (const event of script.takeEvents())
        if (event.kind === 'tcp-write-credit') write(script, script.now, event.bytes);
    };
    write(script, 20, 256 * 1024);
    let highest = 1;
    const follow = (): number => {
      const before = highest;
      for (const { seq, length } of script.take()) highest = Math.max(highest, seq + length);
      return highest - before;
    };
    for (let i = 0; i < 11; i++) {
      script.at(50 + 40 * i);
      follow();
      acknowledge(script, 60 + 40 * i, highest, 60_000);
      writeCredit();
    }
    const hole = highest;
    script.at(script.now + 30);
    const flight = follow();
    expect(flight).toBeGreaterThan(2 << 20);
    let sent = 0;
    for (let end = hole + 64 * MSS; end < hole + flight; end += 64 * MSS) {
      const sack = [[hole + MSS, end]] as const;
      script.inject(script.now + 1, { flags: 'A', seq: 1, ack: hole, window: 60_000, sack });
      writeCredit();
      sent += follow();
    }
    // Seven tenths of the flight (RFC 9438 §4.6), though no more than 4 MiB was ready.
    expect(sent).toBeGreaterThan(0.6 * flight);
    expect(sent).toBeGreaterThan(1.2 * (4 << 20));
  });

  it('does not grow beyond the budget of all connections', () => {
    const script = established({ scale: 10, settings: { sendBudget: 256 * 1024 } });
    write(script, 20, 256 * 1024);
    let granted = 0;
    for (let now = 40; now < 1000; now += 20) {
      const last = script.take().at(-1);
      if (last) acknowledge(script, now, last.seq + last.length);
      for (const event of script.takeEvents()) if (event.kind === 'tcp-write-credit') granted += event.bytes;
    }
    expect(granted).toBe(256 * 1024);
  });

  it('copies what is written: the memory may be reused at once', () => {
    const script = established();
    const bytes = new Uint8Array(100).fill(1);
    script.at(20);
    script.tcp.handleCommand({ kind: 'tcp-write', socket: SOCKET, bytes }, script.time);
    bytes.fill(9);
    script.drain();
    expect(script.take()[0]!.payload).toEqual(new Uint8Array(100).fill(1));
  });
});
