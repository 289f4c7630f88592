import { describe, expect, it } from 'vitest';
import { established, listening, Script, SOCKET } from '../../../support/tcp-script.ts';

const connect = (script: Script, t = 0): Script =>
  script.command(t, { kind: 'tcp-connect', socket: SOCKET, to: { address: script.remote, port: 5000 } });

describe('active open (RFC 9293 §3.5)', () => {
  it('sends a SYN with MSS, window scale, SACK-permitted and timestamps (RFC 7323 §2.2, RFC 2018 §2)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S', seq: 0, mss: 1380, scale: 10, sackOk: true, window: 65_535, ts: [0, 0] });
  });

  it('offers an MSS of the MTU less 40 over IPv4 and less 60 over IPv6 (RFC 9293 §3.7.1)', () => {
    connect(new Script({ mtu: 1420 })).expect(0, { mss: 1380 });
    connect(new Script({ mtu: 1420, family: 6 })).expect(0, { mss: 1360 });
    connect(new Script({ mtu: 1280, family: 6 })).expect(0, { mss: 1220 });
  });

  it('acknowledges the SYN and ACK and tells the embedder (RFC 9293 §3.10.7.3)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'SA', seq: 0, ack: 1, mss: 1460, scale: 7, sackOk: true, ts: [500, 0] });
    script.expect(10, { flags: 'A', seq: 1, ack: 1, ts: [10, 500] });
    expect(script.takeEvents()).toMatchObject([
      { kind: 'tcp-connected', socket: SOCKET, remote: { port: 5000 }, writeCredit: 256 * 1024 },
    ]);
  });

  it('repeats the SYN after 1, 2, 4 … seconds and gives up with ETIMEDOUT (RFC 6298 §5.5, RFC 9293 §3.8.3)', () => {
    const script = connect(new Script());
    for (const t of [0, 1000, 3000, 7000, 15_000, 31_000, 63_000]) script.expect(t, { flags: 'S', seq: 0 });
    script.expectNothing(122_999);
    expect(script.takeEvents()).toEqual([]);
    script.expectNothing(123_000);
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET, error: 'ETIMEDOUT' }]);
    expect(script.tcp.counts().connections).toBe(0);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('ends with ECONNREFUSED on a RST that acknowledges the SYN (RFC 9293 §3.10.7.3)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'RA', seq: 0, ack: 1 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET, error: 'ECONNREFUSED' }]);
    script.expectNothing(1000);
  });

  it('ignores a RST without, or with a wrong, acknowledgement in SYN-SENT (RFC 9293 §3.10.7.3)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'R', seq: 0 }, { flags: 'RA', seq: 0, ack: 2 });
    expect(script.takeEvents()).toEqual([]);
    expect(script.drops).toEqual(
      new Map([
        ['tcp-reset-invalid', 1],
        ['tcp-ack-invalid', 1],
      ]),
    );
  });

  it('answers a wrong acknowledgement in SYN-SENT with a RST that carries its number (RFC 9293 §3.10.7.3)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'SA', seq: 0, ack: 7, mss: 1460 });
    script.expect(10, { flags: 'R', seq: 7 });
    script.expect(1000, { flags: 'S', seq: 0 });
  });

  it('opens simultaneously: SYN for SYN, then both are established (RFC 9293 §3.5, figure 8)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(5, { flags: 'S', seq: 0, mss: 1460, sackOk: true, scale: 7, ts: [500, 0] });
    script.expect(5, { flags: 'SA', seq: 0, ack: 1 });
    expect(script.takeEvents()).toEqual([]);
    script.inject(10, { flags: 'SA', seq: 0, ack: 1, mss: 1460, sackOk: true, scale: 7, ts: [505, 0] });
    expect(script.takeEvents()).toMatchObject([{ kind: 'tcp-connected', socket: SOCKET }]);
    script.take();
    script.inject(20, { flags: 'PA', seq: 1, ack: 1, length: 5, ts: [515, 0] });
    script.expect(20, { flags: 'A', ack: 6 });
    expect(script.takeEvents()).toMatchObject([{ kind: 'tcp-data' }]);
  });

  it('takes the window of a SYN unscaled in a simultaneous open too (RFC 7323 §2.2)', () => {
    const script = connect(new Script());
    script.inject(5, { flags: 'S', seq: 0, mss: 1012, scale: 4, window: 2000 });
    script.inject(10, { flags: 'SA', seq: 0, ack: 1, mss: 1012, scale: 4, window: 2000 });
    script.take();
    script.command(20, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(5000) });
    expect(script.take().map((segment) => segment.length)).toEqual([1012]);
  });

  it('goes without options that the peer does not have (RFC 7323 §2.2, RFC 2018 §2)', () => {
    const script = connect(new Script());
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'SA', seq: 0, ack: 1, mss: 1000 });
    script.expect(10, { flags: 'A', ts: undefined });
    script.inject(20, { flags: 'A', seq: 101, ack: 1, length: 100 });
    script.expect(20, { flags: 'A', ack: 1, sack: [], ts: undefined, window: 65_535 });
  });

  it('takes 536 or 1220 bytes as the MSS of a peer that names none (RFC 9293 §3.7.1, RFC 8200 §8.3)', () => {
    for (const [family, mss] of [
      [4, 536],
      [6, 1220],
    ] as const) {
      const script = connect(new Script({ family }));
      script.expect(0, { flags: 'S' });
      script.inject(10, { flags: 'SA', seq: 0, ack: 1 });
      script.expect(10, { flags: 'A' });
      script.command(20, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(2000) });
      script.expect(20, { length: mss });
    }
  });

  it('refuses destinations it has no address for, and ports that are taken', () => {
    const script = new Script({ family: 6 });
    const four = new Script();
    const to = { address: four.remote, port: 1 };
    script.command(0, { kind: 'tcp-connect', socket: 1, to });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 1, error: 'ENETUNREACH' }]);
    four.command(0, { kind: 'tcp-connect', socket: 1, to, localPort: 7777 });
    four.command(0, { kind: 'tcp-connect', socket: 2, to, localPort: 7777 });
    expect(four.takeEvents()).toEqual([{ kind: 'closed', socket: 2, error: 'EADDRINUSE' }]);
  });

  it('keeps one local port for connections to different remotes (RFC 6056 §2.2)', () => {
    const script = new Script();
    for (const port of [1, 2, 3])
      script.command(0, { kind: 'tcp-connect', socket: port, to: { address: script.remote, port }, localPort: 7777 });
    expect(script.takeEvents()).toEqual([]);
    expect(script.take().map((segment) => segment.remotePort)).toEqual([1, 2, 3]);
  });

  it('refuses more connections than the limit with EMFILE', () => {
    const script = new Script({ settings: { maxConnections: 2 } });
    for (const port of [1, 2, 3])
      script.command(0, { kind: 'tcp-connect', socket: port, to: { address: script.remote, port } });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 3, error: 'EMFILE' }]);
  });
});

