/** How joined datagrams (UDP GRO, udp(7)) are taken apart, with system calls that fail as told. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatEndpoint } from '../../../src/core/base/address.ts';
import type { Burst } from '../../../src/core/base/burst.ts';
import { TAG_LENGTH } from '../../../src/core/base/crypto.ts';
import type { Libc } from '../../../src/node/udp/ffi.ts';
import { Poller } from '../../../src/node/udp/poller.ts';
import type { UdpPort } from '../../../src/node/udp-port.ts';
import { backends } from '../../support/crypto-backends.ts';
import { type Failures, failing, libc } from '../../support/fast-udp.ts';
import { loopback } from '../../support/udp-port-conformance.ts';

const EPERM = 1;
const EINTR = 4;
const ENOSYS = 38;
const ENETDOWN = 100;
const EOPNOTSUPP = 95;
const ECONNREFUSED = 111;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface World {
  readonly server: UdpPort;
  readonly client: UdpPort;
  readonly onError: ReturnType<typeof vi.fn>;
  /** Messages that each successful `recvmmsg` of the server had. */
  readonly calls: number[];
  receive(): void;
}

/** A server whose system calls fail as told, with a client connected to it. */
function open(
  onBurst: (burst: Burst) => void,
  failures: Failures = {},
  allocate?: (bytes: number) => Uint8Array,
): World {
  const calls: number[] = [];
  const real: Libc = {
    ...libc!,
    recvmmsg(...values) {
      const result = libc!.recvmmsg(...values);
      if (result > 0) calls.push(result);
      return result;
    },
  };
  const poller = new Poller(failing(real, failures), allocate ? { allocate } : {});
  closers.push(() => poller.close());
  const onError = vi.fn();
  const server = poller.open({ bind: loopback(4) }, { onBurst, onDrain() {}, onError });
  const theirs = new Poller(libc!);
  closers.push(() => theirs.close());
  const client = theirs.open({ remote: server.local }, { onBurst() {}, onDrain() {}, onError() {} });
  const receive = (): void => {
    for (let i = 0; i < 10; i++) {
      poller.wait(5);
      poller.receive();
    }
  };
  return { server, client, onError, calls, receive };
}

const pattern = (size: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => i * 7 + seed * 31);

