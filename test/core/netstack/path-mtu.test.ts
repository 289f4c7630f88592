import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { instant } from '../../../src/core/base/instant.ts';
import { PATH_MTU_LIFETIME_MS, PathMtu } from '../../../src/core/netstack/path-mtu.ts';
import { RateLimit } from '../../../src/core/netstack/rate-limit.ts';

const T0 = instant(1_000);
const later = (ms: number) => instant(T0 + ms);
const A = ip('203.0.113.1');
const B = ip('203.0.113.2');
const A6 = ip('2001:db8::1');

describe('path MTU (RFC 1191, RFC 8201)', () => {
  it('is the tunnel’s until a path is known to be narrower, for that destination alone', () => {
    const paths = new PathMtu(1420);
    expect(paths.lower(A, 1300, T0)).toBe(true);
    expect([paths.mtuFor(A, T0), paths.mtuFor(B, T0)]).toEqual([1300, 1420]);
  });

  it('is never raised by a message (RFC 8201 §4)', () => {
    const paths = new PathMtu(1420);
    expect([paths.lower(A, 1420, T0), paths.lower(A, 9000, T0)]).toEqual([false, false]);
    paths.lower(A, 1300, T0);
    expect([paths.lower(A, 1301, T0), paths.mtuFor(A, T0)]).toEqual([false, 1300]);
  });

  it('does not fall below 576 (IPv4) or 1280 (IPv6), whatever a message says', () => {
    const paths = new PathMtu(1420);
    paths.lower(A, 0, T0);
    paths.lower(A6, 68, T0);
    expect([paths.mtuFor(A, T0), paths.mtuFor(A6, T0)]).toEqual([576, 1280]);
  });

  it('is forgotten after ten minutes (RFC 1191 §6.3)', () => {
    const paths = new PathMtu(1420);
    paths.lower(A, 1300, T0);
    expect(paths.mtuFor(A, later(PATH_MTU_LIFETIME_MS - 1))).toBe(1300);
    expect(paths.mtuFor(A, later(PATH_MTU_LIFETIME_MS))).toBe(1420);
  });

  it('remembers 256 destinations, the oldest giving way', () => {
    const paths = new PathMtu(1420);
    for (let i = 0; i < 257; i++) paths.lower(ip(`198.51.${i >> 8}.${i & 255}`), 1300, T0);
    expect(paths.mtuFor(ip('198.51.0.0'), T0)).toBe(1420);
    expect(paths.mtuFor(ip('198.51.0.1'), T0)).toBe(1300);
  });

  it('follows the tunnel’s own MTU down', () => {
    const paths = new PathMtu(1420);
    paths.lower(A, 1300, T0);
    paths.setTunnelMtu(1280);
    expect([paths.mtuFor(A, T0), paths.mtuFor(B, T0)]).toEqual([1280, 1280]);
    paths.clear();
    paths.setTunnelMtu(1400);
    expect(paths.mtuFor(A, T0)).toBe(1400);
  });
});

describe('rate limit', () => {
  it('allows a burst, then the rate, and saves no more than a burst', () => {
    const limit = new RateLimit(10, 5, T0);
    const taken = (ms: number): number => {
      let count = 0;
      while (limit.take(later(ms))) count++;
      return count;
    };
    expect([taken(0), taken(99), taken(100), taken(400), taken(60_000)]).toEqual([5, 0, 1, 3, 5]);
  });
});
