import { describe, expect, it } from 'vitest';
import { established, listening, type Script, SOCKET } from '../../../support/tcp-script.ts';

const shutdown = (script: Script, t: number): Script => script.command(t, { kind: 'tcp-shutdown', socket: SOCKET });
const write = (script: Script, t: number, length: number): Script =>
  script.command(t, { kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(length) });

describe('closing (RFC 9293 §3.6)', () => {
  it('we first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT (figure 12)', () => {
    const script = established();
    shutdown(script, 20).expect(20, { flags: 'FA', seq: 1, ack: 1 });
    script.inject(30, { flags: 'A', seq: 1, ack: 2 });
    script.expectNothing(40);
    expect(script.takeEvents()).toEqual([]);
    script.inject(50, { flags: 'FA', seq: 1, ack: 2 });
    script.expect(50, { flags: 'A', seq: 2, ack: 2 });
    expect(script.takeEvents()).toEqual([
      { kind: 'tcp-end', socket: SOCKET },
      { kind: 'closed', socket: SOCKET },
    ]);
    expect(script.tcp.counts()).toMatchObject({ connections: 0, timeWait: 1 });
    script.expectNothing(30_050);
    expect(script.tcp.counts().timeWait).toBe(0);
    expect(script.ports.held('tcp', script.localPort)).toBe(false);
  });

  it('the peer first: CLOSE-WAIT, LAST-ACK, CLOSED, and no TIME-WAIT (figure 12)', () => {
    const script = established();
    script.inject(20, { flags: 'FA', seq: 1, ack: 1 });
    script.expect(20, { flags: 'A', seq: 1, ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-end', socket: SOCKET }]);
    shutdown(script, 30).expect(30, { flags: 'FA', seq: 1, ack: 2 });
    script.inject(40, { flags: 'A', seq: 2, ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET }]);
    expect(script.tcp.counts()).toMatchObject({ connections: 0, timeWait: 0 });
    expect(script.ports.held('tcp', script.localPort)).toBe(false);
    script.expectNothing(1000);
  });

  it('both at once: CLOSING, TIME-WAIT (figure 13)', () => {
    const script = established();
    shutdown(script, 20).expect(20, { flags: 'FA', seq: 1 });
    script.inject(25, { flags: 'FA', seq: 1, ack: 1 });
    script.expect(25, { flags: 'A', seq: 2, ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-end', socket: SOCKET }]);
    script.inject(30, { flags: 'A', seq: 2, ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET }]);
    expect(script.tcp.counts().timeWait).toBe(1);
  });

  it('FIN and acknowledgement of ours in one segment: FIN-WAIT-1 to TIME-WAIT', () => {
    const script = established();
    shutdown(script, 20).expect(20, { flags: 'FA', seq: 1 });
    script.inject(30, { flags: 'FA', seq: 1, ack: 2 });
    script.expect(30, { flags: 'A', seq: 2, ack: 2 });
    expect(script.takeEvents().map((event) => event.kind)).toEqual(['tcp-end', 'closed']);
  });

  it('half-closed by us: still receives (§3.6)', () => {
    const script = established();
    shutdown(script, 20).expect(20, { flags: 'FA', seq: 1 });
    script.inject(30, { flags: 'A', seq: 1, ack: 2 }, { flags: 'PA', seq: 1, ack: 2, length: 700 });
    script.expect(30, { flags: 'A', seq: 2, ack: 701 });
    expect(script.takeEvents()).toMatchObject([{ kind: 'tcp-data' }]);
    script.inject(60_000, { flags: 'PA', seq: 701, ack: 2, length: 700 });
    script.expect(60_000, { flags: 'A', seq: 2, ack: 1401 });
  });

  it('half-closed by the peer: still sends (§3.6)', () => {
    const script = established();
    script.inject(20, { flags: 'FA', seq: 1, ack: 1 });
    script.expect(20, { flags: 'A', ack: 2 });
    write(script, 30, 100).expect(30, { flags: 'PA', seq: 1, length: 100 });
    script.inject(40, { flags: 'A', seq: 2, ack: 101 });
    expect(script.takeEvents().at(-1)).toEqual({ kind: 'tcp-write-credit', socket: SOCKET, bytes: 100 });
    shutdown(script, 50).expect(50, { flags: 'FA', seq: 101 });
    script.inject(60, { flags: 'A', seq: 2, ack: 102 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET }]);
  });

  it('sends the FIN behind all that was written, with the last data', () => {
    const script = established();
    script.at(20);
    script.tcp.handleCommand({ kind: 'tcp-write', socket: SOCKET, bytes: new Uint8Array(1500) }, script.time);
    script.tcp.handleCommand({ kind: 'tcp-shutdown', socket: SOCKET }, script.time);
    script.drain();
    script.expect(20, { flags: 'A', seq: 1, length: 1368 });
    script.expect(20, { flags: 'FPA', seq: 1369, length: 132 });
  });

  it('repeats a FIN that is not acknowledged (RFC 6298)', () => {
    const script = established();
    shutdown(script, 20).expect(20, { flags: 'FA', seq: 1 });
    const repeated = script.at(3000).take();
    expect(repeated.length).toBeGreaterThan(2);
    for (const segment of repeated) expect(segment).toMatchObject({ flags: 'FA', seq: 1, ack: 1 });
    script.inject(3000, { flags: 'A', seq: 1, ack: 2 });
    script.expectNothing(100_000);
  });

  it('shuts down what is not open yet once it is', () => {
    const script = listening();
    script.command(0, { kind: 'tcp-connect', socket: 2, to: { address: script.remote, port: 5000 } });
    script.command(0, { kind: 'tcp-shutdown', socket: 2 });
    script.expect(0, { flags: 'S' });
    script.inject(10, { flags: 'SA', seq: 0, ack: 1, mss: 1380 });
    script.expect(10, { flags: 'FA', seq: 1, ack: 1 });
  });

  it('delivers data in front of a FIN before the end, also when the FIN came first', () => {
    const script = established();
    script.inject(20, { flags: 'FPA', seq: 101, ack: 1, length: 100 });
    script.expect(20, { flags: 'A', ack: 1, sack: [[101, 201]] });
    expect(script.takeEvents()).toEqual([]);
    script.inject(30, { flags: 'A', seq: 1, ack: 1, length: 100 });
    script.expect(30, { flags: 'A', ack: 202 });
    expect(script.takeEvents().map((event) => event.kind)).toEqual(['tcp-data', 'tcp-data', 'tcp-end']);
  });

  it('ignores data behind a FIN', () => {
    const script = established();
    script.inject(20, { flags: 'FA', seq: 1, ack: 1 }, { flags: 'PA', seq: 2, ack: 1, length: 50 });
    script.expect(20, { flags: 'A', ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-end', socket: SOCKET }]);
  });

  it('acknowledges a FIN that comes again in CLOSE-WAIT', () => {
    const script = established();
    script.inject(20, { flags: 'FA', seq: 1, ack: 1 });
    script.expect(20, { flags: 'A', ack: 2 });
    script.inject(40, { flags: 'FA', seq: 1, ack: 1 });
    script.expect(40, { flags: 'A', ack: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'tcp-end', socket: SOCKET }]);
  });
});

describe('abort (RFC 9293 §3.10.5)', () => {
  it('sends RST with the next sequence number, and nothing is delivered after', () => {
    const script = established();
    write(script, 20, 100).expect(20, { flags: 'PA' });
    script.feed(script.build({ flags: 'PA', seq: 1, ack: 1, length: 50 }));
    script.command(20, { kind: 'tcp-abort', socket: SOCKET });
    script.expect(20, { flags: 'RA', seq: 101, ack: 51 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: SOCKET }]);
    script.inject(30, { flags: 'PA', seq: 51, ack: 1, length: 50 });
    script.expect(30, { flags: 'R', seq: 1 });
    expect(script.takeEvents()).toEqual([]);
    expect(script.tcp.nextTimeout()).toBeUndefined();
  });

  it('is silent in SYN-SENT: the peer knows of nothing', () => {
    const script = listening();
    script.takeEvents();
    script.command(0, { kind: 'tcp-connect', socket: 2, to: { address: script.remote, port: 5000 } });
    script.expect(0, { flags: 'S' });
    script.command(5, { kind: 'tcp-abort', socket: 2 });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 2 }]);
    script.expectNothing(10_000);
  });

  it('ignores commands for sockets that are gone', () => {
    const script = established();
    script.command(20, { kind: 'tcp-abort', socket: SOCKET });
    script.take();
    script.takeEvents();
    write(script, 30, 10);
    shutdown(script, 30);
    script.command(30, { kind: 'tcp-credit', socket: SOCKET, bytes: 10 });
    script.command(30, { kind: 'tcp-options', socket: SOCKET, keepAliveMs: 10 });
    script.expectNothing(1000);
    expect(script.takeEvents()).toEqual([]);
  });
});

