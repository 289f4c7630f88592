import { describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../src/core/base/address.ts';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { after, type Instant, instant } from '../../src/core/base/instant.ts';
import { Nat } from '../../src/core/nat/nat.ts';
import { decodeNatPmpResponse, encodeNatPmpRequest, type NatPmpResponse } from '../../src/core/wire/natpmp.ts';
import { NatPmpGateway, NatPmpSwitches } from '../../src/sandbox/natpmp-gateway.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';

const T0 = instant(5_000_000);
const CLIENT = ip('10.2.0.2');
const OTHER = ip('10.2.0.3');
const at = (seconds: number): Instant => after(T0, seconds * 1000);

class Fixture {
  readonly random = new SeededRandom(1);
  readonly nat = new Nat({ publicAddresses: [ip('203.0.113.10')], random: this.random }, T0);
  readonly switches = new NatPmpSwitches();
  readonly gateway = new NatPmpGateway(this.nat, this.random, this.switches, T0);

  /** Asks for a mapping; the answer as a value. */
  map(
    protocol: 'tcp' | 'udp',
    internalPort: number,
    externalPort: number,
    { seconds = 60, now = T0, client = CLIENT } = {},
  ): Extract<NatPmpResponse, { kind: 'map' }> {
    const request = encodeNatPmpRequest({
      kind: 'map',
      protocol,
      internalPort,
      externalPort,
      lifetimeSeconds: seconds,
    });
    const bytes = this.gateway.handleRequest(request, client, now);
    const response = bytes && decodeNatPmpResponse(bytes);
    if (!response || typeof response === 'string' || response.kind !== 'map') throw new Error(`${response}`);
    return response;
  }

  /** What is really forwarded, as text. */
  forwarded(now: Instant): string[] {
    return [...this.nat.mappings(now)].map(
      ({ protocol, inside, insidePort, externalPort }) =>
        `${protocol === 6 ? 'tcp' : 'udp'} ${externalPort}→${formatIp(inside)}#${insidePort}`,
    );
  }
}

describe('NAT-PMP requests (RFC 6886)', () => {
  it('tells the external address and the epoch in seconds (§3.2)', () => {
    const { gateway } = new Fixture();
    expect(toHex(gateway.handleRequest(fromHex('0000'), CLIENT, at(90.9))!)).toBe('008000000000005acb00710a');
  });

  it('maps the port that was asked for, if it is free, for as long as asked but not longer than a minute (§3.3)', () => {
    const fixture = new Fixture();
    expect(fixture.map('tcp', 6881, 50_000, { seconds: 20 })).toMatchObject({
      result: 0,
      internalPort: 6881,
      externalPort: 50_000,
      lifetimeSeconds: 20,
    });
    expect(fixture.map('tcp', 6882, 50_001, { seconds: 7200 }).lifetimeSeconds).toBe(60);
    expect(fixture.forwarded(at(59))).toEqual(['tcp 50001→10.2.0.2#6882']);
  });

  it('gives another port where the one asked for is taken, or below 1024', () => {
    const fixture = new Fixture();
    fixture.map('tcp', 6881, 50_000);
    const other = fixture.map('tcp', 6881, 50_000, { client: OTHER });
    expect(other.result).toBe(0);
    expect(other.externalPort).not.toBe(50_000);
    expect(fixture.map('tcp', 80, 80).externalPort).toBeGreaterThanOrEqual(1024);
  });

  it('keeps the companion port of the other protocol for the same client and internal port (§3.3)', () => {
    const fixture = new Fixture();
    fixture.map('udp', 6881, 50_000);
    expect(fixture.map('tcp', 6881, 50_000, { client: OTHER }).externalPort).not.toBe(50_000);
    expect(fixture.map('tcp', 6881, 1).externalPort).toBe(50_000);
  });

  it('renews under the same port, whatever port is asked for', () => {
    const fixture = new Fixture();
    const { externalPort } = fixture.map('udp', 6881, 0);
    expect(fixture.map('udp', 6881, 12_345, { now: at(45) }).externalPort).toBe(externalPort);
    expect(fixture.forwarded(at(100))).toHaveLength(1);
    expect(fixture.forwarded(at(106))).toEqual([]);
  });

  it('destroys one mapping, or all of a protocol, and does so again without complaint (§3.4)', () => {
    const fixture = new Fixture();
    fixture.map('udp', 1000, 50_000);
    fixture.map('udp', 1001, 50_001);
    fixture.map('tcp', 1001, 50_001);
    const gone = { result: 0, internalPort: 1000, externalPort: 0, lifetimeSeconds: 0 };
    expect(fixture.map('udp', 1000, 0, { seconds: 0 })).toMatchObject(gone);
    expect(fixture.map('udp', 1000, 0, { seconds: 0 })).toMatchObject(gone);
    expect(fixture.forwarded(T0)).toHaveLength(2);
    fixture.map('udp', 0, 0, { seconds: 0 });
    expect(fixture.forwarded(T0)).toEqual(['tcp 50001→10.2.0.2#1001']);
  });

  it('refuses a sixth port for lack of resources, but not a fifth one’s other protocol', () => {
    const fixture = new Fixture();
    for (let port = 1; port <= 5; port++) fixture.map('udp', port, 0);
    expect(fixture.map('udp', 6, 0)).toMatchObject({ result: 4, internalPort: 6, externalPort: 0, lifetimeSeconds: 0 });
    expect(fixture.map('tcp', 5, 0).result).toBe(0);
    expect(fixture.map('udp', 6, 0, { now: at(60) }).result).toBe(0);
  });

  it('refuses another version, returns an unknown operation whole, ignores responses and stumps (§3.5)', () => {
    const { gateway } = new Fixture();
    const answer = (hex: string): string | undefined => {
      const bytes = gateway.handleRequest(fromHex(hex), CLIENT, at(3));
      return bytes && toHex(bytes);
    };
    expect(answer('0201000000000000')).toBe('0000000100000003');
    expect(answer('0007aaaabbbb')).toBe('00870005bbbb');
    expect(answer('0081000000000000')).toBeUndefined();
    expect(answer('000100001ae1')).toBeUndefined();
  });
});

describe('the symmetric form of Proton VPN', () => {
  it('gives one port that is the same inside and outside, the same for both protocols, and answers internal port 0', () => {
    const fixture = new Fixture();
    const udp = fixture.map('udp', 0, 1);
    const tcp = fixture.map('tcp', 0, 1);
    expect(udp).toMatchObject({ result: 0, internalPort: 0, lifetimeSeconds: 60 });
    expect(tcp.externalPort).toBe(udp.externalPort);
    const port = udp.externalPort;
    expect(fixture.forwarded(T0)).toEqual([`udp ${port}→10.2.0.2#${port}`, `tcp ${port}→10.2.0.2#${port}`]);
    expect(fixture.map('udp', 0, port, { now: at(45) }).externalPort).toBe(port);
  });

  it('gives the held port back after the lease ran out, if it is asked for', () => {
    const fixture = new Fixture();
    const { externalPort } = fixture.map('udp', 0, 1);
    expect(fixture.map('udp', 0, externalPort, { now: at(61) }).externalPort).toBe(externalPort);
  });

  it('can be switched off', () => {
    const fixture = new Fixture();
    fixture.switches.symmetric = false;
    expect(fixture.map('udp', 0, 1).result).toBe(2);
  });
});

describe('the switches', () => {
  it('refuse with each result, and the address is then zero (§3.2)', () => {
    const fixture = new Fixture();
    for (const [refuse, result] of [
      [true, 2],
      ['network-failure', 3],
      ['out-of-resources', 4],
    ] as const) {
      fixture.switches.refuse = refuse;
      expect(fixture.map('udp', 6881, 0)).toMatchObject({ result, internalPort: 6881, externalPort: 0 });
      expect(toHex(fixture.gateway.handleRequest(fromHex('0000'), CLIENT, T0)!)).toBe(
        `0080000${result}0000000000000000`,
      );
    }
  });

  it('refuse one client and take away what it has', () => {
    const fixture = new Fixture();
    fixture.map('udp', 6881, 0);
    fixture.gateway.refuseClient(CLIENT);
    expect(fixture.forwarded(T0)).toEqual([]);
    expect(fixture.map('udp', 6881, 0).result).toBe(2);
    expect(fixture.map('udp', 6881, 0, { client: OTHER }).result).toBe(0);
  });

  it('fall silent', () => {
    const fixture = new Fixture();
    fixture.switches.silent = true;
    expect(fixture.gateway.handleRequest(fromHex('0000'), CLIENT, T0)).toBeUndefined();
  });

  it('lie about the internal port', () => {
    const fixture = new Fixture();
    fixture.switches.lie = 'internal-port';
    expect(fixture.map('udp', 6881, 0).internalPort).toBe(6880);
  });

  it('grant ports that are dead', () => {
    const fixture = new Fixture();
    fixture.map('udp', 6881, 0);
    fixture.switches.dead = true;
    expect(fixture.map('udp', 6881, 0, { now: at(30) }).result).toBe(0);
    expect(fixture.forwarded(at(30))).toEqual([]);
    const { externalPort } = fixture.map('udp', 6882, 50_000);
    expect(fixture.map('udp', 6882, externalPort, { client: OTHER }).externalPort).not.toBe(externalPort);
  });

  it('move every client to another port, for good', () => {
    const fixture = new Fixture();
    const { externalPort } = fixture.map('udp', 0, 1);
    fixture.gateway.changePort(at(1));
    expect(fixture.forwarded(at(1))).toEqual([]);
    const renewed = fixture.map('udp', 0, externalPort, { now: at(45) });
    expect(renewed.externalPort).not.toBe(externalPort);
    expect(fixture.map('udp', 0, externalPort, { now: at(90) }).externalPort).toBe(renewed.externalPort);
  });

  it('begin a new epoch without leases after a restart (§3.6)', () => {
    const fixture = new Fixture();
    fixture.map('udp', 6881, 0);
    fixture.nat.reset();
    fixture.gateway.restart(at(50));
    expect(fixture.map('udp', 6882, 0, { now: at(53) }).epochSeconds).toBe(3);
    expect(fixture.gateway.leases(at(53))).toHaveLength(1);
  });
});
