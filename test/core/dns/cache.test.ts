import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { type CachedAnswer, DnsCache } from '../../../src/core/dns/cache.ts';

const T0 = instant(5_000);
const later = (ms: number): Instant => instant(T0 + ms);
const found = (ttlSeconds: number): CachedAnswer => ({ kind: 'addresses', addresses: [ip('192.0.2.1')], ttlSeconds });
const absent = (ttlSeconds: number): CachedAnswer => ({ kind: 'absent', code: 'ENOTFOUND', ttlSeconds });

describe('the cache of answers', () => {
  it('keeps an answer for its TTL, counting it down (RFC 1035 §3.2.1)', () => {
    const cache = new DnsCache(10);
    cache.store('4 a', found(60), T0);
    expect(cache.find('4 a', later(1))).toMatchObject({ ttlSeconds: 59 });
    expect(cache.find('4 a', later(59_999))).toMatchObject({ ttlSeconds: 0 });
    expect(cache.find('4 a', later(60_000))).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  it('does not keep TTL 0, and forgets what it knew before', () => {
    const cache = new DnsCache(10);
    cache.store('4 a', found(60), T0);
    cache.store('4 a', found(0), T0);
    expect(cache.size).toBe(0);
    expect(cache.find('4 a', T0)).toBeUndefined();
  });

  it('believes no TTL above a day, and no absence above an hour (RFC 2308 §5)', () => {
    const cache = new DnsCache(10);
    cache.store('4 a', found(1e9), T0);
    cache.store('4 b', absent(1e9), T0);
    expect(cache.find('4 a', T0)).toMatchObject({ ttlSeconds: 86_400 });
    expect(cache.find('4 b', T0)).toMatchObject({ ttlSeconds: 3_600 });
  });

  it('lets the least recently used give way', () => {
    const cache = new DnsCache(2);
    cache.store('a', found(60), T0);
    cache.store('b', found(60), T0);
    cache.find('a', T0);
    cache.store('c', found(60), T0);
    expect(['a', 'b', 'c'].map((key) => cache.find(key, T0) !== undefined)).toEqual([true, false, true]);
  });
});
