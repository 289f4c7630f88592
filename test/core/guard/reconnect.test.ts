/** The schedule of attempts: without end, soon after the server is back, patient only without a route (F22, G1). */
import { beforeEach, describe, expect, it } from 'vitest';
import { formatIp, ip } from '../../../src/core/base/address.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { KeySharing } from '../../../src/core/guard/key-sharing.ts';
import { LAST_NO_ROUTE_MS, Reconnect } from '../../../src/core/guard/reconnect.ts';
import { checkLaws } from '../../support/laws.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const A = ip('198.51.100.2');
const AAAA = ip('2001:db8::2');
let now: Instant;
let reconnect: Reconnect;

beforeEach(() => {
  now = instant(0);
  reconnect = new Reconnect({ random: new SeededRandom(1), configurations: 1 });
});

interface Seen {
  readonly at: number;
  readonly what: string;
}

/** The world for `seconds`: every lookup gives `addresses` (or fails), every try meets silence, or no route for `routeless`. */
function live(
  seconds: number,
  addresses: (configuration: number) => readonly (typeof A)[],
  routeless: readonly (4 | 6)[] = [],
): Seen[] {
  const seen: Seen[] = [];
  const end = instant(now + seconds * 1_000);
  const settle = (): void => {
    for (let output = reconnect.nextOutput(); output; output = reconnect.nextOutput()) {
      if (output.kind === 'resolve') reconnect.handleAddresses(addresses(output.configuration), now);
      else if (output.kind === 'check') seen.push({ at: now, what: `check ${output.configuration}` });
      else {
        seen.push({ at: now, what: `${output.configuration} ${formatIp(output.address)}` });
        if (routeless.includes(output.address.family)) reconnect.handleNoRoute(output.address.family, now);
      }
    }
  };
  settle();
  for (let due = reconnect.nextTimeout(); due !== undefined && due <= end; due = reconnect.nextTimeout()) {
    now = due;
    reconnect.handleTimeout(now);
    settle();
  }
  now = end;
  return seen;
}

const gaps = (seen: readonly Seen[]): number[] => seen.slice(1).map(({ at }, i) => at - seen[i]!.at);
const only = (): readonly (typeof A)[] => [A];

describe('a silent server', () => {
  it('is tried at once, then every 5 s growing to 15 s, for days', () => {
    reconnect.start(now);
    const seen = live(3 * 86_400, only);
    expect(seen[0]).toEqual({ at: 0, what: '0 198.51.100.2' });
    const [first, second, third, ...rest] = gaps(seen);
    expect(first).toBeGreaterThanOrEqual(5_000);
    expect(first).toBeLessThanOrEqual(5_500);
    expect(second).toBeLessThanOrEqual(7_500);
    expect(third).toBeLessThanOrEqual(11_250);
    expect(rest.length).toBeGreaterThan(17_000);
    for (const gap of rest) {
      expect(gap).toBeGreaterThanOrEqual(10_000);
      expect(gap).toBeLessThanOrEqual(15_000);
    }
  });

  it('has jitter: two clients do not stay in step', () => {
    reconnect.start(now);
    const one = gaps(live(600, only));
    now = instant(0);
    reconnect = new Reconnect({ random: new SeededRandom(2), configurations: 1 });
    reconnect.start(now);
    expect(gaps(live(600, only))).not.toEqual(one);
  });

  it('has its name looked up anew for every round, and IPv4 and IPv6 tried in turn', () => {
    let lookups = 0;
    reconnect.start(now);
    const seen = live(60, () => {
      lookups++;
      return [A, AAAA];
    });
    expect(lookups).toBeGreaterThanOrEqual(3);
    expect(seen.slice(0, 4).map(({ what }) => what)).toEqual([
      '0 198.51.100.2',
      '0 2001:db8::2',
      '0 198.51.100.2',
      '0 2001:db8::2',
    ]);
    for (const gap of gaps(seen)) expect(gap).toBeGreaterThanOrEqual(5_000);
  });

  it('keeps an answer that comes after it was stopped, for when the name cannot be looked up', () => {
    reconnect.start(now);
    reconnect.stop();
    reconnect.handleAddresses([A], now);
    expect(reconnect.nextOutput()).toBeUndefined();
    reconnect.start(now);
    reconnect.handleLookupFailed(now);
    reconnect.nextOutput();
    expect(reconnect.nextOutput()).toEqual({ kind: 'try', configuration: 0, address: A });
  });

  it('with two addresses still has each tried within 16 s', () => {
    reconnect.start(now);
    const seen = live(3_600, () => [A, AAAA]);
    for (const address of ['0 198.51.100.2', '0 2001:db8::2'])
      for (const gap of gaps(seen.filter(({ what }) => what === address))) expect(gap).toBeLessThanOrEqual(16_000);
  });

  it('is tried at its latest addresses while its name cannot be looked up, also if the lookup hangs', () => {
    reconnect.start(now);
    live(10, only);
    expect(live(60, () => []).length).toBeGreaterThan(3);
    while (reconnect.nextOutput()?.kind !== 'resolve') {
      now = reconnect.nextTimeout()!;
      reconnect.handleTimeout(now);
    }
    reconnect.handleTimeout((now = reconnect.nextTimeout()!));
    expect(reconnect.nextOutput()).toMatchObject({ kind: 'try' });
  });

  it('whose name was never found is looked up again and again', () => {
    let lookups = 0;
    reconnect.start(now);
    live(600, () => {
      lookups++;
      return [];
    });
    expect(lookups).toBeGreaterThan(35);
  });

  it('is left alone when it has answered, and tried at once when it is silent again', () => {
    reconnect.start(now);
    live(100, only);
    reconnect.handleConnected(now);
    expect(live(3_600, only)).toEqual([]);
    reconnect.start(now);
    expect(gaps(live(10, only))[0]).toBeLessThanOrEqual(5_500);
  });
});

