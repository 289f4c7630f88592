import { describe, expect, it } from 'vitest';
import { ReplayWindow } from '../../../src/core/wireguard/replay-window.ts';
import { deep } from '../../support/deep.ts';
import { fromReference, Rig } from '../../support/reference-rig.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const accept = (window: ReplayWindow, counter: bigint): boolean =>
  window.accept(Number(counter & 0xffff_ffffn), Number(counter >> 32n));

const LIMIT = 2n ** 64n - 2n ** 13n - 1n;

describe('the replay window', () => {
  it.each([0n, 1_000_000n, 2n ** 32n - 1n, 2n ** 32n + 5n, 2n ** 53n, LIMIT - 1n - 8_200n])(
    'H2: takes a counter 8128 behind the greatest and none 8129 behind, above %i (RFC 6479)',
    (base) => {
      const window = new ReplayWindow();
      expect(accept(window, base + 8_129n)).toBe(true);
      expect(accept(window, base)).toBe(false);
      expect(accept(window, base + 1n)).toBe(true);
      expect(accept(window, base + 1n)).toBe(false);
    },
  );

  it('H2: takes each counter once, in any order within the window (RFC 6479)', () => {
    const window = new ReplayWindow();
    const random = new SeededRandom(4);
    const counters = Array.from({ length: 8_128 }, (_, i) => BigInt(i));
    for (let i = counters.length - 1; i > 0; i--) {
      const other = random.below(i + 1);
      [counters[i], counters[other]] = [counters[other]!, counters[i]!];
    }
    for (const counter of counters) expect(accept(window, counter)).toBe(true);
    for (const counter of counters) expect(accept(window, counter)).toBe(false);
  });

  it('H2: answers as a set of numbers does, over random jumps and near every power that matters (RFC 6479)', () => {
    const operations = deep(100_000, 1_000_000);
    const random = new SeededRandom(6);
    for (const start of [0n, 2n ** 31n, 2n ** 32n - 5_000n, 2n ** 53n - 5_000n, LIMIT - 200_000n]) {
      const window = new ReplayWindow();
      const taken = new Set<bigint>();
      let greatest = start;
      accept(window, start);
      taken.add(start);
      for (let i = 0; i < operations / 5; i++) {
        const jump = random.chance(0.001) ? random.below(20_000) : random.below(30);
        const back = random.chance(0.05) ? random.below(9_000) : random.below(300);
        const counter = greatest + BigInt(jump) - BigInt(back);
        if (counter < 0n || counter >= 2n ** 64n) continue;
        const expected = counter < LIMIT && counter + 8_128n >= greatest && !taken.has(counter);
        if (accept(window, counter) !== expected)
          throw new Error(`counter ${counter}, greatest ${greatest}: expected ${expected}`);
        if (!expected) continue;
        taken.add(counter);
        if (counter > greatest) greatest = counter;
        if (taken.size > 50_000) for (const old of taken) if (old + 8_128n < greatest) taken.delete(old);
      }
    }
  });

  it('H3: a forged packet does not use up its counter (W§5.4.6)', () => {
    const rig = new Rig();
    const session = rig.connect();
    const genuine = session.seal(5n, fromReference('x'));
    const forged = Uint8Array.from(genuine);
    forged[forged.length - 1]! ^= 1;
    const far = session.seal(100_000n);
    far[20]! ^= 1;
    rig.feed(forged);
    rig.feed(far);
    expect(rig.dropped('bad-tag')).toBe(2);
    rig.feed(genuine);
    expect(rig.end.inbox).toHaveLength(1);
    rig.feed(genuine);
    expect(rig.dropped('replayed')).toBe(1);
    expect(rig.end.inbox).toHaveLength(1);
  });
});
