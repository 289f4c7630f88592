import { expect, it } from 'vitest';
import { ReplayWindow } from '../../src/core/wireguard/replay-window.ts';
import { describeVectors } from '../support/vectors.ts';

interface ReplayVectors {
  readonly sequence: readonly { readonly n: string; readonly ok: boolean }[];
  readonly bulk: readonly {
    readonly ranges: readonly { readonly from: string; readonly to: string; readonly ok: boolean }[];
    readonly then: readonly (readonly [string, boolean])[];
  }[];
}

describeVectors<ReplayVectors>('replay vectors of wireguard-go', 'replay_window.json', ({ sequence, bulk }) => {
  it('H2: answers the published sequence (RFC 6479)', () => {
    const window = new ReplayWindow();
    expect(sequence.map(({ n }) => accept(window, n))).toEqual(sequence.map(({ ok }) => ok));
  });

  it.each(bulk.map((run, i) => [i, run] as const))('H2: answers published bulk run %i (RFC 6479)', (_, run) => {
    const window = new ReplayWindow();
    for (const { from, to, ok } of run.ranges) {
      const step = BigInt(from) <= BigInt(to) ? 1n : -1n;
      for (let n = BigInt(from); ; n += step) {
        if (accept(window, n) !== ok) throw new Error(`counter ${n} was ${ok ? 'refused' : 'accepted'}`);
        if (n === BigInt(to)) break;
      }
    }
    expect(run.then.map(([n]) => accept(window, n))).toEqual(run.then.map(([, ok]) => ok));
  });
});

const accept = (window: ReplayWindow, counter: string | bigint): boolean => {
  const value = BigInt(counter);
  return window.accept(Number(value & 0xffff_ffffn), Number(value >> 32n));
};