describe('TIME-WAIT (RFC 9293 §3.6.1)', () => {
  const inTimeWait = (ts = true): Script => {
    const script = established({ ts, settings: { timeWaitMs: 30_000 } });
    shutdown(script, 20).expect(20, { flags: 'FA' });
    script.inject(30, { flags: 'FA', seq: 1, ack: 2 });
    script.expect(30, { flags: 'A', seq: 2, ack: 2 });
    script.takeEvents();
    return script;
  };

  it('acknowledges a FIN that comes again and waits anew', () => {
    const script = inTimeWait();
    script.inject(20_000, { flags: 'FA', seq: 1, ack: 2 });
    script.expect(20_000, { flags: 'A', seq: 2, ack: 2, ts: [20_000, 1030] });
    script.expectNothing(49_999);
    expect(script.tcp.counts().timeWait).toBe(1);
    script.expectNothing(50_000);
    expect(script.tcp.counts().timeWait).toBe(0);
  });

  it('is ended by a RST that has the next sequence number, and by no other (RFC 9293 §3.10.7.4, RFC 5961 §3.2)', () => {
    const script = inTimeWait();
    script.inject(100, { flags: 'R', seq: 1 });
    script.inject(100, { flags: 'R', seq: 3 });
    expect(script.tcp.counts().timeWait).toBe(1);
    script.inject(100, { flags: 'R', seq: 2 });
    script.expectNothing(200);
    expect(script.tcp.counts().timeWait).toBe(0);
  });

  it('is over for another host behind the same NAT when it has reset what it did not ask for (RFC 9293 §3.10.7.3)', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460, ts: [500, 0] });
    script.inject(1, { flags: 'A', seq: 1, ack: 1, ts: [501, 0] });
    script.command(2, { kind: 'tcp-shutdown', socket: -1 });
    script.inject(3, { flags: 'FA', seq: 1, ack: 2, ts: [503, 0] });
    script.take();
    script.inject(10, { flags: 'S', seq: -5000, mss: 1460, ts: [-400, 0] });
    script.expect(10, { flags: 'A', seq: 2, ack: 2 });
    script.inject(11, { flags: 'R', seq: 2 });
    script.inject(1010, { flags: 'S', seq: -5000, mss: 1460, ts: [-300, 0] });
    script.expect(1010, { flags: 'SA', ack: -4999 });
    expect(script.tcp.counts()).toMatchObject({ connections: 1, timeWait: 0 });
  });

  it('does not answer plain acknowledgements, lest two ends talk for ever', () => {
    const script = inTimeWait();
    script.inject(100, { flags: 'A', seq: 2, ack: 2 });
    script.expectNothing(200);
  });

  it('gives way to a SYN with a newer timestamp (RFC 6191 §2)', () => {
    const script = listening({ settings: { timeWaitMs: 30_000 } });
    script.inject(0, { flags: 'S', seq: 0, mss: 1460, ts: [500, 0] });
    script.inject(1, { flags: 'A', seq: 1, ack: 1, ts: [501, 0] });
    script.command(2, { kind: 'tcp-shutdown', socket: -1 });
    script.inject(3, { flags: 'FA', seq: 1, ack: 2, ts: [503, 0] });
    expect(script.tcp.counts().timeWait).toBe(1);
    script.take();
    script.inject(10, { flags: 'S', seq: -5000, mss: 1460, ts: [400, 0] });
    script.expect(10, { flags: 'A', seq: 2, ack: 2 });
    script.inject(20, { flags: 'S', seq: -5000, mss: 1460, ts: [600, 0] });
    script.expect(20, { flags: 'SA', ack: -4999 });
    expect(script.tcp.counts()).toMatchObject({ connections: 1, timeWait: 0 });
  });

  it('gives way to a SYN with a higher sequence number where there are no timestamps (RFC 9293 §3.10.7.4)', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.inject(1, { flags: 'A', seq: 1, ack: 1 });
    script.command(2, { kind: 'tcp-shutdown', socket: -1 });
    script.inject(3, { flags: 'FA', seq: 1, ack: 2 });
    script.take();
    script.inject(10, { flags: 'S', seq: 1, mss: 1460 });
    script.expect(10, { flags: 'A', seq: 2, ack: 2 });
    script.inject(20, { flags: 'S', seq: 2, mss: 1460 });
    script.expect(20, { flags: 'SA', ack: 3 });
  });

  it('keeps the local port from a new connection to the same remote until it is over', () => {
    const script = inTimeWait();
    const localPort = script.localPort;
    const to = { address: script.remote, port: 5000 };
    script.command(100, { kind: 'tcp-connect', socket: 9, to, localPort });
    expect(script.takeEvents()).toEqual([{ kind: 'closed', socket: 9, error: 'EADDRINUSE' }]);
    script.command(30_100, { kind: 'tcp-connect', socket: 10, to, localPort });
    expect(script.takeEvents()).toEqual([]);
  });

  it('is bounded: a flood of short connections evicts the oldest records', () => {
    const script = listening({ settings: { timeWaitLimit: 100 } });
    for (let i = 0; i < 500; i++) {
      script.remotePort = 10_000 + i;
      script.inject(i, { flags: 'S', seq: 0, mss: 1460 });
      script.inject(i, { flags: 'A', seq: 1, ack: 1 });
      script.command(i, { kind: 'tcp-shutdown', socket: -1 - i });
      script.inject(i, { flags: 'FA', seq: 1, ack: 2 });
    }
    expect(script.tcp.counts()).toMatchObject({ connections: 0, timeWait: 100 });
    script.take();
    script.expectNothing(40_000);
    expect(script.tcp.counts().timeWait).toBe(0);
  });
});

