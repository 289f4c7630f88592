import { describe, expect, it } from 'vitest';
import { established, listening, type Script, SOCKET } from '../../../support/tcp-script.ts';

const write = (script: Script, t: number, length: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(length) });

describe('resets (RFC 5961 §3)', () => {
  it('end the connection when their number is exactly the next, behind what came before', () => {
    const script = established();
    script.inject(20, { flags: 'PA', seq: 1, ack: 1, length: 10 }, { flags: 'R', seq: 11 });
    expect(script.takeEvents()).toMatchObject([
      { kind: 'tcp-data' },
      { kind: 'closed', socket: SOCKET, error: 'ECONNRESET' },
    ]);
    script.expectNothing(10_000);
  });

  it('are answered with a challenge when they lie elsewhere in the window', () => {
    const script = established();
    script.inject(20, { flags: 'R', seq: 100 });
    script.expect(20, { flags: 'A', seq: 1, ack: 1 });
    expect(script.takeEvents()).toEqual([]);
    expect(script.drops.get('tcp-reset-invalid')).toBe(1);
  });

  it('are dropped in silence outside of the window', () => {
    const script = established();
    script.inject(20, { flags: 'R', seq: 200_000 }, { flags: 'R', seq: -10 });
    script.expectNothing(1000);
    expect(script.drops.get('tcp-out-of-window')).toBe(2);
  });

  it('need no timestamp (RFC 7323 §3.2)', () => {
    const script = established();
    script.timestamps = false;
    script.inject(20, { flags: 'R', seq: 1 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET, error: 'ECONNRESET' }]);
  });
});

describe('forged segments (RFC 5961 §4, §5)', () => {
  it('a SYN in a connection is answered with a challenge, whatever its number', () => {
    const script = established();
    script.inject(20, { flags: 'S', seq: 50 });
    script.expect(20, { flags: 'A', seq: 1, ack: 1 });
    script.inject(1000, { flags: 'S', seq: -5000 });
    script.expect(1000, { flags: 'A', seq: 1, ack: 1 });
    expect(script.takeEvents()).toEqual([]);
  });

  it('an acknowledgement of what was never sent is answered with a challenge, and its data is not taken', () => {
    const script = established();
    script.inject(20, { flags: 'PA', seq: 1, ack: 5000, length: 10 });
    script.expect(20, { flags: 'A', seq: 1, ack: 1 });
    expect(script.takeEvents()).toEqual([]);
    expect(script.drops.get('tcp-ack-invalid')).toBe(1);
  });

  it('an acknowledgement older than any window is answered with a challenge (§5.2)', () => {
    const script = established();
    write(script, 20, 1000);
    script.inject(30, { flags: 'A', seq: 1, ack: 1001 });
    script.take();
    script.inject(40, { flags: 'PA', seq: 1, ack: -70_000, length: 10 });
    script.expect(40, { flags: 'A', seq: 1001, ack: 1 });
    script.inject(50, { flags: 'PA', seq: 1, ack: -60_000, length: 10 });
    expect(script.takeEvents().at(-1)).toMatchObject({ kind: 'tcp-data' });
  });

  it('challenges are limited to one in half a second for each connection (§7)', () => {
    const script = established();
    for (let i = 0; i < 100; i++) script.inject(20 + i, { flags: 'R', seq: 100 });
    expect(script.take()).toHaveLength(1);
    expect(script.drops.get('tcp-rate-limited')).toBe(99);
    script.inject(600, { flags: 'R', seq: 100 });
    expect(script.take()).toHaveLength(1);
  });

  it('pure acknowledgements out of the window do not start an endless exchange', () => {
    const script = established();
    for (let i = 0; i < 100; i++) script.inject(20 + i, { flags: 'A', seq: -100, ack: 1 });
    expect(script.take()).toHaveLength(1);
  });

  it('segments without ACK are dropped (RFC 9293 §3.10.7.4)', () => {
    const script = established();
    script.inject(20, { flags: 'P', seq: 1, length: 10 });
    script.expectNothing(1000);
    expect(script.takeEvents()).toEqual([]);
  });

  it('segments to nobody get RST, but a bounded number of them', () => {
    const script = established();
    script.localPort = 9999;
    for (let i = 0; i < 1000; i++) script.feed(script.build({ flags: 'A', seq: 1, ack: 7 }));
    script.drain();
    expect(script.take().length).toBeLessThanOrEqual(256);
    expect(script.drops.get('tcp-rate-limited')).toBeGreaterThan(700);
  });
});

