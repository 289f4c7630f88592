import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { after, type Instant, instant } from '../../../src/core/base/instant.ts';
import { Nat, type NatOptions } from '../../../src/core/nat/nat.ts';
import {
  ACK,
  countingRandom,
  echo,
  FIN,
  header,
  icmpError,
  OFFSET,
  parse,
  quotedIn,
  RST,
  SYN,
  tcp,
  UDP,
  udp,
} from './packets.ts';

const T0 = instant(1_000_000);
const PUBLIC = '203.0.113.10';
const PUBLIC_6 = '2001:db8:203::10';
const CLIENT = '10.2.0.2';
const CLIENT_6 = 'fd00::2';
const SERVER = '198.51.100.1';
const SERVER_6 = '2001:db8:198::1';

function nat(options: Partial<NatOptions> = {}): Nat {
  return new Nat({ publicAddresses: [ip(PUBLIC), ip(PUBLIC_6)], random: countingRandom(), ...options }, T0);
}

/** Sends a packet out; its source afterwards, or the reason why it did not pass. */
function out(translator: Nat, packet: Uint8Array, now: Instant = T0): string {
  return translator.outbound(packet, header(packet), now) ?? parse(packet).source;
}

/** Sends a packet in; its destination afterwards, or the reason why it did not pass. */
function back(translator: Nat, packet: Uint8Array, now: Instant = T0): string {
  return translator.inbound(packet, header(packet), now) ?? parse(packet).destination;
}

const seconds = (count: number): Instant => after(T0, count * 1000);

describe('translation of addresses and ports (RFC 3022 §4.1)', () => {
  for (const [name, build] of [
    ['UDP', udp],
    ['TCP', tcp],
  ] as const) {
    for (const [family, client, server, publicAddress] of [
      ['IPv4', CLIENT, SERVER, PUBLIC],
      ['IPv6', CLIENT_6, SERVER_6, PUBLIC_6],
    ] as const) {
      it(`gives ${name} over ${family} the public address and takes the answer back, all checksums right (RFC 1624)`, () => {
        const translator = nat();
        const request = build(`${client}#5000`, `${server}#80`);
        const source = out(translator, request);
        expect(source.startsWith(`${publicAddress}#`)).toBe(true);
        expect(parse(request)).toMatchObject({ destination: `${server}#80`, intact: true });
        const answer = build(`${server}#80`, source);
        expect(back(translator, answer)).toBe(`${client}#5000`);
        expect(parse(answer)).toMatchObject({ source: `${server}#80`, intact: true });
      });
    }
  }

  it('translates the identifier of an echo request and of its reply, in both families (RFC 5508 §3.1)', () => {
    for (const [client, server] of [
      [CLIENT, SERVER],
      [CLIENT_6, SERVER_6],
    ] as const) {
      const translator = nat();
      const request = echo(client, server, 77);
      const source = out(translator, request);
      const [address, identifier] = source.split('#');
      expect(parse(request).intact).toBe(true);
      const reply = echo(server, address!, Number(identifier), true);
      expect(back(translator, reply)).toBe(`${client}#77`);
      expect(parse(reply).intact).toBe(true);
    }
  });

  it('leaves a UDP checksum of zero zero: there is none to correct (RFC 768)', () => {
    const packet = udp(`${CLIENT}#5000`, `${SERVER}#80`, Uint8Array.of(1), false);
    out(nat(), packet);
    expect(packet.slice(OFFSET + 26, OFFSET + 28)).toEqual(Uint8Array.of(0, 0));
  });

  it('keeps a damaged packet damaged: checksums are carried over, not made anew', () => {
    const packet = udp(`${CLIENT}#5000`, `${SERVER}#80`);
    packet[packet.length - 1]! ^= 0x40;
    out(nat(), packet);
    expect(parse(packet).intact).toBe(false);
  });

  it('keeps every checksum right for any ports and data', () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(
        port,
        port,
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        fc.boolean(),
        (a, b, data, six, isTcp) => {
          const translator = nat();
          const [client, server] = six ? [CLIENT_6, SERVER_6] : [CLIENT, SERVER];
          const build = (from: string, to: string): Uint8Array =>
            isTcp ? tcp(from, to, ACK, data) : udp(from, to, data);
          const request = build(`${client}#${a}`, `${server}#${b}`);
          const source = out(translator, request);
          const answer = build(`${server}#${b}`, source);
          expect(back(translator, answer)).toBe(`${client}#${a}`);
          expect([parse(request).intact, parse(answer).intact]).toEqual([true, true]);
        },
      ),
    );
  });
});

