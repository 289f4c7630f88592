/** `tunnel.dns`: Node's forms, results and errors, answered by the engine alone. */

import dns from 'node:dns';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { TunnelDns } from '../../src/node/dns.ts';
import { SocketLayer } from '../../src/node/socket-layer.ts';
import { type LoopbackEngine, LoopbackNetwork } from '../support/loopback-engine.ts';

let network: LoopbackNetwork;
let engine: LoopbackEngine;
let tunnel: TunnelDns;

beforeEach(() => {
  network = new LoopbackNetwork();
  network.names.set('both.test', ['fd00:9::2', '10.9.0.2', '10.9.0.3']);
  network.names.set('four.test', ['10.9.0.2']);
  engine = network.host('10.9.0.1');
  tunnel = new SocketLayer(engine).dns;
});

/** What a callback is called with. */
function called(start: (callback: (...args: unknown[]) => void) => void): Promise<unknown[]> {
  return new Promise((resolve) => start((...args) => resolve(args)));
}

describe('dns.lookup', () => {
  it('gives the first address and its family', async () => {
    expect(await called((callback) => tunnel.lookup('both.test', callback))).toEqual([null, 'fd00:9::2', 6]);
  });

  it.each<[string, unknown, unknown[]]>([
    ['family: 4', { family: 4 }, [null, '10.9.0.2', 4]],
    ['family: "IPv6"', { family: 'IPv6' }, [null, 'fd00:9::2', 6]],
    ['a number', 4, [null, '10.9.0.2', 4]],
    ['order: ipv4first', { order: 'ipv4first' }, [null, '10.9.0.2', 4]],
    ['verbatim: false', { verbatim: false }, [null, '10.9.0.2', 4]],
  ])('takes %s', async (_name, options, expected) => {
    expect(await called((callback) => tunnel.lookup('both.test', options as { family: 4 }, callback))).toEqual(
      expected,
    );
  });

  it('gives every address with all: true', async () => {
    const all = [
      { address: 'fd00:9::2', family: 6 },
      { address: '10.9.0.2', family: 4 },
      { address: '10.9.0.3', family: 4 },
    ];
    expect(await called((callback) => tunnel.lookup('both.test', { all: true }, callback))).toEqual([null, all]);
    expect(await tunnel.promises.lookup('both.test', { all: true })).toEqual(all);
  });

  it('resolves as a promise, also through promisify', async () => {
    expect(await tunnel.promises.lookup('four.test')).toEqual({ address: '10.9.0.2', family: 4 });
    expect(await promisify(tunnel.lookup)('four.test')).toEqual({ address: '10.9.0.2', family: 4 });
  });

  it('answers literals and localhost by itself, never in the same turn', async () => {
    const order: string[] = [];
    const answer = called((callback) => tunnel.lookup('192.0.2.7', callback)).then((args) => {
      order.push('later');
      return args;
    });
    order.push('first');
    expect(await answer).toEqual([null, '192.0.2.7', 4]);
    expect(order).toEqual(['first', 'later']);
    expect(await tunnel.promises.lookup('localhost', 6)).toEqual({ address: '::1', family: 6 });
    expect(await tunnel.promises.lookup('a.localhost')).toEqual({ address: '127.0.0.1', family: 4 });
    expect(engine.log).toEqual([]);
  });

  it('gives nothing for an empty name, as Node does', async () => {
    expect(await called((callback) => tunnel.lookup('', callback))).toEqual([null, null, 4]);
    expect(await called((callback) => tunnel.lookup('', { all: true }, callback))).toEqual([null, []]);
  });

  it.each([
    ['ENOTFOUND', 'ENOTFOUND'],
    ['ENODATA', 'ENOTFOUND'],
    ['EBADNAME', 'ENOTFOUND'],
    ['ETIMEOUT', 'EAI_AGAIN'],
    ['ESERVFAIL', 'EAI_AGAIN'],
    ['EREFUSED', 'EAI_AGAIN'],
  ] as const)('reports %s as getaddrinfo does: %s with the name', async (code, expected) => {
    network.names.set('bad.test', code);
    const [error] = (await called((callback) => tunnel.lookup('bad.test', callback))) as [NodeJS.ErrnoException];
    expect(error).toMatchObject({ code: expected, syscall: 'getaddrinfo', hostname: 'bad.test' });
    expect(error.message).toBe(`getaddrinfo ${expected} bad.test`);
    expect(error.errno).toBeLessThan(0);
    expect(error).not.toHaveProperty('address');
  });

  it('reports that the tunnel has no DNS server as ERR_DNS_NONE, with a hint', async () => {
    network.names.set('any.test', 'ENODNS');
    await expect(tunnel.promises.lookup('any.test')).rejects.toMatchObject({ code: 'ERR_DNS_NONE', hint: /DNS line/ });
    await expect(tunnel.promises.resolve4('any.test')).rejects.toMatchObject({ code: 'ERR_DNS_NONE' });
  });

  it('throws for arguments that are wrong', () => {
    const wrongType = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(() => tunnel.lookup('four.test', undefined as never)).toThrow(wrongType);
    expect(() => tunnel.lookup(5 as never, () => {})).toThrow(wrongType);
    expect(() => tunnel.lookup('four.test', 'x' as never, () => {})).toThrow(wrongType);
    expect(() => tunnel.lookup('four.test', { family: 5 as never }, () => {})).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
  });
});

describe('dns.resolve', () => {
  it('gives the addresses of one family', async () => {
    expect(await called((callback) => tunnel.resolve4('both.test', callback))).toEqual([
      null,
      ['10.9.0.2', '10.9.0.3'],
    ]);
    expect(await tunnel.promises.resolve6('both.test')).toEqual(['fd00:9::2']);
    expect(await tunnel.promises.resolve('both.test')).toEqual(['10.9.0.2', '10.9.0.3']);
    expect(await tunnel.promises.resolve('both.test', 'AAAA')).toEqual(['fd00:9::2']);
  });

  it('gives lifetimes in seconds with ttl: true', async () => {
    expect(await tunnel.promises.resolve4('four.test', { ttl: true })).toEqual([{ address: '10.9.0.2', ttl: 60 }]);
  });

  it('reports errors as those of the query, without a number', async () => {
    await expect(tunnel.promises.resolve4('nowhere.test')).rejects.toMatchObject({
      code: 'ENOTFOUND',
      syscall: 'queryA',
      hostname: 'nowhere.test',
      message: 'queryA ENOTFOUND nowhere.test',
    });
    const error = await tunnel.promises.resolve6('four.test').catch((reason: NodeJS.ErrnoException) => reason);
    expect(error).toMatchObject({ code: 'ENODATA', syscall: 'queryAaaa' });
    expect((error as NodeJS.ErrnoException).errno).toBeUndefined();
  });

  it('refuses other record types', () => {
    expect(() => tunnel.resolve('four.test', 'MX' as never, () => {})).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    );
  });
});

it('never asks the host’s resolver', async () => {
  const spies = [vi.spyOn(dns, 'lookup'), vi.spyOn(dns, 'resolve4'), vi.spyOn(dns.promises, 'lookup')];
  await tunnel.promises.lookup('four.test');
  await tunnel.promises.lookup('nowhere.test').catch(() => {});
  await tunnel.promises.resolve4('four.test');
  for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  expect(engine.log).toEqual(['resolve', 'resolve', 'resolve']);
});