describe('malformed segments', () => {
  it('are counted and dropped: short, with a bad data offset, with a bad checksum', () => {
    const script = established();
    const packet = script.build({ flags: 'PA', seq: 1, ack: 1, length: 10 });
    script.tcp.handleSegment(packet, 20, 19, 4, 12, 16, script.time);
    const offset = packet.slice();
    offset[32] = 0x40;
    script.tcp.handleSegment(offset, 20, packet.length - 20, 4, 12, 16, script.time);
    offset[32] = 0xf0;
    script.tcp.handleSegment(offset, 20, packet.length - 20, 4, 12, 16, script.time);
    const damaged = packet.slice();
    damaged[50]! ^= 1;
    script.tcp.handleSegment(damaged, 20, packet.length - 20, 4, 12, 16, script.time);
    script.tcp.endBurst(script.time);
    expect(Object.fromEntries(script.drops)).toEqual({ 'tcp-truncated': 1, 'tcp-malformed': 2, 'tcp-checksum': 1 });
    expect(script.takeEvents()).toEqual([]);
  });
});

describe('PAWS (RFC 7323 §5)', () => {
  it('drops data with a timestamp older than the last, and acknowledges', () => {
    const script = established();
    script.inject(20, { flags: 'A', seq: 1, ack: 1, length: 100, ts: [2000, 10] });
    script.take();
    script.inject(30, { flags: 'A', seq: 101, ack: 1, length: 100, ts: [1999, 10] });
    script.expect(30, { flags: 'A', ack: 101 });
    expect(script.drops.get('tcp-old-timestamp')).toBe(1);
  });

  it('compares timestamps across their wrap (§5.2)', () => {
    const script = established();
    script.inject(20, { flags: 'A', seq: 1, ack: 1, length: 100, ts: [0x7fff_ffff, 10] });
    script.inject(30, { flags: 'A', seq: 101, ack: 1, length: 100, ts: [0x8000_0005 | 0, 10] });
    expect(script.take().at(-1)).toMatchObject({ ack: 201 });
  });

  it('takes any timestamp after 24 days of silence (§5.5)', () => {
    const script = established({ settings: { userTimeoutMs: 1e12 } });
    const days = 25 * 24 * 3600 * 1000;
    script.inject(20 + days, { flags: 'A', seq: 1, ack: 1, length: 100, ts: [5, 10] });
    script.expect(20 + days, { ack: 101 });
  });

  it('echoes the timestamp of the oldest segment that was not acknowledged (§4.3)', () => {
    const script = established();
    for (let i = 0; i < 20; i++) script.inject(20 + i, { flags: 'A', seq: 1 + i * 100, ack: 1, length: 100 });
    script.at(90).take();
    script.inject(100, { flags: 'A', seq: 2001, ack: 1, length: 100, ts: [5000, 10] });
    script.inject(101, { flags: 'A', seq: 2101, ack: 1, length: 100, ts: [5001, 10] });
    expect(script.take()[0]!.ts![1]).toBe(5000);
  });

  it('does not echo a segment that came out of order (§4.3)', () => {
    const script = established();
    script.inject(20, { flags: 'A', seq: 101, ack: 1, length: 100, ts: [5000, 10] });
    expect(script.take()[0]!.ts![1]).toBe(1010);
  });

  it('drops segments without timestamps once they were agreed on (§3.2)', () => {
    const script = established();
    script.timestamps = false;
    script.inject(20, { flags: 'PA', seq: 1, ack: 1, length: 10 });
    script.expectNothing(1000);
    expect(script.drops.get('tcp-old-timestamp')).toBe(1);
  });

  it('does not answer acknowledgements that overtook each other', () => {
    const script = established();
    write(script, 20, 1000);
    script.take();
    script.inject(
      30,
      { flags: 'A', seq: 1, ack: 1001, ts: [3000, 20] },
      { flags: 'A', seq: 1, ack: 501, ts: [2990, 20] },
    );
    script.expectNothing(1000);
  });
});