describe.skipIf(!libc)('Receiving (udp(7), UDP_GRO)', () => {
  it.each([
    ['a multiple of four', 1452, 1452],
    ['one more', 1453, 1453],
    ['one less', 1451, 20],
    ['odd, the last one of a single byte', 33, 1],
    ['a single byte', 1, 1],
  ])('gives each datagram its place at a multiple of four: %s', (_, size, last) => {
    const sizes = [...Array.from({ length: 39 }, () => size), last];
    const seen: { readonly bytes: Uint8Array; readonly offset: number; readonly from: string }[] = [];
    const world = open((burst) => {
      for (let i = 0; i < burst.count; i++)
        seen.push({
          bytes: burst.datagram(i).slice(),
          offset: burst.offsets[i]!,
          from: formatEndpoint(burst.endpoints[i]!),
        });
    });
    for (const [i, bytes] of sizes.entries()) world.client.transmit.append(pattern(bytes, i), undefined);
    world.client.flush();
    world.receive();
    expect(seen.map(({ bytes }) => bytes)).toEqual(sizes.map((bytes, i) => pattern(bytes, i)));
    expect(seen.every(({ offset }) => offset % 4 === 0)).toBe(true);
    expect(new Set(seen.map(({ from }) => from))).toEqual(new Set([formatEndpoint(world.client.local)]));
    expect(world.server.counters).toMatchObject({ received: 40, oversized: 0 });
    // Not vacuous: they came joined.
    expect(world.calls).toEqual([1]);
  });

  it('tells many senders apart, and knows each of them again', () => {
    const seen: string[] = [];
    const objects = new Set<unknown>();
    const world = open((burst) => {
      for (let i = 0; i < burst.count; i++) {
        seen.push(formatEndpoint(burst.endpoints[i]!));
        objects.add(burst.endpoints[i]);
      }
    });
    const theirs = new Poller(libc!);
    closers.push(() => theirs.close());
    const others = Array.from({ length: 3 }, () =>
      theirs.open({ remote: world.server.local }, { onBurst() {}, onDrain() {}, onError() {} }),
    );
    for (let round = 0; round < 2; round++)
      for (const other of others) {
        for (let i = 0; i < 3; i++) other.transmit.append(pattern(10, i), undefined);
        other.flush();
      }
    world.receive();
    const names = others.map(({ local }) => formatEndpoint(local));
    expect(seen).toEqual([...names, ...names].flatMap((name) => [name, name, name]));
    expect(objects.size).toBe(3);
  });

  it('takes more messages than one system call has room for', () => {
    let count = 0;
    const world = open((burst) => void (count += burst.count));
    for (let i = 0; i < 40; i++) {
      world.client.transmit.append(pattern(100 + i, i), undefined);
      world.client.flush();
    }
    world.receive();
    expect(count).toBe(40);
    expect(world.calls.length).toBeGreaterThan(1);
  });

  it('counts joined datagrams that are larger than any of the tunnel, each of them', () => {
    const world = open(() => expect.fail('too large'));
    const theirs = new Poller(libc!);
    closers.push(() => theirs.close());
    const jumbo = theirs.open({ remote: world.server.local, mtu: 4000 }, { onBurst() {}, onDrain() {}, onError() {} });
    for (let i = 0; i < 5; i++) jumbo.transmit.append(pattern(3000, i), undefined);
    jumbo.flush();
    world.receive();
    expect(world.server.counters).toMatchObject({ received: 5, oversized: 5 });
  });

  it.each(backends.map((crypto) => [crypto.name, crypto] as const))(
    'leaves neighbours alone when datagrams are decrypted in place, one after the other: %s',
    (_, crypto) => {
      const key = crypto.aeadKey(pattern(32, 1));
      let opened = 0;
      const world = open(
        (burst) => {
          for (let i = 0; i < burst.count; i++) {
            const plain = burst.lengths[i]! - TAG_LENGTH;
            expect(key.open(burst.slab, burst.offsets[i]!, burst.lengths[i]!, i, 0)).toBe(true);
            const offset = burst.offsets[i]!;
            expect(burst.slab.slice(offset, offset + plain)).toEqual(pattern(plain, i));
            opened++;
          }
        },
        {},
        crypto.allocate,
      );
      for (let i = 0; i < 20; i++) {
        const bytes = new Uint8Array(77 + TAG_LENGTH);
        bytes.set(pattern(77, i));
        key.seal(bytes, 0, 77, i, 0);
        world.client.transmit.append(bytes, undefined);
      }
      world.client.flush();
      world.receive();
      expect(opened).toBe(20);
      expect(world.calls).toEqual([1]);
    },
  );

  it('receives without GRO where the kernel has none (before 5.0)', () => {
    let count = 0;
    const world = open((burst) => void (count += burst.count), { setsockopt: EOPNOTSUPP });
    for (let i = 0; i < 12; i++) world.client.transmit.append(pattern(100, i), undefined);
    world.client.flush();
    world.receive();
    expect(count).toBe(12);
    expect(world.calls).toEqual([12]);
  });

  it.each([
    ['ENOSYS', ENOSYS],
    ['EPERM', EPERM],
  ])('takes the old call from the moment that the new one is forbidden (seccomp, %s)', (_, errno) => {
    const seen: number[] = [];
    const recvmsg = vi.fn(() => 0);
    const world = open((burst) => void seen.push(burst.count), {
      recvmmsg: (call) => (call === 0 ? 0 : errno),
      recvmsg,
    });
    for (const count of [2, 3, 4]) {
      for (let i = 0; i < count; i++) world.client.transmit.append(pattern(99, i), undefined);
      world.client.flush();
      world.receive();
    }
    expect(seen).toEqual([2, 3, 4]);
    expect(recvmsg).toHaveBeenCalled();
    expect(world.onError).not.toHaveBeenCalled();
  });

  it('survives signals and what ICMP says, and reports an interface that went away once', () => {
    const seen: number[] = [];
    const errors = [EINTR, ECONNREFUSED, 0, ENETDOWN, ENETDOWN];
    const world = open((burst) => void seen.push(burst.count), { recvmmsg: (call) => errors[call] ?? 0 });
    for (let round = 0; round < 2; round++) {
      world.client.transmit.append(pattern(10, round), undefined);
      world.client.flush();
      world.receive();
    }
    expect(seen).toEqual([1, 1]);
    expect(world.server.counters).toMatchObject({ softErrors: 1 });
    expect(world.onError).toHaveBeenCalledTimes(1);
    expect(world.onError.mock.calls[0]![0]).toMatchObject({ code: 'ENETDOWN' });
  });
});
