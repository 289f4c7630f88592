import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST, PortAllocator } from '../../../src/core/netstack/ports.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const allocator = (seed = 1): PortAllocator => new PortAllocator(new SeededRandom(seed));
const remote = (n: number) => ({ address: ip(`203.0.113.${n}`), port: 80 });

describe('ports (RFC 6056)', () => {
  it('draws ephemeral ports at random from 32768 to 60999 (§3.3.1)', () => {
    const ports = allocator();
    const drawn = Array.from({ length: 1000 }, () => ports.allocate('udp', 0)!.port);
    expect(new Set(drawn).size).toBe(1000);
    expect(drawn.every((port) => port >= EPHEMERAL_FIRST && port <= EPHEMERAL_LAST)).toBe(true);
    const mean = drawn.reduce((total, port) => total + port, 0) / drawn.length;
    expect(Math.abs(mean - (EPHEMERAL_FIRST + EPHEMERAL_LAST) / 2)).toBeLessThan(1500);
    const steps = drawn.slice(1).filter((port, i) => port === drawn[i]! + 1);
    expect(steps.length).toBeLessThan(10);
  });

  it('gives out every ephemeral port once, then none, and a released one again', () => {
    const ports = allocator();
    const holds = Array.from({ length: EPHEMERAL_LAST - EPHEMERAL_FIRST + 1 }, () => ports.allocate('udp', 0)!);
    expect(new Set(holds.map((hold) => hold.port)).size).toBe(holds.length);
    expect(ports.allocate('udp', 0)).toBeUndefined();
    expect(ports.allocate('tcp', 0)).toBeDefined();
    ports.release(holds[77]!);
    expect(ports.allocate('udp', 0)?.port).toBe(holds[77]!.port);
  });

  it('keeps protocols, families and addresses apart', () => {
    const ports = allocator();
    expect(ports.allocate('udp', 6881, { family: 4 })).toBeDefined();
    expect(ports.allocate('udp', 6881, { family: 4 })).toBeUndefined();
    expect(ports.allocate('udp', 6881, { address: ip('10.2.0.2') })).toBeUndefined();
    expect(ports.allocate('udp', 6881, {})).toBeUndefined();
    expect(ports.allocate('udp', 6881, { family: 6 })).toBeDefined();
    expect(ports.allocate('tcp', 6881, {})).toBeDefined();
    expect(ports.allocate('udp', 7000, { address: ip('10.2.0.2') })).toBeDefined();
    expect(ports.allocate('udp', 7000, { address: ip('10.2.0.3') })).toBeDefined();
    expect(ports.allocate('udp', 7000, { family: 4 })).toBeUndefined();
  });

  it('lets two share a port only if both want to', () => {
    const ports = allocator();
    expect(ports.allocate('udp', 7000, { family: 4, shared: true })).toBeDefined();
    expect(ports.allocate('udp', 7000, { family: 4 })).toBeUndefined();
    expect(ports.allocate('udp', 7000, { family: 4, shared: true })).toBeDefined();
  });

  it('lets one port serve connections to different remotes (§2.2)', () => {
    const ports = allocator();
    const first = ports.allocate('tcp', 6881, { family: 4, remote: remote(1) });
    expect(first).toBeDefined();
    expect(ports.allocate('tcp', 6881, { family: 4, remote: remote(2) })).toBeDefined();
    expect(ports.allocate('tcp', 6881, { family: 4, remote: remote(1) })).toBeUndefined();
    ports.release(first!);
    expect(ports.allocate('tcp', 6881, { family: 4, remote: remote(1) })).toBeDefined();
  });

  it('lets connections leave from the port of a listener if they ask for it, and never by chance', () => {
    const ports = allocator();
    for (let port = EPHEMERAL_FIRST; port < EPHEMERAL_LAST; port++) ports.allocate('tcp', port, {});
    expect(ports.allocate('tcp', EPHEMERAL_FIRST, { family: 4, remote: remote(1) })).toBeDefined();
    expect(ports.allocate('tcp', 0, { family: 4, remote: remote(1) })?.port).toBe(EPHEMERAL_LAST);
    expect(ports.allocate('tcp', 0, { family: 4, remote: remote(1) })).toBeUndefined();
  });

  it('is the same for the same seed', () => {
    expect(allocator(5).allocate('tcp', 0)?.port).toBe(allocator(5).allocate('tcp', 0)?.port);
    expect(allocator(5).allocate('tcp', 0)?.port).not.toBe(allocator(6).allocate('tcp', 0)?.port);
  });
});