describe('keepalive (RFC 9293 §3.8.4)', () => {
  const keepAlive = (): Script =>
    established({ settings: { keepAliveIntervalMs: 1000, keepAliveProbes: 3 } }).command(20, {
      kind: 'tcp-options',
      socket: SOCKET,
      keepAliveMs: 5000,
    });

  it('asks after the idle time with a number the peer has seen, and is content with any answer', () => {
    const script = keepAlive();
    script.inject(3000, { flags: 'PA', seq: 1, ack: 1, length: 10 });
    script.take();
    script.expectNothing(7999);
    script.expect(8000, { flags: 'A', seq: 0, length: 0 });
    script.inject(8010, { flags: 'A', seq: 11, ack: 1 });
    script.expectNothing(13_009);
    script.expect(13_010, { flags: 'A', seq: 0 });
  });

  it('ends the connection when none of its probes is answered', () => {
    const script = keepAlive();
    script.at(20_000);
    expect(script.take().map((probe) => probe.at)).toEqual([5020, 6020, 7020]);
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET, error: 'ETIMEDOUT' }]);
  });

  it('begins when the connection is established, though it was asked for before', () => {
    const script = listening({ settings: { keepAliveIntervalMs: 1000, keepAliveProbes: 3 } });
    script.command(0, { kind: 'tcp-connect', socket: 2, to: { address: script.remote, port: 5000 } });
    script.command(0, { kind: 'tcp-options', socket: 2, keepAliveMs: 500 });
    script.take();
    script.at(20_000);
    expect(script.take().map((segment) => segment.flags)).toEqual(['S', 'S', 'S', 'S']);
    script.inject(20_000, { flags: 'SA', seq: 0, ack: 1 });
    script.take();
    script.expect(20_500, { flags: 'A', seq: 0 });
  });

  it('is off unless asked for', () => {
    const script = established();
    script.expectNothing(1e7);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('answers the probes of the peer', () => {
    const script = established();
    script.inject(1000, { flags: 'A', seq: 0, ack: 1 });
    script.expect(1000, { flags: 'A', seq: 1, ack: 1 });
    script.inject(2000, { flags: 'A', seq: 0, ack: 1, length: 1 });
    script.expect(2000, { flags: 'A', seq: 1, ack: 1 });
  });
});

