import { describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../../src/core/base/address.ts';
import { concat } from '../../../src/core/base/bytes.ts';
import { after, type Instant, instant } from '../../../src/core/base/instant.ts';
import type { ResolverOutput, ResolverResult } from '../../../src/core/dns/messages.ts';
import { Resolver } from '../../../src/core/dns/resolver.ts';
import {
  type DnsRecord,
  type DnsReply,
  decodeMessage,
  encodeReply,
  TYPE_A,
  TYPE_AAAA,
} from '../../../src/core/wire/dns.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const T0 = instant(1_000_000);
const S1 = '10.2.0.1';
const S2 = '10.2.0.9';

type Open = Extract<ResolverOutput, { kind: 'open' }>;

/** A resolver with a clock, and what it asked for so far. */
class Rig {
  now: Instant = T0;
  readonly drops: string[] = [];
  readonly opens: Open[] = [];
  readonly closed: number[] = [];
  readonly results: Map<number, ResolverResult> = new Map();
  readonly resolver: Resolver;

  constructor(servers: readonly string[] = [S1], families?: readonly (4 | 6)[]) {
    this.resolver = new Resolver({
      servers: servers.map(ip),
      random: new SeededRandom(7),
      count: (reason) => this.drops.push(reason),
      ...(families ? { families } : {}),
    });
  }

  query(query: number, name: string, family: 4 | 6 | 0 = 4): void {
    this.resolver.handleQuery({ query, name, family }, this.now);
    this.drain();
  }

  reply(open: Open, reply: Partial<DnsReply> = {}, from: string = formatIp(open.server), port = 53): void {
    const asked = asks(open);
    const bytes = encodeReply({ id: asked.id, question: asked.question!, ...reply });
    this.resolver.handleReply(open.exchange, bytes, { address: ip(from), port }, this.now);
    this.drain();
  }

  stream(open: Open, bytes: Uint8Array): void {
    this.resolver.handleStream(open.exchange, bytes, this.now);
    this.drain();
  }

  /** Lets time pass, firing each timer when it is due. */
  wait(ms: number): void {
    const end = after(this.now, ms);
    for (let due = this.resolver.nextTimeout(); due !== undefined && due <= end; due = this.resolver.nextTimeout()) {
      this.now = due > this.now ? due : this.now;
      this.resolver.handleTimeout(this.now);
      this.drain();
    }
    this.now = end;
  }

  drain(): void {
    for (let output = this.resolver.nextOutput(); output; output = this.resolver.nextOutput()) {
      if (output.kind === 'open') this.opens.push(output);
      else if (output.kind === 'close') this.closed.push(output.exchange);
      else if (this.results.has(output.query)) throw new Error(`query ${output.query} resolved twice`);
      else this.results.set(output.query, output.result);
    }
  }

  addresses(query: number): readonly string[] {
    const result = this.results.get(query);
    if (result?.kind !== 'addresses') throw new Error(`query ${query}: ${JSON.stringify(result)}`);
    return result.addresses.map(({ address }) => formatIp(address));
  }

  code(query: number): string | undefined {
    const result = this.results.get(query);
    return result?.kind === 'failed' ? result.code : undefined;
  }
}

const asks = (open: Open) => decodeMessage(open.transport === 'tcp' ? open.bytes.subarray(2) : open.bytes)!;
const a = (name: string, address: string, ttlSeconds = 60): DnsRecord => ({
  kind: 'address',
  name,
  ttlSeconds,
  address: ip(address),
});
const cname = (name: string, target: string, ttlSeconds = 60): DnsRecord => ({
  kind: 'alias',
  name,
  ttlSeconds,
  target,
});
const soa = (minimumSeconds: number): DnsRecord => ({
  kind: 'authority',
  name: 'com',
  ttlSeconds: 900,
  minimumSeconds,
});

describe('asking (RFC 1035 §7)', () => {
  it('asks a server over UDP and gives the addresses of the reply', () => {
    const rig = new Rig();
    rig.query(1, 'Tracker.Example.com.');
    expect(asks(rig.opens[0]!)).toMatchObject({
      recursionDesired: true,
      question: { name: 'tracker.example.com', type: TYPE_A },
    });
    rig.reply(rig.opens[0]!, {
      answers: [a('tracker.example.com', '192.0.2.1'), a('tracker.example.com', '0.0.0.0', 30)],
    });
    expect(rig.addresses(1)).toEqual(['192.0.2.1', '0.0.0.0']);
    expect(rig.results.get(1)).toMatchObject({ addresses: [{ ttlSeconds: 30 }, { ttlSeconds: 30 }] });
    expect(rig.closed).toEqual([1]);
    expect(rig.resolver.nextTimeout()).toBeUndefined();
  });

  it('uses a fresh exchange and a random id for every query (RFC 5452 §9.2)', () => {
    const rig = new Rig();
    for (let i = 0; i < 50; i++) rig.query(i, `n${i}.example`);
    expect(new Set(rig.opens.map((open) => open.exchange)).size).toBe(50);
    expect(new Set(rig.opens.map((open) => asks(open).id)).size).toBeGreaterThan(45);
  });

  it('asks for A and AAAA at once, and gives both, IPv4 first', () => {
    const rig = new Rig();
    rig.query(1, 'x.example', 0);
    expect(rig.opens.map((open) => asks(open).question?.type)).toEqual([TYPE_A, TYPE_AAAA]);
    rig.reply(rig.opens[1]!, { answers: [a('x.example', '2001:db8::1')] });
    expect(rig.results.size).toBe(0);
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1', '2001:db8::1']);
  });

  it('asks for the family alone in which the host has an address', () => {
    const rig = new Rig([S1], [4]);
    rig.query(1, 'x.example', 0);
    expect(rig.opens.map((open) => asks(open).question?.type)).toEqual([TYPE_A]);
  });

  it('waits 300 ms for the second family and then goes without it', () => {
    const rig = new Rig();
    rig.query(1, 'x.example', 0);
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1')] });
    rig.wait(299);
    expect(rig.results.size).toBe(0);
    rig.wait(1);
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
    rig.reply(rig.opens[1]!, { answers: [a('x.example', '2001:db8::1')] });
    rig.query(2, 'x.example', 6);
    expect(rig.addresses(2)).toEqual(['2001:db8::1']);
  });

  it('gives addresses of one family when the other has none', () => {
    const rig = new Rig();
    rig.query(1, 'x.example', 0);
    rig.reply(rig.opens[0]!, { authorities: [soa(60)] });
    rig.reply(rig.opens[1]!, { answers: [a('x.example', '2001:db8::1')] });
    expect(rig.addresses(1)).toEqual(['2001:db8::1']);
  });

  it('asks equal questions once, for all who wait', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.query(2, 'X.example');
    rig.query(3, 'x.example', 0);
    expect(rig.opens).toHaveLength(2);
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1')] });
    expect([rig.addresses(1), rig.addresses(2)]).toEqual([['192.0.2.1'], ['192.0.2.1']]);
    rig.reply(rig.opens[1]!, { authorities: [soa(0)] });
    expect(rig.addresses(3)).toEqual(['192.0.2.1']);
  });

  it('refuses more than 512 questions in flight', () => {
    const rig = new Rig();
    for (let i = 0; i < 513; i++) rig.query(i, `n${i}.example`);
    expect(rig.opens).toHaveLength(512);
    expect(rig.code(512)).toBe('EREFUSED');
  });

  it('cancels with ECANCELLED, closes the socket if nobody else waits, and only then', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.query(2, 'x.example');
    rig.resolver.handleCancel(1);
    rig.drain();
    expect([rig.code(1), rig.closed]).toEqual(['ECANCELLED', []]);
    rig.resolver.handleCancel(2);
    rig.resolver.handleCancel(2);
    rig.drain();
    expect([rig.code(2), rig.closed]).toEqual(['ECANCELLED', [1]]);
    expect(rig.resolver.nextTimeout()).toBeUndefined();
  });
});

