import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { FixedPort } from '../../../src/core/portmap/fixed.ts';
import { encodeNatPmpResponse } from '../../../src/core/wire/natpmp.ts';
import { EXIT, GATEWAY, Rig } from './rig.ts';

const ROUND = ['0 address', '0 udp 6881>0 60', '0 tcp 6881>50000 60'];

describe('acquiring a port (RFC 6886)', () => {
  it('sends nothing before the first handshake', () => {
    const rig = new Rig().until(100);
    expect(rig.sent).toEqual([]);
    expect(rig.facts).toEqual({ provider: 'natpmp', state: 'acquiring', protocols: [] });
  });

  it('asks for the external address, then UDP, then TCP with the same external port, for 60 s (§3.2, §3.3)', () => {
    const rig = new Rig().start();
    expect(rig.sent).toEqual(ROUND);
    expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 60', '0 served 50000>6881']);
    expect(rig.until(10.4).facts).toEqual({
      provider: 'natpmp',
      state: 'mapped',
      port: 50_000,
      protocols: ['tcp', 'udp'],
      externalAddress: EXIT,
      leaseSeconds: 60,
      renewInSeconds: 35,
    });
  });

  it('has one request outstanding: the next one goes out when the answer is in (§3.1)', () => {
    const rig = new Rig();
    rig.gateway.silent = true;
    rig.start();
    expect(rig.sent).toEqual(['0 address']);
    rig.gateway.silent = false;
    rig.until(0.2);
    rig.receive({ kind: 'external-address', result: 0, epochSeconds: 5, address: EXIT });
    expect(rig.sent).toEqual(['0 address', '0.2 udp 6881>0 60', '0.2 tcp 6881>50000 60']);
  });

  it('asks Proton VPN for a symmetric port: internal 0, external 1, then TCP for the port granted', () => {
    const rig = new Rig({ provider: 'protonvpn' }).start();
    expect(rig.sent).toEqual(['0 address', '0 udp 0>1 60', '0 tcp 0>50000 60']);
    expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 60', '0 served 50000>50000']);
  });

  it('falls back to the plain form where the symmetric one is refused, and stays with it', () => {
    const rig = new Rig({ provider: 'protonvpn' });
    rig.gateway.map = ({ internalPort }) =>
      internalPort === 0 ? { result: 2, externalPort: 0, lifetimeSeconds: 0 } : {};
    rig.start();
    expect(rig.take(rig.sent)).toEqual(['0 address', '0 udp 0>1 60', '0 udp 6881>0 60', '0 tcp 6881>50000 60']);
    expect(rig.told).toEqual(['0 mapped 50000 at 203.0.113.10 for 60', '0 served 50000>6881']);
    rig.until(45);
    expect(rig.sent).toEqual(['45 address', '45 udp 6881>50000 60', '45 tcp 6881>50000 60']);
  });

  it('retries a silent gateway after 250 ms, doubling, gives up after 8 s, and begins again, ever more rarely (§3.1)', () => {
    const rig = new Rig();
    rig.gateway.silent = true;
    rig.start().until(8);
    const schedule = [0, 0.25, 0.75, 1.75, 3.75, 7.75];
    expect(rig.take(rig.sent)).toEqual(schedule.map((at) => `${at} address`));
    expect(rig.told).toEqual(['8 failed ERR_PORT_FORWARD_SILENT']);
    expect(rig.facts).toMatchObject({ state: 'failed', reason: { code: 'ERR_PORT_FORWARD_SILENT' } });
    const pauses: number[] = [];
    for (let round = 0, ended = 8; round < 7; round++) {
      rig.until(ended + 80);
      const begun = Number.parseFloat(rig.sent[0]!);
      pauses.push(begun - ended);
      expect(rig.sent.slice(0, 6)).toEqual(schedule.map((at) => `${round3(begun + at)} address`));
      ended = begun + 8;
      rig.sent.splice(0, 6);
    }
    for (const [round, base] of [5, 10, 20, 40, 60, 60, 60].entries()) {
      expect(pauses[round]).toBeGreaterThanOrEqual(base * 0.8);
      expect(pauses[round]).toBeLessThanOrEqual(base * 1.2);
    }
    expect(new Set(pauses.map((pause, round) => pause / [5, 10, 20, 40, 60, 60, 60][round]!)).size).toBe(7);
  });

  it('tries at once when a handshake follows a failure, and the pauses begin anew', () => {
    const rig = new Rig();
    rig.gateway.silent = true;
    rig.start().until(9);
    rig.gateway.silent = false;
    rig.take(rig.sent);
    rig.lease.handleHandshake(rig.now);
    rig.settle();
    expect(rig.sent).toHaveLength(3);
    expect(rig.facts.state).toBe('mapped');
    expect(rig.facts.reason).toBeUndefined();
  });

  it('asks again at once when a handshake comes in the middle of a silent round', () => {
    const rig = new Rig();
    rig.gateway.silent = true;
    rig.start().until(4);
    rig.gateway.silent = false;
    rig.lease.handleHandshake(rig.now);
    rig.settle();
    expect(rig.facts.state).toBe('mapped');
  });

  it('leaves a healthy lease alone when there is another handshake', () => {
    const rig = new Rig().start().until(20);
    rig.take(rig.sent);
    rig.lease.handleHandshake(rig.now);
    rig.settle();
    expect(rig.sent).toEqual([]);
  });
});