describe('ICMP errors (RFC 5927)', () => {
  const icmp = (
    script: Script,
    kind: 'unreachable-soft' | 'unreachable-hard' | 'packet-too-big',
    seq: number,
    mtu = 0,
  ): boolean => {
    const ports = { local: script.localPort, remote: script.remotePort };
    const sequence = (script.ourInitial + seq) >>> 0;
    const genuine = script.tcp.handleIcmpError(script.local, script.remote, ports, sequence, kind, mtu, script.time);
    script.drain();
    return genuine;
  };
  const opening = (): Script => {
    const script = listening();
    script.takeEvents();
    script.command(0, { kind: 'tcp-connect', socket: 2, to: { address: script.remote, port: 5000 } });
    script.expect(0, { flags: 'S' });
    return script;
  };

  it('hard errors refuse a connection that is opening (RFC 1122 §4.2.3.9)', () => {
    const script = opening();
    expect(icmp(script, 'unreachable-hard', 0)).toBe(true);
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 2, error: 'ECONNREFUSED' }]);
  });

  it('soft errors are remembered, and cut the retries of a connection that is opening (RFC 5461 §4.1)', () => {
    const script = opening();
    expect(icmp(script, 'unreachable-soft', 0)).toBe(true);
    expect(script.takeEvents()).toEqual([]);
    script.at(1000);
    icmp(script, 'unreachable-soft', 0);
    script.at(3000);
    icmp(script, 'unreachable-soft', 0);
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 2, error: 'EHOSTUNREACH' }]);
  });

  it('no error aborts an established connection (§5.2)', () => {
    const script = established();
    write(script, 20, 100);
    expect(icmp(script, 'unreachable-hard', 1)).toBe(true);
    script.inject(30, { flags: 'A', seq: 1, ack: 101 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-write-credit', socket: SOCKET, bytes: 100 }]);
  });

  it('gives the reason when the connection dies of silence after all', () => {
    const script = established();
    write(script, 20, 100);
    icmp(script, 'unreachable-soft', 1);
    script.at(1_000_000);
    expect(script.takeEvents().at(-1)).toEqual({ kind: 'closed', socket: SOCKET, error: 'EHOSTUNREACH' });
  });

  it('errors about numbers that are not in flight are forged (§4.1)', () => {
    const script = established();
    write(script, 20, 100);
    for (const seq of [0, 101, 5000, -100]) expect(icmp(script, 'packet-too-big', seq, 1280)).toBe(false);
    expect(script.drops.get('tcp-icmp-invalid')).toBe(4);
    expect(script.lowered).toEqual([]);
    script.localPort++;
    expect(icmp(script, 'packet-too-big', 1, 1280)).toBe(false);
  });

  it('a packet too big lowers the MSS and everything outstanding is sent again at once, cut to fit (RFC 1191 §6.4)', () => {
    const script = established();
    write(script, 20, 3000);
    expect(script.take().map((segment) => segment.length)).toEqual([1368, 1368, 264]);
    expect(icmp(script, 'packet-too-big', 1, 1000)).toBe(true);
    expect(script.lowered).toEqual([1000]);
    expect(script.take().map((segment) => [segment.seq, segment.length])).toEqual([
      [1, 948],
      [949, 420],
      [1369, 948],
      [2317, 420],
      [2737, 264],
    ]);
    script.inject(40, { flags: 'A', seq: 1, ack: 3001 });
    write(script, 50, 948);
    script.expect(50, { length: 948 });
  });

  it('a packet too big is no sign of congestion', () => {
    const script = established({ scale: 7 });
    write(script, 20, 100_000);
    expect(script.take()).toHaveLength(10);
    icmp(script, 'packet-too-big', 1, 1280);
    const sent = script.take();
    expect(sent.reduce((sum, segment) => sum + segment.length, 0)).toBe(13_680);
  });

  it('does not believe in paths narrower than 576 bytes over IPv4 and 1280 over IPv6 (RFC 8201 §4)', () => {
    const script = established();
    write(script, 20, 1368);
    script.take();
    expect(icmp(script, 'packet-too-big', 1, 68)).toBe(true);
    expect(script.lowered).toEqual([576]);
    const six = established({ family: 6 });
    write(six, 20, 1348);
    six.take();
    icmp(six, 'packet-too-big', 1, 600);
    expect(six.lowered).toEqual([1280]);
  });

  it('a packet too big never widens a path (RFC 8201 §4)', () => {
    const script = established();
    write(script, 20, 1368);
    script.take();
    expect(icmp(script, 'packet-too-big', 1, 9000)).toBe(false);
    expect(script.take()).toEqual([]);
  });

  it('a path that drops large segments in silence is found after three timeouts (RFC 2923 §2.1)', () => {
    const script = established();
    write(script, 20, 3000);
    script.take();
    const sizes = script
      .at(2500)
      .take()
      .flatMap(({ seq, length }) => (seq === 1 ? [length] : []));
    expect(sizes).toEqual([1368, 1368, 1228]);
    script.inject(2500, { flags: 'A', seq: 1, ack: 3001 });
    script.take();
    write(script, 2600, 3000);
    expect(script.take().map((segment) => segment.length)).toEqual([1228, 1228, 544]);
    // What one silent path does says nothing of others.
    expect(script.lowered).toEqual([]);
  });

  it('follows an MTU of the tunnel that was lowered', () => {
    const script = established();
    script.mtu = 1280;
    write(script, 20, 3000);
    expect(script.take()[0]!.length).toBe(1228);
  });
});