describe('what is answered without asking', () => {
  it('is a literal address, if it is of the family', () => {
    const rig = new Rig([]);
    rig.query(1, '192.0.2.1', 0);
    rig.query(2, '2001:db8::1', 6);
    rig.query(3, '2001:db8::1', 4);
    expect([rig.addresses(1), rig.addresses(2), rig.code(3)]).toEqual([['192.0.2.1'], ['2001:db8::1'], 'ENODATA']);
  });

  it('is everything with ENODNS when no server is configured: the host is never asked', () => {
    const rig = new Rig([]);
    rig.query(1, 'x.example');
    expect(rig.code(1)).toBe('ENODNS');
  });

  it('is what is no name (EBADNAME), and names that are not the DNS’s', () => {
    const rig = new Rig();
    rig.query(1, 'a b');
    rig.query(2, 'localhost');
    rig.query(3, 'nas.local');
    expect([rig.code(1), rig.code(2), rig.code(3), rig.opens]).toEqual(['EBADNAME', 'ENOTFOUND', 'ENOTFOUND', []]);
  });

  it('is what the cache knows, until the TTL ends or the cache is cleared', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1', 10)] });
    rig.wait(9_000);
    rig.query(2, 'x.example');
    expect(rig.results.get(2)).toMatchObject({ addresses: [{ ttlSeconds: 1 }] });
    rig.wait(1_000);
    rig.query(3, 'x.example');
    expect(rig.opens).toHaveLength(2);
    rig.reply(rig.opens[1]!, { answers: [a('x.example', '192.0.2.1', 10)] });
    rig.resolver.clearCache();
    rig.query(4, 'x.example');
    expect(rig.opens).toHaveLength(3);
  });

  it('is the absence of a name, for the SOA minimum (RFC 2308 §5)', () => {
    const rig = new Rig();
    rig.query(1, 'no.example');
    rig.reply(rig.opens[0]!, { rcode: 3, authorities: [soa(30)] });
    rig.query(2, 'no.example');
    expect([rig.code(1), rig.code(2), rig.opens.length]).toEqual(['ENOTFOUND', 'ENOTFOUND', 1]);
    rig.wait(30_000);
    rig.query(3, 'no.example');
    expect(rig.opens).toHaveLength(2);
    rig.reply(rig.opens[1]!, { rcode: 3 });
    rig.query(4, 'no.example');
    expect(rig.opens).toHaveLength(3);
  });

  it('is the absence of a family, which is not the absence of the name', () => {
    const rig = new Rig();
    rig.query(1, 'x.example', 6);
    rig.reply(rig.opens[0]!, { authorities: [soa(30)] });
    rig.query(2, 'x.example', 4);
    expect([rig.code(1), rig.opens.length]).toEqual(['ENODATA', 2]);
  });
});