describe('mapping and filtering', () => {
  it('uses one public port for all destinations of an inside port (endpoint-independent, RFC 4787 REQ-1)', () => {
    const translator = nat();
    const first = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    expect(out(translator, udp(`${CLIENT}#5000`, '198.51.100.2#81'))).toBe(first);
    expect(out(translator, udp(`${CLIENT}#5001`, `${SERVER}#80`))).not.toBe(first);
  });

  it('keeps hosts inside apart though they use the same port', () => {
    const translator = nat();
    const first = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    const second = out(translator, udp('10.2.0.3#5000', `${SERVER}#80`));
    expect(second).not.toBe(first);
    expect(back(translator, udp(`${SERVER}#80`, second))).toBe('10.2.0.3#5000');
  });

  it('lets in only who was spoken to, by address and port (RFC 4787 §5)', () => {
    const translator = nat();
    const source = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    expect(back(translator, udp(`${SERVER}#81`, source))).toBe('nat-filtered');
    expect(back(translator, udp('198.51.100.2#80', source))).toBe('nat-filtered');
    expect(back(translator, udp(`${SERVER}#80`, source))).toBe(`${CLIENT}#5000`);
    expect(translator.drops.of('nat-filtered')).toBe(2);
  });

  it('drops what arrives at a port that stands for nobody', () => {
    expect(back(nat(), tcp(`${SERVER}#80`, `${PUBLIC}#7000`))).toBe('nat-no-binding');
  });

  it('sends a packet for its own public address back inside, from the public end of the sender (hairpin, RFC 4787 REQ-9)', () => {
    const translator = nat();
    const inside = ip('10.2.0.3');
    translator.map({ protocol: UDP, inside, insidePort: 6881, externalPort: 40_000, expiresAt: seconds(60) }, T0);
    const packet = udp(`${CLIENT}#5000`, `${PUBLIC}#40000`);
    const source = out(translator, packet);
    expect(source.startsWith(`${PUBLIC}#`)).toBe(true);
    expect(parse(packet)).toMatchObject({ destination: '10.2.0.3#6881', intact: true });
    const answer = udp('10.2.0.3#6881', source);
    expect(out(translator, answer)).toBe(`${PUBLIC}#40000`);
    expect(parse(answer)).toMatchObject({ destination: `${CLIENT}#5000`, intact: true });
  });
});

