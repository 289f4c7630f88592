/** Torrent clients that do what they are told a moment later, in order, and sometimes fail. */

import type { ProviderWorld } from '../../support/provider-world.ts';

const DELAY_MS = 20;

export class FakeClients {
  /** What they really do. */
  readonly running: Map<string, boolean> = new Map();
  /** Every other command fails. */
  fails = false;
  readonly #world: ProviderWorld;
  /** By transfer: commands on their way, ours and a person's. */
  readonly #underWay: Map<string, number> = new Map();

  constructor(world: ProviderWorld) {
    this.#world = world;
  }

  /** Whether it has been told all that it will be. */
  isIdle(id: string): boolean {
    return !this.#underWay.has(id);
  }

  some(): string | undefined {
    const ids = [...this.running.keys()];
    return ids[this.#world.random.below(ids.length)];
  }

  /** Tells one what to do; `answer` comes when it has done it, or not. A transfer that is gone has no answer. */
  command(id: string, wish: 'pause' | 'resume', answer: (succeeded: boolean) => void, arrives: () => boolean): void {
    this.#later(id, () => {
      if (!this.running.has(id) || !arrives()) return;
      const succeeded = !(this.fails && this.#world.random.chance(0.5));
      if (succeeded) this.running.set(id, wish === 'resume');
      answer(succeeded);
    });
  }

  /** A person's word: it does not fail. `done` follows. */
  person(id: string, wish: 'pause' | 'resume', done: () => void): void {
    this.#later(id, () => {
      if (!this.running.has(id)) return;
      this.running.set(id, wish === 'resume');
      done();
    });
  }

  #later(id: string, act: () => void): void {
    this.#underWay.set(id, (this.#underWay.get(id) ?? 0) + 1);
    this.#world.plan(DELAY_MS, () => {
      const left = this.#underWay.get(id)! - 1;
      if (left === 0) this.#underWay.delete(id);
      else this.#underWay.set(id, left);
      act();
    });
  }
}