describe('aliases (RFC 1034 §3.6.2)', () => {
  it('are followed within one reply, the smallest TTL counting', () => {
    const rig = new Rig();
    rig.query(1, 'a.example');
    rig.reply(rig.opens[0]!, {
      answers: [a('c.example', '192.0.2.1', 90), cname('a.example', 'b.example', 5), cname('b.example', 'c.example')],
    });
    expect(rig.results.get(1)).toMatchObject({ addresses: [{ ttlSeconds: 5 }] });
  });

  it('are asked for where the reply stops at one', () => {
    const rig = new Rig();
    rig.query(1, 'a.example');
    rig.reply(rig.opens[0]!, { answers: [cname('a.example', 'b.example', 7)] });
    expect(asks(rig.opens[1]!).question?.name).toBe('b.example');
    expect(rig.closed).toEqual([1]);
    rig.reply(rig.opens[1]!, { answers: [a('b.example', '192.0.2.1')] });
    expect(rig.results.get(1)).toMatchObject({ addresses: [{ ttlSeconds: 7 }] });
  });

  it('are followed eight times and no more, in one reply or over several', () => {
    const chain = (length: number): DnsRecord[] =>
      Array.from({ length }, (_, i) => cname(`n${i}.example`, `n${i + 1}.example`));
    const rig = new Rig();
    rig.query(1, 'n0.example');
    rig.reply(rig.opens[0]!, { answers: [...chain(8), a('n8.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
    const other = new Rig();
    other.query(1, 'n0.example');
    other.reply(other.opens[0]!, { answers: [...chain(9), a('n9.example', '192.0.2.1')] });
    expect(other.code(1)).toBe('ESERVFAIL');
    const slow = new Rig();
    slow.query(1, 'n0.example');
    for (let i = 0; i < 9; i++) slow.reply(slow.opens[i]!, { answers: [cname(`n${i}.example`, `n${i + 1}.example`)] });
    expect(slow.code(1)).toBe('ESERVFAIL');
  });

  it('that go in circles end', () => {
    const rig = new Rig();
    rig.query(1, 'a.example');
    rig.reply(rig.opens[0]!, { answers: [cname('a.example', 'b.example'), cname('b.example', 'a.example')] });
    expect(rig.code(1)).toBe('ESERVFAIL');
  });

  it('to a name without addresses give ENODATA, to one that does not exist ENOTFOUND (RFC 2308 §2.1)', () => {
    const rig = new Rig();
    rig.query(1, 'a.example');
    rig.reply(rig.opens[0]!, { answers: [cname('a.example', 'b.example')], authorities: [soa(30)] });
    rig.query(2, 'c.example');
    rig.reply(rig.opens[1]!, { rcode: 3, answers: [cname('c.example', 'd.example')], authorities: [soa(30)] });
    expect([rig.code(1), rig.code(2)]).toEqual(['ENODATA', 'ENOTFOUND']);
  });
});

describe('which replies are believed (RFC 5452 §9.1)', () => {
  it.each([
    ['another id', { id: 1 }, S1, 53],
    ['another name', { question: { name: 'y.example', type: TYPE_A } }, S1, 53],
    ['another type', { question: { name: 'x.example', type: TYPE_AAAA } }, S1, 53],
    ['another address', {}, S2, 53],
    ['another port', {}, S1, 54],
  ] as const)('not one with %s', (_, reply, from, port) => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '198.51.100.66')], ...reply }, from, port);
    expect([rig.results.size, rig.drops]).toEqual([0, ['dns-unmatched']]);
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
  });

  it('nor a query, nor anything for an exchange that is over', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    const from = { address: ip(S1), port: 53 };
    rig.resolver.handleReply(1, rig.opens[0]!.bytes, from, rig.now);
    rig.resolver.handleReply(2, rig.opens[0]!.bytes, from, rig.now);
    rig.resolver.handleReply(1, new Uint8Array(5), from, rig.now);
    expect(rig.drops).toEqual(['dns-unmatched', 'dns-unmatched', 'dns-malformed']);
    expect(rig.results.size).toBe(0);
  });

  it('one in other letters is: case does not count (RFC 4343)', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { question: { name: 'X.EXAMPLE', type: TYPE_A }, answers: [a('X.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
  });

  it('addresses of names that were not asked for are not', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { answers: [a('y.example', '198.51.100.66')] });
    rig.query(2, 'y.example');
    expect([rig.code(1), rig.opens.length]).toEqual(['ENODATA', 2]);
  });
});