describe('a gateway that refuses (§3.5)', () => {
  it.each([
    [2, 'ERR_PORT_FORWARD_REFUSED', 'This server or key does not allow port forwarding.'],
    [4, 'ERR_PORT_FORWARD_FULL', 'The gateway 10.2.0.1 has no port left for this key.'],
    [3, 'ERR_PORT_FORWARD_GATEWAY', 'The gateway 10.2.0.1 says that its own network is down.'],
    [5, 'ERR_PORT_FORWARD_REFUSED', 'The gateway 10.2.0.1 does not know NAT-PMP (result 5).'],
    [77, 'ERR_PORT_FORWARD_GATEWAY', 'The gateway 10.2.0.1 refuses with the unknown result 77.'],
  ])('says what result %i means and what to do, and asks again', (result, code, message) => {
    const rig = new Rig();
    rig.gateway.result = result;
    rig.start();
    expect(rig.sent).toEqual(['0 address']);
    expect(rig.told).toEqual([`0 failed ${code}`]);
    expect(rig.facts).toMatchObject({ state: 'failed', reason: { code, message } });
    expect(rig.facts.reason!.hint.length).toBeGreaterThan(20);
    rig.gateway.result = 0;
    rig.until(7);
    expect(rig.facts.state).toBe('mapped');
    expect(Number.parseFloat(rig.sent[1]!)).toBeGreaterThanOrEqual(4);
    expect(Number.parseFloat(rig.sent[1]!)).toBeLessThanOrEqual(6);
  });

  it('believes a refusal of eight bytes, and one without an operation for the version', () => {
    const short = new Rig();
    short.gateway.silent = true;
    short.start();
    short.receive({ kind: 'error', operation: 0, result: 2, epochSeconds: 9 });
    expect(short.told).toEqual(['0 failed ERR_PORT_FORWARD_REFUSED']);
    const version = new Rig();
    version.gateway.map = () => 'silent';
    version.start();
    version.receive({ kind: 'error', operation: 0, result: 1, epochSeconds: 9 });
    expect(version.told).toEqual(['0 failed ERR_PORT_FORWARD_REFUSED']);
  });

  it('takes success with port 0, or for no time, for a failure', () => {
    for (const lie of [{ externalPort: 0 }, { lifetimeSeconds: 0 }]) {
      const rig = new Rig();
      rig.gateway.map = () => lie;
      rig.start();
      expect(rig.told).toEqual(['0 failed ERR_PORT_FORWARD_GATEWAY']);
    }
  });
});

