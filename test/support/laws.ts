/**
 * The four laws of every machine in the core (DESIGN, "The machine contract"), as one driver: progress, quiet, deterministic,
 * total. A machine's test makes a `Subject` around it and calls `checkLaws`.
 */

import { expect } from 'vitest';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import { SeededRandom } from './seeded-random.ts';

export interface Subject {
  handleTimeout(now: Instant): void;
  nextTimeout(): Instant | undefined;
  nextOutput(): unknown;
  /** Hands in arbitrary bytes, as the network would. */
  handleBytes(bytes: Uint8Array, now: Instant): void;
  /** Optional: does something the owner may do at any time (sends, connects, changes). Chosen by `choice`. */
  act?(choice: number, now: Instant): void;
}

export interface LawOptions {
  /** A fresh machine; equal seeds make equal machines. */
  readonly create: (seed: number) => Subject;
  readonly seeds?: number;
  readonly steps?: number;
  /** Bytes near valid ones reach deeper than noise: some of what is handed in is one of these, with a bit flipped now and then. */
  readonly samples?: readonly Uint8Array[];
}

/** Runs random histories and throws where a law is broken. */
export function checkLaws({ create, seeds = 10, steps = 300, samples = [] }: LawOptions): void {
  for (let seed = 1; seed <= seeds; seed++) {
    const first = history(create(seed), seed, steps, samples);
    const second = history(create(seed), seed, steps, samples);
    expect(second, `deterministic: seed ${seed} gave two histories`).toEqual(first);
  }
}

/** Every output of one history, in order and as text. */
function history(subject: Subject, seed: number, steps: number, samples: readonly Uint8Array[]): string[] {
  const random = new SeededRandom(seed);
  const outputs: string[] = [];
  let now = instant(1_000);
  drain(subject, outputs);
  for (let step = 0; step < steps; step++) {
    const choice = random.below(4);
    if (choice === 0) subject.handleBytes(someBytes(random, samples), now);
    else if (choice === 1) subject.act?.(random.u32(), now);
    else if (choice === 2) now = instant(now + random.below(2_000));
    else {
      const due = subject.nextTimeout();
      if (due === undefined) continue;
      if (due > now) now = due;
      subject.handleTimeout(now);
      const next = subject.nextTimeout();
      if (next !== undefined && next <= now) throw new Error(`progress: timer at ${next} still due after ${now}`);
    }
    drain(subject, outputs);
  }
  return outputs;
}

function drain(subject: Subject, outputs: string[]): void {
  for (let output = subject.nextOutput(), count = 0; output !== undefined; output = subject.nextOutput()) {
    outputs.push(describe(output));
    if (++count > 100_000) throw new Error('quiet: outputs do not end');
  }
  if (subject.nextOutput() !== undefined) throw new Error('quiet: an output came after the last');
}

function describe(output: unknown): string {
  return JSON.stringify(output, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value instanceof Map ? [...value.keys()] : value,
  );
}

function someBytes(random: SeededRandom, samples: readonly Uint8Array[]): Uint8Array {
  const sample = samples[random.below(2 * samples.length || 1)];
  if (!sample) return random.bytes(random.below(200));
  const bytes = Uint8Array.from(sample);
  if (random.chance(0.7)) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return random.chance(0.2) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}