describe('passive open (RFC 9293 §3.5)', () => {
  it('answers a SYN, and announces the connection when its own is acknowledged', () => {
    const script = listening();
    expect(script.takeEvents()).toMatchObject([{ kind: 'bound', socket: SOCKET, local: { port: 80 } }]);
    script.inject(0, { flags: 'S', seq: 0, mss: 1460, scale: 7, sackOk: true, ts: [500, 0] });
    script.expect(0, { flags: 'SA', seq: 0, ack: 1, mss: 1380, scale: 10, sackOk: true, ts: [0, 500] });
    expect(script.takeEvents()).toEqual([]);
    script.inject(20, { flags: 'A', seq: 1, ack: 1, ts: [520, 0] });
    expect(script.takeEvents()).toMatchObject([
      { kind: 'tcp-accepted', listener: SOCKET, socket: -1, local: { port: 80 }, remote: { port: 5000 } },
    ]);
    script.expectNothing(5000);
  });

  it('takes data that comes with the last segment of the handshake', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(0, { flags: 'SA' });
    script.inject(20, { flags: 'PA', seq: 1, ack: 1, length: 10 });
    expect(script.takeEvents().slice(1)).toMatchObject([{ kind: 'tcp-accepted' }, { kind: 'tcp-data', socket: -1 }]);
    script.expect(20, { flags: 'A', ack: 11 });
  });

  it('leaves out options that the SYN did not have (RFC 7323 §2.2)', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(0, { flags: 'SA', scale: -1, sackOk: false, ts: undefined });
  });

  it('repeats SYN and ACK when the SYN comes again, and when time passes (RFC 6298)', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(0, { flags: 'SA' });
    script.inject(500, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(500, { flags: 'SA' });
    script.expect(1500, { flags: 'SA' });
    script.expect(3500, { flags: 'SA' });
  });

  it('gives a half-open connection up in silence after its retries', () => {
    const script = listening({ settings: { synAckRetries: 2 } });
    script.takeEvents();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    for (const t of [0, 1000, 3000]) script.expect(t, { flags: 'SA' });
    script.expectNothing(60_000);
    expect(script.takeEvents()).toEqual([]);
    expect(script.tcp.counts().connections).toBe(0);
  });

  it('forgets a half-open connection that is reset, and answers an acknowledgement of what it never sent with RST', () => {
    const script = listening();
    script.takeEvents();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(0, { flags: 'SA' });
    script.inject(10, { flags: 'A', seq: 1, ack: 99 });
    script.expect(10, { flags: 'R', seq: 99 });
    script.inject(20, { flags: 'R', seq: 1 });
    expect(script.tcp.counts().connections).toBe(0);
    expect(script.takeEvents()).toEqual([]);
  });

  it('answers an ACK to a listener with RST, and ignores a RST (RFC 9293 §3.10.7.2)', () => {
    const script = listening();
    script.inject(0, { flags: 'A', seq: 5, ack: 77 }, { flags: 'R', seq: 5 });
    script.expect(0, { flags: 'R', seq: 77 });
    script.expectNothing(10);
  });

  it('answers a SYN to a port where nobody listens with RST and ACK (RFC 9293 §3.10.7.1)', () => {
    const script = new Script();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(0, { flags: 'RA', seq: 0, ack: 1 });
    expect(script.drops.get('tcp-no-connection')).toBe(1);
  });

  it('evicts the oldest half-open connection when there are too many (RFC 4987 §3.3)', () => {
    const script = listening({ settings: { synQueueLimit: 8 } });
    for (let i = 0; i < 20; i++) {
      script.remotePort = 6000 + i;
      script.inject(i, { flags: 'S', seq: 0, mss: 1460 });
    }
    expect(script.tcp.counts().connections).toBe(8);
    expect(script.drops.get('tcp-listen-queue-full')).toBe(12);
    script.take();
    // The newest is still there, the oldest is not.
    script.inject(100, { flags: 'A', seq: 1, ack: 1 });
    expect(script.takeEvents().at(-1)).toMatchObject({ kind: 'tcp-accepted', remote: { port: 6019 } });
    script.remotePort = 6000;
    script.inject(101, { flags: 'A', seq: 1, ack: 1 });
    script.expect(101, { flags: 'R' });
  });

  it('lets a handshake wait when more than the backlog complete in one burst', () => {
    const script = listening({ backlog: 2 });
    const initials: number[] = [];
    for (let i = 0; i < 3; i++) {
      script.remotePort = 6000 + i;
      script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
      initials.push(script.ourInitial);
    }
    script.takeEvents();
    script.take();
    for (let i = 0; i < 3; i++) {
      script.ourInitial = initials[i]!;
      script.feed(script.build({ flags: 'A', seq: 1, ack: 1 }, 6000 + i));
    }
    script.tcp.endBurst(script.time);
    expect(script.takeEvents()).toHaveLength(2);
    expect(script.drops.get('tcp-backlog-full')).toBe(1);
    script.remotePort = 6002;
    script.inject(10, { flags: 'PA', seq: 1, ack: 1, length: 3 });
    expect(script.takeEvents()).toMatchObject([{ kind: 'tcp-accepted' }, { kind: 'tcp-data' }]);
  });

  it('gives the port back when a listener closes, and keeps what it accepted', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.inject(10, { flags: 'A', seq: 1, ack: 1 });
    script.takeEvents();
    script.command(20, { kind: 'close', socket: SOCKET });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET }]);
    script.inject(30, { flags: 'PA', seq: 1, ack: 1, length: 3 });
    expect(script.takeEvents()).toMatchObject([{ kind: 'tcp-data', socket: -1 }]);
    script.command(40, { kind: 'tcp-listen', socket: 2, port: 80, backlog: 1 });
    expect(script.takeEvents()).toMatchObject([{ kind: 'bound', socket: 2 }]);
  });
});

describe('initial sequence numbers (RFC 6528)', () => {
  it('differ between ends, and grow by 250 per millisecond for the same ends', () => {
    const script = listening();
    const first: number[] = [];
    for (let i = 0; i < 2; i++) {
      script.inject(1000 * i, { flags: 'S', seq: 0, mss: 1460 });
      first.push(script.ourInitial);
      script.inject(1000 * i + 1, { flags: 'R', seq: 1 });
    }
    expect((first[1]! - first[0]!) | 0).toBe(250_000);
    script.remotePort++;
    script.inject(1001, { flags: 'S', seq: 0, mss: 1460 });
    expect(Math.abs((script.ourInitial - first[1]!) | 0)).toBeGreaterThan(10_000);
  });

  it('are unrelated for two stacks with different keys', () => {
    const initials = [1, 2, 3].map((seed) => established({ seed }).ourInitial);
    expect(new Set(initials).size).toBe(3);
  });
});