describe('servers that fail', () => {
  it('are tried again after 2 s, then 4 s more, and given up after 10 s', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    const sentAt: number[] = [0];
    for (let t = 0; t < 11_000; t += 100) {
      const before = rig.opens.length;
      rig.wait(100);
      if (rig.opens.length > before) sentAt.push(rig.now - T0);
    }
    expect(sentAt).toEqual([0, 2_000, 6_000]);
    expect(rig.code(1)).toBe('ETIMEOUT');
    expect(rig.closed).toHaveLength(3);
    expect(rig.resolver.nextTimeout()).toBeUndefined();
  });

  it('are passed over in turn, and the one that answers is asked first from then on', () => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.wait(2_000);
    expect(rig.opens.map((open) => formatIp(open.server))).toEqual([S1, S2]);
    rig.reply(rig.opens[1]!, { answers: [a('x.example', '192.0.2.1')] });
    rig.query(2, 'y.example');
    expect(formatIp(rig.opens[2]!.server)).toBe(S2);
  });

  it('may still answer the first query when the second is out', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    rig.wait(2_500);
    rig.reply(rig.opens[0]!, { answers: [a('x.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
    expect(rig.closed).toEqual([1, 2]);
  });

  it.each([
    [2, 'ESERVFAIL'],
    [5, 'EREFUSED'],
    [1, 'EFORMERR'],
    [4, 'ESERVFAIL'],
  ])('by rcode %d hand over to the next at once; when all have, the last word counts (%s)', (rcode, code) => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { rcode });
    expect(rig.opens).toHaveLength(2);
    rig.reply(rig.opens[1]!, { rcode });
    expect(rig.code(1)).toBe(code);
  });

  it('are not asked again for the same name, but may be for its alias', () => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { rcode: 2 });
    rig.wait(2_000);
    expect(rig.opens.map((open) => formatIp(open.server))).toEqual([S1, S2, S2]);
    rig.reply(rig.opens[2]!, { answers: [cname('x.example', 'y.example')] });
    rig.reply(rig.opens[3]!, { rcode: 2 });
    expect(rig.opens.slice(3).map((open) => formatIp(open.server))).toEqual([S2, S1]);
    rig.reply(rig.opens[4]!, { answers: [a('y.example', '192.0.2.1')] });
    expect(rig.addresses(1)).toEqual(['192.0.2.1']);
  });

  it('by FORMERR may leave the question out', () => {
    const rig = new Rig();
    rig.query(1, 'x.example');
    const { id } = asks(rig.opens[0]!);
    const header = Uint8Array.of(id >>> 8, id, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0);
    rig.resolver.handleReply(1, header, { address: ip(S1), port: 53 }, rig.now);
    rig.drain();
    expect(rig.code(1)).toBe('EFORMERR');
  });

  it('by nonsense under our id hand over to the next at once', () => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.resolver.handleReply(1, rig.opens[0]!.bytes.subarray(0, 15), { address: ip(S1), port: 53 }, rig.now);
    rig.drain();
    expect(formatIp(rig.opens[1]!.server)).toBe(S2);
  });

  it('whose socket cannot be opened are passed over', () => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.resolver.handleClosed(1, rig.now);
    rig.drain();
    expect(formatIp(rig.opens[1]!.server)).toBe(S2);
    rig.resolver.handleClosed(2, rig.now);
    rig.drain();
    expect(rig.code(1)).toBe('ETIMEOUT');
  });
});

