/** How bursts are sent, with system calls that fail as told: `sendmmsg` and `poll` of a real socket behind a wrapper. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Endpoint, formatEndpoint } from '../../../src/core/base/address.ts';
import type { Libc } from '../../../src/node/udp/ffi.ts';
import { Poller } from '../../../src/node/udp/poller.ts';
import type { UdpPort } from '../../../src/node/udp-port.ts';
import { type Failures, failing, libc } from '../../support/fast-udp.ts';
import { loopback } from '../../support/udp-port-conformance.ts';

const EPERM = 1;
const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const EINVAL = 22;
const ENOSYS = 38;
const EMSGSIZE = 90;
const EOPNOTSUPP = 95;
const ECONNREFUSED = 111;

interface World {
  readonly poller: Poller;
  readonly server: UdpPort;
  readonly client: UdpPort;
  readonly arrived: string[];
  readonly onError: ReturnType<typeof vi.fn>;
  readonly onDrain: ReturnType<typeof vi.fn>;
  readonly onTooLong: ReturnType<typeof vi.fn>;
  /** Messages that each successful `sendmmsg` of the client took. */
  readonly calls: number[];
}

const pollers: Poller[] = [];
afterEach(async () => {
  for (const poller of pollers.splice(0)) await poller.close();
});

/** A client whose system calls fail as told, connected to a server. */
function open(failures: Failures = {}, connected = true): World {
  const calls: number[] = [];
  const arrived: string[] = [];
  const [onError, onDrain, onTooLong] = [vi.fn(), vi.fn(), vi.fn()];
  const real: Libc = {
    ...libc!,
    sendmmsg(...values) {
      const result = libc!.sendmmsg(...values);
      if (result > 0) calls.push(result);
      return result;
    },
  };
  const poller = new Poller(libc!);
  const mine = new Poller(failing(real, failures));
  pollers.push(poller, mine);
  const server = poller.open(
    { bind: loopback(4) },
    {
      onBurst(burst) {
        for (let i = 0; i < burst.count; i++) {
          const bytes = burst.datagram(i);
          arrived.push(`${bytes[0] ?? 'empty'}×${bytes.length}`);
          expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
        }
      },
      onDrain: () => {},
      onError: () => {},
    },
  );
  const client = mine.open(connected ? { remote: server.local } : { bind: loopback(4) }, {
    onBurst: () => {},
    onDrain,
    onError,
    onTooLong,
  });
  return { poller: mine, server, client, arrived, onError, onDrain, onTooLong, calls };
}

/** Datagrams whose bytes are their number, from 1. */
function fill(port: UdpPort, sizes: readonly number[], to?: (index: number) => Endpoint | undefined): void {
  for (const [i, size] of sizes.entries()) port.transmit.append(new Uint8Array(size).fill(i + 1), to?.(i));
}

function receive(world: World): string[] {
  for (let i = 0; i < 20; i++) {
    pollers[0]!.wait(5);
    pollers[0]!.receive();
  }
  return world.arrived;
}

const expected = (sizes: readonly number[]): string[] =>
  sizes.map((size, i) => `${size === 0 ? 'empty' : i + 1}×${size}`);
const times = (count: number, size: number): number[] => Array.from({ length: count }, () => size);

