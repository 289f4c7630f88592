import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { instant } from '../../src/core/base/instant.ts';
import { Nat } from '../../src/core/nat/nat.ts';
import { Router, type RouterNode } from '../../src/sandbox/router.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';
import { echo, header, icmpError, OFFSET, parse, quotedIn, tcp, udp } from '../core/nat/packets.ts';

const T0 = instant(1000);
const client: RouterNode = { kind: 'client', mtu: 1420 };
const other: RouterNode = { kind: 'client', mtu: 1420 };
const gateway: RouterNode = { kind: 'gateway', mtu: 1420 };
const host: RouterNode = { kind: 'host', mtu: 1500 };

function router(): { router: Router<RouterNode>; nat: Nat } {
  const nat = new Nat(
    { publicAddresses: [ip('203.0.113.10'), ip('2001:db8:203::10')], random: new SeededRandom(1) },
    T0,
  );
  const table = new Router<RouterNode>(nat, 1420);
  table.addAddress(ip('10.2.0.2'), client);
  table.addAddress(ip('fd53:6c75:6963::2'), client);
  table.addAddress(ip('10.2.0.3'), other);
  table.addAddress(ip('10.2.0.1'), gateway);
  table.addAddress(ip('198.51.100.1'), host);
  table.addAddress(ip('2001:db8:198::1'), host);
  return { router: table, nat };
}

function send(table: Router<RouterNode>, packet: Uint8Array, from: RouterNode): RouterNode | undefined {
  return table.route(packet, OFFSET, packet.length - OFFSET, from, T0);
}

/** The router's error as a packet of the tests' shape. */
function errorOf(table: Router<RouterNode>): Uint8Array {
  const packet = new Uint8Array(OFFSET + table.errorLength);
  packet.set(table.error.subarray(0, table.errorLength), OFFSET);
  return packet;
}

function hops(packet: Uint8Array, value: number): Uint8Array {
  const parsed = header(packet);
  if (parsed.family === 6) packet[OFFSET + 7] = value;
  else {
    const change = packet[OFFSET + 8]! - value;
    packet[OFFSET + 8]! -= change;
    packet[OFFSET + 10]! += change;
  }
  header(packet);
  return packet;
}

describe('routing', () => {
  it('leads to whom the address belongs, one hop less, everything else intact', () => {
    const { router: table } = router();
    for (const [from, to, target] of [
      ['10.2.0.2#5', '198.51.100.1#6', host],
      ['fd53:6c75:6963::2#5', '2001:db8:198::1#6', host],
      ['10.2.0.2#5', '10.2.0.1#53', gateway],
    ] as const) {
      const packet = udp(from, to);
      expect(send(table, packet, client)).toBe(target);
      expect(parse(packet).intact).toBe(true);
      expect(header(packet).hopLimit).toBe(63);
    }
  });

  it('translates between inside and outside only', () => {
    const { router: table } = router();
    const across = tcp('10.2.0.2#5', '198.51.100.1#6');
    send(table, across, client);
    expect(parse(across).source).toMatch(/^203\.0\.113\.10#/);
    const beside = udp('10.2.0.2#5', '10.2.0.1#53');
    send(table, beside, client);
    expect(parse(beside).source).toBe('10.2.0.2#5');
    const answer = udp('10.2.0.1#53', '10.2.0.2#5');
    expect(send(table, answer, gateway)).toBe(client);
  });

  it('prefers the longer prefix, and forgets who was removed', () => {
    const { router: table } = router();
    const whole: RouterNode = { kind: 'host', mtu: 1500 };
    table.add({ address: ip('198.51.100.0'), bits: 24 }, whole);
    expect(send(table, udp('10.2.0.2#5', '198.51.100.9#6'), client)).toBe(whole);
    expect(send(table, udp('10.2.0.2#5', '198.51.100.1#6'), client)).toBe(host);
    table.remove(host);
    expect(send(table, udp('10.2.0.2#5', '198.51.100.1#6'), client)).toBe(whole);
  });

  it('keeps clients apart and the inside closed, without a word', () => {
    const { router: table } = router();
    expect(send(table, udp('10.2.0.2#5', '10.2.0.3#6'), client)).toBeUndefined();
    expect(table.errorLength).toBe(0);
    expect(send(table, udp('198.51.100.1#5', '10.2.0.2#6'), host)).toBeUndefined();
    expect(send(table, udp('198.51.100.1#5', '203.0.113.10#6'), host)).toBeUndefined();
    expect(table.errorLength).toBe(0);
    expect(table.drops.toJSON()).toEqual({ 'client-isolation': 1, 'inside-address': 1, 'not-translated': 1 });
  });
});

describe('errors', () => {
  for (const [from, to, gatewayAddress] of [
    ['10.2.0.2', '198.51.100.1', '10.2.0.1'],
    ['fd53:6c75:6963::2', '2001:db8:198::1', 'fd53:6c75:6963::1'],
  ] as const) {
    it(`tells the sender that the hops ran out, quoting the packet as it was sent (${from})`, () => {
      const { router: table } = router();
      expect(send(table, hops(udp(`${from}#5`, `${to}#6`), 1), client)).toBeUndefined();
      const error = errorOf(table);
      expect(parse(error)).toMatchObject({ intact: true });
      expect(parse(error).source.split('#')[0]).toBe(gatewayAddress);
      expect(quotedIn(error)).toEqual({ source: `${from}#5`, destination: `${to}#6`, intact: true });
      expect(send(table, hops(udp(`${from}#5`, `${to}#6`), 2), client)).toBe(host);
    });
  }

  it('tells that there is no such host, and to what size a packet must shrink', () => {
    const { router: table, nat } = router();
    send(table, udp('10.2.0.2#5', '198.51.100.77#6'), client);
    expect(errorOf(table).slice(OFFSET + 20, OFFSET + 22)).toEqual(Uint8Array.of(3, 1));
    nat.map({ protocol: 17, inside: ip('10.2.0.2'), insidePort: 5, externalPort: 2000, expiresAt: instant(9e9) }, T0);
    send(table, udp('198.51.100.1#6', '203.0.113.10#2000', new Uint8Array(1393)), host);
    const error = errorOf(table);
    expect(error.slice(OFFSET + 20, OFFSET + 22)).toEqual(Uint8Array.of(3, 4));
    expect((error[OFFSET + 26]! << 8) | error[OFFSET + 27]!).toBe(1420);
    expect(error.length - OFFSET).toBe(576);
    expect(parse(error)).toMatchObject({ intact: true });
    expect(send(table, udp('198.51.100.1#6', '203.0.113.10#2000', new Uint8Array(1392)), host)).toBe(client);
  });

  it('sends none about an error or a later fragment (RFC 1122 §3.2.2), but one about an echo request', () => {
    const { router: table } = router();
    const stray = icmpError('10.2.0.2', '198.51.100.77', udp('198.51.100.77#1', '10.2.0.2#2'));
    expect(send(table, stray, client)).toBeUndefined();
    expect(table.errorLength).toBe(0);
    send(table, echo('10.2.0.2', '198.51.100.77', 1), client);
    expect(table.errorLength).toBeGreaterThan(0);
  });

  it('never throws, whatever a client sends', () => {
    const { router: table } = router();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.constantFrom(0x45, 0x60, 0), (bytes, first) => {
        if (first) bytes[0] = first;
        table.route(bytes, 0, bytes.length, client, T0);
      }),
      { numRuns: 5000 },
    );
  });
});