describe('answers that do not fit (RFC 7766)', () => {
  const truncated = (): { rig: Rig; tcp: Open } => {
    const rig = new Rig([S1, S2]);
    rig.query(1, 'x.example');
    rig.reply(rig.opens[0]!, { truncated: true });
    return { rig, tcp: rig.opens[1]! };
  };
  const framed = (open: Open, reply: Partial<DnsReply>): Uint8Array => {
    const { id, question } = asks(open);
    const bytes = encodeReply({ id, question: question!, ...reply });
    return concat(Uint8Array.of(bytes.length >>> 8, bytes.length), bytes);
  };

  it('are asked for over TCP, of the same server, behind a length (RFC 1035 §4.2.2)', () => {
    const { rig, tcp } = truncated();
    expect([tcp.transport, formatIp(tcp.server), rig.closed]).toEqual(['tcp', S1, [1]]);
    expect(tcp.bytes.length).toBe(2 + (tcp.bytes[0]! << 8) + tcp.bytes[1]!);
    expect(asks(tcp).question?.name).toBe('x.example');
  });

  it('come in pieces of any size', () => {
    const { rig, tcp } = truncated();
    const answers = Array.from({ length: 100 }, (_, i) => a('x.example', `192.0.2.${i}`));
    for (const byte of framed(tcp, { answers })) rig.stream(tcp, Uint8Array.of(byte));
    expect(rig.addresses(1)).toHaveLength(100);
    expect(rig.closed).toEqual([1, 2]);
  });

  it.each([
    ['is truncated again', { truncated: true }],
    ['has another id', { id: 1 }],
  ])('hand over to the next server if the stream %s', (_, reply) => {
    const { rig, tcp } = truncated();
    rig.stream(tcp, framed(tcp, reply));
    expect(formatIp(rig.opens[2]!.server)).toBe(S2);
  });

  it('hand over to the next server if the connection ends early, or after 4 s', () => {
    const ended = truncated();
    ended.rig.stream(ended.tcp, Uint8Array.of(0, 40, 1));
    ended.rig.resolver.handleClosed(ended.tcp.exchange, ended.rig.now);
    ended.rig.drain();
    expect(formatIp(ended.rig.opens[2]!.server)).toBe(S2);
    const silent = truncated();
    silent.rig.wait(3_999);
    expect(silent.rig.opens).toHaveLength(2);
    silent.rig.wait(1);
    expect(formatIp(silent.rig.opens[2]!.server)).toBe(S2);
  });
});

it('keeps the four laws of a machine', () => {
  const rig = new Rig();
  rig.query(1, 'n1.example');
  const { question } = asks(rig.opens[0]!);
  const sample = encodeReply({ id: 1, question: question!, answers: [a('n1.example', '192.0.2.1')] });
  checkLaws({
    samples: [sample],
    create: (seed) => {
      const resolver = new Resolver({ servers: [ip(S1), ip(S2)], random: new SeededRandom(seed), count: () => {} });
      let queries = 0;
      return {
        handleTimeout: (now) => resolver.handleTimeout(now),
        nextTimeout: () => resolver.nextTimeout(),
        nextOutput: () => resolver.nextOutput(),
        handleBytes: (bytes, now) => {
          for (let exchange = 1; exchange < 20; exchange++) {
            resolver.handleReply(exchange, bytes, { address: ip(exchange % 2 ? S1 : S2), port: 53 }, now);
            resolver.handleStream(exchange, bytes, now);
          }
        },
        act: (choice, now) => {
          if (choice % 5 === 0) resolver.handleCancel(choice % (queries + 1));
          else if (choice % 5 === 1) resolver.handleClosed(choice % 50, now);
          else
            resolver.handleQuery({ query: ++queries, name: `n${choice % 7}.example`, family: choice % 2 ? 4 : 0 }, now);
        },
      };
    },
  });
});