describe('a connection that is gone', () => {
  it('is not found for the segments behind the last, though nothing came in between (RFC 9293 §3.10.7.1)', () => {
    const script = established();
    script.inject(20, { flags: 'A', seq: 1, ack: 1, length: 10, ts: [1020, 20] });
    script.inject(30, { flags: 'R', seq: 11 });
    script.take();
    script.inject(40, { flags: 'A', seq: 11, ack: 1, length: 10, ts: [1040, 20] });
    script.expect(40, { flags: 'R', seq: 1 });
  });
});

describe('reset of the whole stack', () => {
  it('ends every connection with the code given and sends nothing, and listeners live on', () => {
    const script = listening();
    script.inject(0, { flags: 'S', seq: 0, mss: 1460 });
    script.inject(1, { flags: 'A', seq: 1, ack: 1 });
    script.command(2, { kind: 'tcp-connect', socket: 5, to: { address: script.remote, port: 1 } });
    script.take();
    script.takeEvents();
    script.tcp.reset('ECONNRESET', script.time);
    script.drain();
    expect(script.takeEvents()).toEqual([
      { kind: 'closed', socket: -1, error: 'ECONNRESET' },
      { kind: 'closed', socket: 5, error: 'ECONNRESET' },
    ]);
    script.expectNothing(100_000);
    expect(script.tcp.counts()).toEqual({ connections: 0, listening: 1, timeWait: 0 });
    expect(script.tcp.nextTimeout()).toBeUndefined();
    script.remotePort = 7000;
    script.localPort = 80;
    script.inject(100_001, { flags: 'S', seq: 0, mss: 1460 });
    script.expect(100_001, { flags: 'SA' });
  });
});