describe('a host without a route', () => {
  it('waits longer and longer, up to five minutes, and goes on without end', () => {
    reconnect.start(now);
    const seen = gaps(live(86_400, only, [4]));
    expect(seen[0]).toBeLessThanOrEqual(15_000);
    expect(seen[1]).toBeGreaterThan(20_000);
    expect(Math.max(...seen)).toBeLessThanOrEqual(LAST_NO_ROUTE_MS);
    expect(seen.at(-1)).toBeGreaterThan(LAST_NO_ROUTE_MS * 0.89);
    expect(reconnect.withoutRoute).toBe(true);
  });

  it('tries at once when the network changes or the host wakes', () => {
    reconnect.start(now);
    live(3_600, only, [4]);
    reconnect.handleNetworkChange(now);
    expect(live(0, only)).toEqual([{ at: now, what: '0 198.51.100.2' }]);
    expect(reconnect.withoutRoute).toBe(false);
  });

  it('of one family tries the other without delay, and skips that family', () => {
    reconnect.start(now);
    const seen = live(30, () => [AAAA, A], [6]);
    expect(seen.slice(0, 3).map(({ what }) => what)).toEqual(['0 2001:db8::2', '0 198.51.100.2', '0 198.51.100.2']);
    expect(seen[1]!.at).toBe(0);
    expect(reconnect.withoutRoute).toBe(false);
  });

  it('of every family of the name waits for a route', () => {
    reconnect.start(now);
    live(1, () => [A, AAAA], [4, 6]);
    expect(reconnect.withoutRoute).toBe(true);
  });
});

describe('fallback configurations', () => {
  beforeEach(() => {
    reconnect = new Reconnect({ random: new SeededRandom(1), configurations: 3 });
    reconnect.start(now);
  });

  it('come in order after three rounds in vain each, and then the first again', () => {
    const order = live(300, only).map(({ what }) => what[0]);
    expect(order.slice(0, 12).join('')).toBe('000111222000');
  });

  it('are left for the first one when that is well, which is checked every five minutes', () => {
    live(31, only);
    expect(reconnect.configuration).toBe(1);
    reconnect.handleConnected(now);
    expect(gaps(live(1_000, only))).toEqual([300_000, 300_000]);
    reconnect.handleCheck(false, now);
    expect(live(0, only)).toEqual([]);
    reconnect.handleCheck(true, now);
    expect(live(0, only)).toEqual([{ at: now, what: '0 198.51.100.2' }]);
    reconnect.handleConnected(now);
    expect(reconnect.nextTimeout()).toBeUndefined();
  });

  it('are at least one', () => {
    expect(() => new Reconnect({ random: new SeededRandom(1), configurations: 0 })).toThrow(RangeError);
  });
});

describe('Reconnect', () => {
  it('does nothing before it is started, nor after it is stopped', () => {
    expect(live(100, only)).toEqual([]);
    reconnect.start(now);
    reconnect.stop();
    expect(live(100, only)).toEqual([]);
  });

  it('keeps the laws of a machine', () => {
    checkLaws({
      create: (seed) => {
        const machine = new Reconnect({ random: new SeededRandom(seed), configurations: 2 });
        const acts: readonly ((now: Instant) => void)[] = [
          (at) => machine.start(at),
          (at) => machine.handleAddresses([A, AAAA], at),
          (at) => machine.handleLookupFailed(at),
          (at) => machine.handleNoRoute(4, at),
          (at) => machine.handleNoRoute(6, at),
          (at) => machine.handleConnected(at),
          (at) => machine.handleCheck(true, at),
          (at) => machine.handleNetworkChange(at),
        ];
        return {
          handleTimeout: (at) => machine.handleTimeout(at),
          nextTimeout: () => machine.nextTimeout(),
          nextOutput: () => machine.nextOutput(),
          handleBytes: () => {},
          act: (choice, at) => acts[choice % acts.length]!(at),
        };
      },
      seeds: 50,
    });
  });
});

describe('KeySharing', () => {
  const handshakes = (sharing: KeySharing, ...gapsInSeconds: number[]): boolean => {
    for (const gap of gapsInSeconds) sharing.handleHandshake((now = instant(now + gap * 1_000)));
    return sharing.suspected;
  };

  it('recognises two holders of one key by sessions that live for seconds, four times in a row', () => {
    const sharing = new KeySharing();
    expect(handshakes(sharing, 0, 16, 17, 20)).toBe(false);
    expect(handshakes(sharing, 15)).toBe(true);
  });

  it('does not suspect a healthy tunnel, nor one that breaks now and then', () => {
    expect(handshakes(new KeySharing(), 0, 120, 120, 145, 120)).toBe(false);
    expect(handshakes(new KeySharing(), 0, 20, 20, 20, 120, 20, 20, 20, 120)).toBe(false);
  });

  it('takes it back when a session lives its time', () => {
    const sharing = new KeySharing();
    expect(handshakes(sharing, 0, 16, 16, 16, 16)).toBe(true);
    expect(handshakes(sharing, 120)).toBe(false);
  });

  it('does not count handshakes that a change of network or server asked for', () => {
    const sharing = new KeySharing();
    for (let i = 0; i < 20; i++) {
      sharing.handleDisturbance();
      handshakes(sharing, 5);
    }
    expect(sharing.suspected).toBe(false);
  });
});
