import { describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../../src/core/base/address.ts';
import { ascii, concat, toHex } from '../../../src/core/base/bytes.ts';
import { after, type Instant, instant } from '../../../src/core/base/instant.ts';
import type { ResolveResult, SocketEvent } from '../../../src/core/netstack/messages.ts';
import { VirtualHost } from '../../../src/core/tunnel/virtual-host.ts';
import { type DnsRecord, decodeMessage, encodeReply } from '../../../src/core/wire/dns.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { deliver, eventsOf, packetsOf, parsePacket, portsOf, T0, udpPacket } from '../netstack/packets.ts';

const CLIENT = '10.2.0.2';
const SERVER = '10.2.0.1';

const host = (address: string, dnsServers: readonly string[] = [], seed = 1): VirtualHost =>
  new VirtualHost(
    { addresses: [ip(address)], mtu: 1420, random: new SeededRandom(seed), dnsServers: dnsServers.map(ip) },
    T0,
  );

/** A name server in a host of its own, which answers every question with `records`, over UDP only what fits 512 bytes. */
class NameServer {
  readonly host = host(SERVER, [], 2);
  readonly asked: string[] = [];
  readonly #records: readonly DnsRecord[];
  readonly #streams: Map<number, Uint8Array> = new Map();

  constructor(records: readonly DnsRecord[]) {
    this.#records = records;
    this.host.handleCommand({ kind: 'udp-bind', socket: 1, family: 4, port: 53 }, T0);
    this.host.handleCommand({ kind: 'tcp-listen', socket: 2, port: 53, backlog: 5 }, T0);
  }

  serve(now: Instant): void {
    for (const event of eventsOf(this.host)) {
      if (event.kind === 'udp-datagram') {
        const whole = this.#answer('udp', event.bytes, false);
        const bytes = whole.length <= 512 ? whole : this.#answer('', event.bytes, true);
        this.host.handleCommand({ kind: 'udp-send', socket: 1, to: event.from, bytes }, now);
      } else if (event.kind === 'tcp-data') {
        const received = concat(this.#streams.get(event.socket) ?? new Uint8Array(0), event.bytes);
        this.#streams.set(event.socket, received);
        if (received.length < 2 + received[1]!) continue;
        const whole = this.#answer('tcp', received.subarray(2), false);
        const bytes = concat(Uint8Array.of(whole.length >>> 8, whole.length), whole);
        this.host.handleCommand({ kind: 'tcp-write', socket: event.socket, bytes }, now);
      }
    }
  }

  #answer(transport: string, query: Uint8Array, truncated: boolean): Uint8Array {
    const { id, question } = decodeMessage(query)!;
    if (transport) this.asked.push(`${transport} ${question!.name}`);
    return encodeReply({ id, question: question!, truncated, answers: truncated ? [] : this.#records });
  }
}

/** Carries packets between the client and the server until both are silent. */
function run(client: VirtualHost, server: NameServer, now: Instant = T0): void {
  for (let busy = true; busy; ) {
    busy = false;
    server.serve(now);
    for (const [from, to] of [
      [client, server.host],
      [server.host, client],
    ] as const)
      for (const packet of packetsOf(from, now)) {
        busy = true;
        deliver(to, packet, now);
      }
  }
}

const records = (count: number, name = 'x.example'): DnsRecord[] =>
  Array.from({ length: count }, (_, i) => ({ kind: 'address', name, ttlSeconds: 60, address: ip(`192.0.2.${i + 1}`) }));

const resolve = (client: VirtualHost, query: number, name: string, now: Instant = T0): void =>
  client.handleCommand({ kind: 'resolve', query, name, family: 4 }, now);

const resultOf = (events: readonly SocketEvent[]): ResolveResult | undefined =>
  events.map((event) => (event.kind === 'resolved' ? event.result : undefined)).find((result) => result);

describe('names over the tunnel', () => {
  it('are resolved over UDP through the host’s own stack, and nothing but the result comes out', () => {
    const client = host(CLIENT, [SERVER]);
    const server = new NameServer(records(2));
    resolve(client, 7, 'x.example');
    run(client, server);
    const events = eventsOf(client);
    expect(events).toMatchObject([{ kind: 'resolved', query: 7, result: { kind: 'addresses' } }]);
    const result = resultOf(events);
    expect(result?.kind === 'addresses' && result.addresses.map(({ address }) => formatIp(address))).toEqual([
      '192.0.2.1',
      '192.0.2.2',
    ]);
    expect([server.asked, client.counts().udp, client.nextTimeout()]).toEqual([['udp x.example'], 0, undefined]);
  });

  it('are asked for from a random port each time (RFC 5452 §9.2)', () => {
    const client = host(CLIENT, [SERVER]);
    const ports = Array.from({ length: 20 }, (_, i) => {
      resolve(client, i, `n${i}.example`);
      return portsOf(parsePacket(packetsOf(client)[0]!).payload)[0];
    });
    expect(new Set(ports).size).toBe(20);
    expect(ports.every((port) => port >= 32768)).toBe(true);
  });

  it('are asked for over TCP when the answer does not fit, and the connection is left behind by none', () => {
    const client = host(CLIENT, [SERVER]);
    const server = new NameServer(records(200));
    resolve(client, 1, 'x.example');
    run(client, server);
    const result = resultOf(eventsOf(client));
    expect(result?.kind === 'addresses' && result.addresses.length).toBe(200);
    expect(server.asked).toEqual(['udp x.example', 'tcp x.example']);
    expect([client.counts(), server.host.counts().tcp]).toEqual([{ tcp: 0, udp: 0, listening: 0 }, 0]);
  });

  it('that the server cannot be asked for over TCP end with ETIMEOUT within ten seconds', () => {
    const client = host(CLIENT, [SERVER]);
    const server = new NameServer(records(200));
    server.host.handleCommand({ kind: 'close', socket: 2 }, T0);
    resolve(client, 1, 'x.example');
    run(client, server);
    expect(resultOf(eventsOf(client))).toEqual({ kind: 'failed', code: 'ETIMEOUT' });
    expect(client.counts()).toEqual({ tcp: 0, udp: 0, listening: 0 });
  });

  it('time out when nothing answers, by this machine’s timer alone', () => {
    const client = host(CLIENT, [SERVER]);
    resolve(client, 1, 'x.example');
    let sent = packetsOf(client).length;
    let now = T0;
    for (let due = client.nextTimeout(); due !== undefined; due = client.nextTimeout()) {
      now = due;
      client.handleTimeout(now);
      sent += packetsOf(client, now).length;
    }
    expect([sent, now - T0]).toEqual([3, 10_000]);
    expect(eventsOf(client)).toEqual([{ kind: 'resolved', query: 1, result: { kind: 'failed', code: 'ETIMEOUT' } }]);
    expect(client.counts().udp).toBe(0);
  });

  it('are answered with ENODNS at once without a server, or with none that the host can reach', () => {
    for (const servers of [[], ['fd00::1']]) {
      const client = host(CLIENT, servers);
      resolve(client, 1, 'x.example');
      expect(resultOf(eventsOf(client))).toEqual({ kind: 'failed', code: 'ENODNS' });
    }
  });

  it('are cancelled with ECANCELLED', () => {
    const client = host(CLIENT, [SERVER]);
    resolve(client, 1, 'x.example');
    client.handleCommand({ kind: 'resolve-cancel', query: 1 }, T0);
    expect(resultOf(eventsOf(client))).toEqual({ kind: 'failed', code: 'ECANCELLED' });
    expect(client.counts().udp).toBe(0);
  });

  it('are forgotten at a reset, and those being asked for over TCP go on', () => {
    const client = host(CLIENT, [SERVER]);
    const server = new NameServer(records(2));
    resolve(client, 1, 'x.example');
    run(client, server);
    client.reset('ECONNRESET', T0);
    resolve(client, 2, 'x.example');
    run(client, server);
    expect(server.asked).toHaveLength(2);
    expect(eventsOf(client)).toHaveLength(2);
  });

  it('do not disturb the order of other sockets’ events', () => {
    const client = host(CLIENT, [SERVER]);
    resolve(client, 1, 'x.example');
    client.handleCommand({ kind: 'udp-bind', socket: 5, family: 4, port: 6881 }, T0);
    for (let i = 0; i < 3; i++)
      deliver(client, udpPacket({ from: '192.0.2.9', fromPort: i + 1, to: CLIENT, toPort: 6881 }, ascii('x')));
    resolve(client, 2, '192.0.2.3');
    expect(eventsOf(client)).toMatchObject([
      { kind: 'bound', socket: 5 },
      { kind: 'udp-datagram', from: { port: 1 } },
      { kind: 'udp-datagram', from: { port: 2 } },
      { kind: 'udp-datagram', from: { port: 3 } },
      { kind: 'resolved', query: 2 },
    ]);
  });
});

it('counts what the resolver does not believe beside the stack’s drops', () => {
  const client = host(CLIENT, [SERVER]);
  resolve(client, 1, 'x.example');
  const [port] = portsOf(parsePacket(packetsOf(client)[0]!).payload);
  deliver(client, udpPacket({ from: SERVER, fromPort: 53, to: CLIENT, toPort: port }, ascii('noise')));
  deliver(client, udpPacket({ from: '192.0.2.66', fromPort: 53, to: CLIENT, toPort: port }, ascii('noise')));
  expect(client.drops.toJSON()).toEqual({ 'dns-malformed': 1, 'dns-unmatched': 1 });
  expect(eventsOf(client)).toEqual([]);
});

it('keeps the four laws of a machine, packets included', () => {
  const sample = (port: number): Uint8Array =>
    udpPacket({ from: SERVER, fromPort: 53, to: CLIENT, toPort: port }, ascii('hi'));
  checkLaws({
    samples: [sample(6881), sample(40_000)],
    create: (seed) => {
      const client = host(CLIENT, [SERVER, '10.2.0.9'], seed);
      let socket = 0;
      let query = 0;
      let clock = instant(0);
      const sent: { kind: 'packet'; bytes: string }[] = [];
      return {
        handleTimeout: (now) => client.handleTimeout((clock = now)),
        nextTimeout: () => client.nextTimeout(),
        nextOutput: () => {
          for (const packet of packetsOf(client, clock)) sent.push({ kind: 'packet', bytes: toHex(packet) });
          return sent.shift() ?? client.nextOutput();
        },
        handleBytes: (bytes, now) => deliver(client, bytes, (clock = now)),
        act: (choice, now) => {
          clock = now;
          const to = { address: ip(`192.0.2.${choice % 4}`), port: 80 };
          if (choice % 7 === 0) client.handleCommand({ kind: 'udp-bind', socket: ++socket, family: 4, port: 0 }, now);
          else if (choice % 7 === 1) client.handleCommand({ kind: 'tcp-connect', socket: ++socket, to }, now);
          else if (choice % 7 === 2)
            client.handleCommand({ kind: 'udp-send', socket: choice % (socket + 1), to, bytes: ascii('x') }, now);
          else if (choice % 7 === 3) client.handleCommand({ kind: 'tcp-abort', socket: choice % (socket + 1) }, now);
          else if (choice % 7 === 4) client.handleCommand({ kind: 'close', socket: choice % (socket + 1) }, now);
          else if (choice % 7 === 5) client.handleCommand({ kind: 'resolve-cancel', query: choice % (query + 1) }, now);
          else
            client.handleCommand({ kind: 'resolve', query: ++query, name: `n${choice % 9}.example`, family: 0 }, now);
          if (choice % 101 === 0) client.reset('ECONNRESET', now);
        },
      };
    },
  });
});

it('takes a clock that stands still', () => {
  const client = host(CLIENT, [SERVER]);
  resolve(client, 1, 'x.example');
  client.handleTimeout(T0);
  client.handleTimeout(T0);
  expect(client.nextTimeout()).toBe(after(T0, 2_000));
});