describe('answers that are not believed', () => {
  const waiting = (): Rig => {
    const rig = new Rig();
    rig.gateway.map = () => 'silent';
    rig.start();
    rig.take(rig.told);
    return rig;
  };
  const udp = {
    kind: 'map',
    protocol: 'udp',
    result: 0,
    epochSeconds: 1_000,
    internalPort: 6881,
    externalPort: 7,
    lifetimeSeconds: 60,
  } as const;

  it('come from another address, or another port', () => {
    const rig = waiting();
    rig.receive(udp, { address: ip('10.2.0.99'), port: 5351 });
    rig.receive(udp, { address: GATEWAY, port: 5350 });
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-source': 2 });
    expect(rig.sent).toHaveLength(2);
  });

  it('are for another operation, another internal port, or for a deletion', () => {
    const rig = waiting();
    rig.receive({ ...udp, protocol: 'tcp' });
    rig.receive({ ...udp, internalPort: 6882 });
    rig.receive({ ...udp, externalPort: 0, lifetimeSeconds: 0 });
    rig.receive({ kind: 'external-address', result: 0, epochSeconds: 1_000, address: EXIT });
    rig.receive({ kind: 'error', operation: 2, result: 2, epochSeconds: 1_000 });
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-unmatched': 5 });
    expect(rig.facts.state).toBe('acquiring');
  });

  it('have another version, are requests, or of an unknown operation', () => {
    const rig = waiting();
    const bytes = encodeNatPmpResponse(udp);
    rig.receive(bytes.with(0, 2));
    rig.receive(bytes.with(1, 1));
    rig.receive(bytes.with(1, 131));
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-version': 1, 'natpmp-direction': 1, 'natpmp-operation': 1 });
  });

  it('come when nothing is asked', () => {
    const rig = new Rig().start();
    rig.receive({ ...udp, externalPort: 9 });
    expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-unmatched': 1 });
    expect(rig.facts.port).toBe(50_000);
  });

  it.each(Array.from({ length: 65 }, (_, length) => length))(
    'are cut or stretched to %i bytes: 16 and more are an answer, less is not',
    (length) => {
      const rig = waiting();
      const bytes = new Uint8Array(length);
      bytes.set(encodeNatPmpResponse(udp).subarray(0, length));
      rig.receive(bytes);
      if (length >= 16) expect(rig.take(rig.sent).at(-1)).toBe('0 tcp 6881>7 60');
      else expect(rig.lease.drops.toJSON()).toEqual({ 'natpmp-truncated': 1 });
      expect(rig.told).toEqual([]);
    },
  );

  it.each(Array.from({ length: 65 }, (_, length) => length))(
    'of zeros, of ones, and refusals, each %i bytes long, change no port and throw nothing',
    (length) => {
      for (const fill of [0, 0xff]) {
        const rig = new Rig().start();
        rig.receive(new Uint8Array(length).fill(fill));
        expect(rig.facts.port).toBe(50_000);
      }
      const rig = waiting();
      const refusal = new Uint8Array(length);
      refusal.set(encodeNatPmpResponse({ ...udp, result: 2 }).subarray(0, length));
      rig.receive(refusal);
      expect(rig.told).toEqual(length >= 4 ? ['0 failed ERR_PORT_FORWARD_REFUSED'] : []);
    },
  );
});

describe('ports without a gateway', () => {
  it('static: tells the port after the first handshake, and asks nobody (F13)', () => {
    const fixed = new FixedPort(40_123);
    expect(fixed.facts()).toEqual({ provider: 'static', state: 'acquiring', protocols: [] });
    fixed.handleHandshake();
    fixed.handleHandshake();
    expect([fixed.nextOutput(), fixed.nextOutput(), fixed.nextOutput()]).toEqual([
      { kind: 'mapped', port: 40_123 },
      { kind: 'served', ports: [{ port: 40_123, insidePort: 40_123 }] },
      undefined,
    ]);
    expect(fixed.facts()).toEqual({ provider: 'static', state: 'mapped', port: 40_123, protocols: ['tcp', 'udp'] });
    expect(fixed.nextTimeout()).toBeUndefined();
    fixed.release();
    expect([fixed.nextOutput()?.kind, fixed.nextOutput()?.kind, fixed.nextOutput()?.kind]).toEqual([
      'lost',
      'served',
      'released',
    ]);
  });

  it.each([0, 70_000, -1, 1.5, Number.NaN, 'text' as never])('static: refuses %s as a port (F13)', (port) => {
    expect(() => new FixedPort(port)).toThrow(RangeError);
  });

  it('none: no outputs, no timers (F14)', () => {
    const none = new FixedPort(undefined);
    none.handleHandshake();
    expect(none.nextOutput()).toBeUndefined();
    expect(none.nextTimeout()).toBeUndefined();
    expect(none.facts()).toEqual({ provider: 'none', state: 'off', protocols: [] });
    none.release();
    expect(none.nextOutput()).toEqual({ kind: 'released' });
  });
});

const round3 = (value: number): number => Math.round(value * 1000) / 1000;