describe('mapped ports (full cone)', () => {
  const mapping = { protocol: UDP, inside: ip(CLIENT), insidePort: 6881, externalPort: 40_000, expiresAt: seconds(60) };

  it('lets everyone in and shows the true source', () => {
    const translator = nat();
    expect(translator.map(mapping, T0)).toBe(true);
    const packet = udp('198.51.100.9#1234', `${PUBLIC}#40000`);
    expect(back(translator, packet)).toBe(`${CLIENT}#6881`);
    expect(parse(packet)).toMatchObject({ source: '198.51.100.9#1234', intact: true });
  });

  it('is used by outgoing packets of the inside port too, since mappings are bidirectional (RFC 6886 §3.9)', () => {
    const translator = nat();
    translator.map(mapping, T0);
    expect(out(translator, udp(`${CLIENT}#6881`, `${SERVER}#80`))).toBe(`${PUBLIC}#40000`);
  });

  it('ends at its time, to the millisecond, for newcomers, while sessions go on', () => {
    const translator = nat();
    translator.map(mapping, T0);
    back(translator, udp('198.51.100.9#1234', `${PUBLIC}#40000`), seconds(59));
    expect(back(translator, udp('198.51.100.8#1', `${PUBLIC}#40000`), after(T0, 59_999))).toBe(`${CLIENT}#6881`);
    expect(back(translator, udp('198.51.100.7#1', `${PUBLIC}#40000`), seconds(60))).toBe('nat-filtered');
    expect(back(translator, udp('198.51.100.9#1234', `${PUBLIC}#40000`), seconds(61))).toBe(`${CLIENT}#6881`);
  });

  it('can be prolonged and ended', () => {
    const translator = nat();
    translator.map(mapping, T0);
    translator.map({ ...mapping, expiresAt: seconds(120) }, seconds(50));
    expect(back(translator, udp('198.51.100.9#1', `${PUBLIC}#40000`), seconds(100))).toBe(`${CLIENT}#6881`);
    translator.unmap(mapping);
    expect(back(translator, udp('198.51.100.8#1', `${PUBLIC}#40000`), seconds(100))).toBe('nat-filtered');
  });

  it('refuses a public port that stands for something else', () => {
    const translator = nat();
    translator.map(mapping, T0);
    expect(translator.map({ ...mapping, inside: ip('10.2.0.3') }, T0)).toBe(false);
    expect(translator.map({ ...mapping, insidePort: 6882 }, T0)).toBe(false);
    expect(translator.isFree(UDP, 40_000, ip(CLIENT), 6882)).toBe(false);
    expect(translator.isFree(UDP, 40_000, ip(CLIENT), 6881)).toBe(true);
    expect(translator.isFree(6, 40_000, ip(CLIENT), 6882)).toBe(true);
  });

  it('leaves sessions that began before the mapping on their public port', () => {
    const translator = nat();
    const before = out(translator, udp(`${CLIENT}#6881`, `${SERVER}#80`));
    translator.map(mapping, T0);
    expect(out(translator, udp(`${CLIENT}#6881`, `${SERVER}#80`))).toBe(before);
    expect(back(translator, udp(`${SERVER}#80`, before))).toBe(`${CLIENT}#6881`);
    expect(out(translator, udp(`${CLIENT}#6881`, '198.51.100.2#80'))).toBe(`${PUBLIC}#40000`);
  });

  it('goes back to the former public port when the mapping is swept away and the former one is still in use', () => {
    const translator = nat();
    const before = out(translator, udp(`${CLIENT}#6881`, `${SERVER}#80`));
    translator.map(mapping, T0);
    translator.handleTimeout(seconds(61));
    expect(translator.isFree(UDP, 40_000, ip('10.2.0.9'), 9)).toBe(true);
    expect(out(translator, udp(`${CLIENT}#6881`, `${SERVER}#80`), seconds(62))).toBe(before);
    expect(out(translator, udp(`${CLIENT}#6881`, '198.51.100.2#80'), seconds(62))).toBe(before);
  });

  it('lists the mappings in force', () => {
    const translator = nat();
    translator.map(mapping, T0);
    expect([...translator.mappings(T0)]).toEqual([mapping]);
    expect([...translator.mappings(seconds(60))]).toEqual([]);
  });
});

describe('timeouts', () => {
  /** How many seconds of silence a session survives, found by halving. */
  function lifetimeSeconds(prepare: (translator: Nat) => string, answer: (to: string) => Uint8Array): number {
    let alive = 0;
    let dead = 100_000;
    while (dead - alive > 1) {
      const middle = (alive + dead) >> 1;
      const translator = nat();
      const end = prepare(translator);
      if (back(translator, answer(end), seconds(middle)).startsWith('nat-')) dead = middle;
      else alive = middle;
    }
    return dead;
  }

  it('keeps UDP for five minutes (RFC 4787 REQ-5) and echo for one (RFC 5508 REQ-2)', () => {
    const answer = (to: string): Uint8Array => udp(`${SERVER}#80`, to);
    expect(lifetimeSeconds((translator) => out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`)), answer)).toBe(300);
    const reply = (to: string): Uint8Array => echo(SERVER, PUBLIC, Number(to.split('#')[1]), true);
    expect(lifetimeSeconds((translator) => out(translator, echo(CLIENT, SERVER, 7)), reply)).toBe(60);
  });

  it('keeps TCP for 124 minutes once both sides have acknowledged, else for four (RFC 5382 REQ-5)', () => {
    const open = (translator: Nat): string => out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, SYN));
    const data = (to: string): Uint8Array => tcp(`${SERVER}#80`, to, ACK);
    const establish = (translator: Nat): string => {
      const end = open(translator);
      back(translator, tcp(`${SERVER}#80`, end, SYN | ACK));
      return out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, ACK));
    };
    expect(lifetimeSeconds(open, data)).toBe(240);
    expect(lifetimeSeconds(establish, data)).toBe(7440);
    const closed =
      (flags: number) =>
      (translator: Nat): string => {
        const end = establish(translator);
        back(translator, tcp(`${SERVER}#80`, end, flags));
        return out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, flags));
      };
    expect(lifetimeSeconds(closed(FIN | ACK), data)).toBe(240);
    expect(lifetimeSeconds(closed(RST), data)).toBe(240);
    const reopened = (translator: Nat): string => {
      closed(RST)(translator);
      return establish(translator);
    };
    expect(lifetimeSeconds(reopened, data)).toBe(7440);
  });

  it('treats traffic after expiry as a new session, not as the old one', () => {
    const translator = nat();
    const end = out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, SYN));
    back(translator, tcp(`${SERVER}#80`, end, SYN | ACK));
    out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, ACK));
    out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`, ACK), seconds(7440));
    expect(back(translator, tcp(`${SERVER}#80`, end, ACK), seconds(7440 + 240))).toBe('nat-filtered');
  });

  it('empties its tables, and then has no deadline (progress and quiet)', () => {
    const translator = nat();
    out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    out(translator, tcp(`${CLIENT}#5000`, `${SERVER}#80`));
    translator.map({ protocol: UDP, inside: ip(CLIENT), insidePort: 1, externalPort: 2000, expiresAt: seconds(9) }, T0);
    for (let turns = 0, at = translator.nextTimeout(); at !== undefined; at = translator.nextTimeout()) {
      translator.handleTimeout(at);
      const next = translator.nextTimeout();
      expect(next === undefined || next > at).toBe(true);
      expect(turns++).toBeLessThan(10);
    }
    expect(translator.sessionCount).toBe(0);
    expect(translator.isFree(UDP, 2000, ip('10.2.0.9'), 9)).toBe(true);
  });

  it('finds its sessions again after sweeping others away', () => {
    const translator = nat();
    const end = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    for (let port = 1; port <= 500; port++) out(translator, echo(CLIENT, SERVER, port));
    expect(out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`), seconds(200))).toBe(end);
    translator.handleTimeout(seconds(250));
    expect(translator.sessionCount).toBe(1);
    expect(back(translator, udp(`${SERVER}#80`, end), seconds(251))).toBe(`${CLIENT}#5000`);
  });
});