describe.skipIf(!libc)('Sending (udp(7), UDP_SEGMENT)', () => {
  it('makes one message of datagrams of one size, the last of which may be shorter', () => {
    const world = open();
    const sizes = [96, 96, 96, 60, 96, 96, 1452, 1452, 1452, 1000, 1001, 0, 0, 7];
    fill(world.client, sizes);
    world.client.flush();
    // 96 96 96 60 | 96 96 | 1452 1452 1452 1000 | 1001 | empty | empty | 7
    expect(world.calls).toEqual([7]);
    expect(receive(world)).toEqual(expected(sizes));
    expect(world.client.counters).toMatchObject({ sent: sizes.length, softErrors: 0 });
  });

  it('joins at most 64 datagrams and 65,507 bytes', () => {
    const world = open();
    const sizes = [...times(65, 32), ...times(46, 1452)];
    fill(world.client, sizes);
    world.client.flush();
    expect(world.calls).toEqual([4]);
    expect(receive(world)).toEqual(expected(sizes));
  });

  it('joins only what goes to the same endpoint, and leaves out what goes to a wrong one or to none', () => {
    const world = open({}, false);
    const other = pollers[0]!.open(
      { bind: loopback(4) },
      { onBurst: (burst) => void elsewhere.push(burst.count), onDrain() {}, onError() {} },
    );
    const elsewhere: number[] = [];
    const { local } = world.server;
    fill(world.client, times(6, 50), (i) => [local, local, other.local, undefined, other.local, local][i]);
    world.client.flush();
    expect(world.calls).toEqual([3]);
    expect(receive(world)).toEqual(['1×50', '2×50', '6×50']);
    expect(elsewhere).toEqual([2]);
    expect(world.client.counters).toMatchObject({ sent: 5, wrongEndpoint: 1 });
    expect(formatEndpoint(other.local)).not.toBe(formatEndpoint(local));
  });

  it('sends one by one where the kernel does not know the option, which it would pass over in silence (before 4.18)', () => {
    const world = open({ setsockopt: EOPNOTSUPP });
    fill(world.client, times(5, 100));
    world.client.flush();
    expect(world.calls).toEqual([5]);
    expect(receive(world)).toEqual(expected(times(5, 100)));
  });

  it('joins nothing any more once the interface cannot cut messages up (EIO)', () => {
    const world = open({ sendmmsg: (call) => (call === 0 ? EIO : 0) });
    for (let round = 0; round < 2; round++) {
      fill(world.client, times(5, 100), (i) => (i === 4 ? loopback(4, 9) : undefined));
      world.client.flush();
    }
    expect(world.calls).toEqual([4, 4]);
    expect(receive(world)).toEqual([...expected(times(4, 100)), ...expected(times(4, 100))]);
    expect(world.client.counters).toMatchObject({ sent: 8, wrongEndpoint: 2 });
    expect(world.onError).not.toHaveBeenCalled();
  });

  it('joins only smaller ones once the path has no room for this size in one piece (EINVAL)', () => {
    const world = open({ sendmmsg: (call) => (call === 1 ? EINVAL : 0) });
    const sizes = [...times(3, 100), ...times(3, 1452)];
    fill(world.client, [1]);
    world.client.flush();
    fill(world.client, times(3, 1452));
    world.client.flush();
    fill(world.client, sizes);
    world.client.flush();
    expect(world.calls).toEqual([1, 3, 4]);
    expect(receive(world)).toHaveLength(10);
    expect(world.client.counters).toMatchObject({ sent: 10, softErrors: 0 });
  });

  it('tells once that the path has become narrower, and sends on (EMSGSIZE)', () => {
    const world = open({ sendmmsg: (call) => (call === 0 ? EMSGSIZE : 0) });
    fill(world.client, times(3, 1452));
    world.client.flush();
    // What the system says of the loopback.
    expect(world.onTooLong.mock.calls).toEqual([[expect.any(Number)]]);
    expect(world.onTooLong.mock.calls[0]![0]).toBeGreaterThan(60_000);
    expect(world.calls).toEqual([1]);
    expect(receive(world)).toEqual(expected(times(3, 1452)));
    const narrow = open({ sendmmsg: (call) => (call < 2 ? EMSGSIZE : 0) });
    fill(narrow.client, times(3, 1452));
    narrow.client.flush();
    expect(narrow.onTooLong).toHaveBeenCalledTimes(1);
    expect(narrow.calls).toEqual([3]);
  });

  it('loses no datagram to the news about an earlier one (ICMP), nor to a signal', () => {
    const world = open({ sendmmsg: (call) => [ECONNREFUSED, EINTR, EINTR][call] ?? 0 });
    fill(world.client, [10, 20, 20]);
    world.client.flush();
    expect(receive(world)).toEqual(expected([10, 20, 20]));
    expect(world.client.counters).toMatchObject({ sent: 3, softErrors: 1 });
  });

  it('gives a datagram up that is refused twice, and sends the others', () => {
    const world = open({ sendmmsg: (call) => (call === 1 || call === 2 ? EMSGSIZE : 0) });
    fill(world.client, [10]);
    world.client.flush();
    fill(world.client, [9, 20, 8]);
    world.client.flush();
    expect(receive(world)).toEqual(['1×10', '2×20', '3×8']);
    expect(world.client.counters).toMatchObject({ sent: 3, softErrors: 1 });
  });

  it('keeps everything while the system’s queue is full, and goes on where it was (EAGAIN)', () => {
    let full = true;
    const world = open({ sendmmsg: (call) => (call === 1 || (call > 1 && full) ? EAGAIN : 0) });
    fill(world.client, [10]);
    world.client.flush();
    fill(world.client, [10, 20, 20, 30]);
    world.client.flush();
    expect(world.client.congested).toBe(true);
    expect(world.client.transmit.count).toBe(4);
    world.client.flush();
    world.poller.wait(5);
    world.poller.receive();
    expect(world.onDrain).not.toHaveBeenCalled();
    full = false;
    world.poller.wait(5);
    world.poller.receive();
    expect(world.onDrain).toHaveBeenCalledTimes(1);
    expect(world.client).toMatchObject({ congested: false, transmit: { count: 0 } });
    expect(receive(world)).toEqual(['1×10', ...expected([10, 20, 20, 30])]);
  });

  it.each([
    ['ENOSYS', ENOSYS],
    ['EPERM', EPERM],
  ])('takes the old call from the moment that the new one is forbidden (seccomp, %s)', (_, errno) => {
    const sendmsg = vi.fn(() => 0);
    const world = open({ sendmmsg: (call) => (call < 1 ? 0 : errno), sendmsg });
    for (let round = 0; round < 3; round++) {
      fill(world.client, [50, 50, 20, 70]);
      world.client.flush();
    }
    expect(receive(world)).toEqual([1, 2, 3].flatMap(() => expected([50, 50, 20, 70])));
    expect(sendmsg).toHaveBeenCalledTimes(4);
    expect(world.client.counters).toMatchObject({ sent: 12, softErrors: 0 });
  });

  it('counts what a firewall refuses, and carries on (EPERM)', () => {
    const world = open({ sendmmsg: (call) => (call < 2 ? EPERM : 0), sendmsg: EPERM });
    fill(world.client, [10, 20]);
    world.client.flush();
    expect(receive(world)).toEqual(['2×20']);
    expect(world.client.counters).toMatchObject({ sent: 1, softErrors: 1 });
    expect(world.onError).not.toHaveBeenCalled();
  });

  it('reports once that the port carries nothing any more, and again after it had recovered', () => {
    const answers = [EINVAL, EINVAL, EINVAL, EINVAL, 0, EINVAL, EINVAL];
    const world = open({ sendmmsg: (call) => answers[call] ?? 0 });
    const flush = (): void => {
      fill(world.client, [10]);
      world.client.flush();
    };
    flush();
    flush();
    expect(world.onError).toHaveBeenCalledTimes(1);
    expect(world.onError.mock.calls[0]![0]).toMatchObject({ code: 'EINVAL', syscall: 'send' });
    flush();
    flush();
    expect(world.onError).toHaveBeenCalledTimes(2);
  });
});