describe('bounds', () => {
  it('refuses new sessions when a host, or all, have as many as allowed, and takes them again after expiry', () => {
    const translator = nat({ maxSessions: 5, maxSessionsPerHost: 3 });
    const attempt = (host: string, port: number, now = T0): string =>
      out(translator, udp(`${host}#${port}`, `${SERVER}#80`), now);
    for (let port = 1; port <= 3; port++) attempt(CLIENT, port);
    expect(attempt(CLIENT, 4)).toBe('nat-session-limit');
    for (let port = 1; port <= 2; port++) attempt('10.2.0.3', port);
    expect(attempt('10.2.0.3', 3)).toBe('nat-session-limit');
    expect(attempt(CLIENT, 4, seconds(300))).toMatch(PUBLIC);
  });

  it('refuses fragments, other protocols and packets cut short, each by name', () => {
    const translator = nat();
    const fragment = udp(`${CLIENT}#5000`, `${SERVER}#80`);
    const headerOf = header(fragment);
    headerOf.moreFragments = true;
    expect(translator.outbound(fragment, headerOf, T0)).toBe('nat-fragment');
    const igmp = udp(`${CLIENT}#5000`, `${SERVER}#80`);
    expect(translator.outbound(igmp, { ...header(igmp), protocol: 2 }, T0)).toBe('nat-protocol');
    const short = udp(`${CLIENT}#5000`, `${SERVER}#80`);
    expect(translator.outbound(short, { ...header(short), payloadLength: 7 }, T0)).toBe('nat-truncated');
  });

  it('has no translation for a family without a public address', () => {
    const translator = nat({ publicAddresses: [ip(PUBLIC)] });
    expect(out(translator, udp(`${CLIENT_6}#5000`, `${SERVER_6}#80`))).toBe('nat-no-address');
  });

  it('never throws, whatever stands behind a valid IP header', () => {
    const translator = nat();
    const known = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.constantFrom(1, 6, 17, 58),
        fc.boolean(),
        (payload, protocol, inward) => {
          const base = inward ? udp(`${SERVER}#80`, known, payload) : udp(`${CLIENT}#5000`, `${SERVER}#80`, payload);
          const parsed = { ...header(base), protocol };
          parsed.payloadOffset += 8;
          parsed.payloadLength -= 8;
          if (inward) translator.inbound(base, parsed, T0);
          else translator.outbound(base, parsed, T0);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('ICMP errors (RFC 5508 §4)', () => {
  for (const [client, server, router, publicAddress] of [
    [CLIENT, SERVER, '198.51.100.254', PUBLIC],
    [CLIENT_6, SERVER_6, '2001:db8:198::fe', PUBLIC_6],
  ] as const) {
    it(`carries an error about an outgoing packet inside, its quotation translated (${router})`, () => {
      const translator = nat();
      const packet = udp(`${client}#5000`, `${server}#80`);
      out(translator, packet);
      const error = icmpError(router, publicAddress, packet);
      expect(translator.inbound(error, header(error), T0)).toBeUndefined();
      expect(parse(error)).toMatchObject({ intact: true });
      expect(parse(error).destination.split('#')[0]).toBe(client);
      expect(quotedIn(error)).toEqual({ source: `${client}#5000`, destination: `${server}#80`, intact: true });
    });

    it(`carries an error about an incoming packet outside, its quotation translated (${router})`, () => {
      const translator = nat();
      const end = out(translator, udp(`${client}#5000`, `${server}#80`));
      const answer = udp(`${server}#80`, end);
      back(translator, answer);
      const error = icmpError(client, server, answer);
      expect(translator.outbound(error, header(error), T0)).toBeUndefined();
      expect(parse(error)).toMatchObject({ intact: true });
      expect(parse(error).source.split('#')[0]).toBe(publicAddress);
      expect(quotedIn(error)).toEqual({ source: `${server}#80`, destination: end, intact: true });
    });
  }

  it('translates a quotation of eight bytes of TCP, which end before its checksum', () => {
    const translator = nat();
    const packet = tcp(`${CLIENT}#5000`, `${SERVER}#80`);
    out(translator, packet);
    const error = icmpError('198.51.100.254', PUBLIC, packet, 28);
    const slab = new Uint8Array(error.length + 32).fill(0xee);
    slab.set(error);
    expect(translator.inbound(slab, header(error), T0)).toBeUndefined();
    expect(slab.subarray(error.length)).toEqual(new Uint8Array(32).fill(0xee));
    error.set(slab.subarray(0, error.length));
    expect(quotedIn(error)).toEqual({ source: `${CLIENT}#5000`, destination: `${SERVER}#80`, intact: true });
    expect(parse(error).intact).toBe(true);
  });

  it('drops an error about a packet of no session, or with a wrong checksum, or of another type', () => {
    const translator = nat();
    const packet = udp(`${CLIENT}#5000`, `${SERVER}#80`);
    const end = out(translator, packet);
    const stranger = icmpError('198.51.100.254', PUBLIC, udp(end, '198.51.100.66#80'));
    expect(translator.inbound(stranger, header(stranger), T0)).toBe('nat-icmp-unmatched');
    const damaged = icmpError('198.51.100.254', PUBLIC, packet);
    damaged[damaged.length - 1]! ^= 1;
    expect(translator.inbound(damaged, header(damaged), T0)).toBe('nat-icmp-checksum');
    const redirect = icmpError('198.51.100.254', PUBLIC, packet, 48, 5);
    expect(translator.inbound(redirect, header(redirect), T0)).toBe('nat-icmp-type');
  });
});

describe('a new public address', () => {
  it('ends all sessions of its family and keeps mappings on the new one', () => {
    const translator = nat();
    const end = out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`));
    const end6 = out(translator, udp(`${CLIENT_6}#5000`, `${SERVER_6}#80`));
    translator.map({ protocol: UDP, inside: ip(CLIENT), insidePort: 1, externalPort: 2000, expiresAt: seconds(9) }, T0);
    translator.setPublicAddress(ip('203.0.113.11'), T0);
    expect(back(translator, udp(`${SERVER}#80`, end.replace(PUBLIC, '203.0.113.11')))).toBe('nat-no-binding');
    expect(back(translator, udp(`${SERVER_6}#80`, end6))).toBe(`${CLIENT_6}#5000`);
    expect(back(translator, udp(`${SERVER}#80`, '203.0.113.11#2000'))).toBe(`${CLIENT}#1`);
    expect(out(translator, udp(`${CLIENT}#5000`, `${SERVER}#80`))).toMatch('203.0.113.11#');
    expect(translator.ownsAddress(ip(PUBLIC).bytes, 0, 4)).toBe(false);
  });
});

describe('repeatability', () => {
  it('chooses the same ports from the same seed', () => {
    const ends = (): string[] => {
      const translator = nat();
      return [1, 2, 3].map((port) => out(translator, udp(`${CLIENT}#${port}`, `${SERVER}#80`)));
    };
    expect(ends()).toEqual(ends());
  });
});
