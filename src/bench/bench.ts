/** The sections that need nothing but this host and the library. */

import { aead } from './aead.ts';
import { core } from './core.ts';
import { loopback } from './loopback.ts';
import { describeMachine } from './machine.ts';
import { type MeasureOptions, measure, type SectionResult } from './measure.ts';
import type { Report } from './report.ts';
import type { Section } from './section.ts';

const SECTIONS: Readonly<Record<'aead' | 'core' | 'loopback', Section>> = { aead, core, loopback };

/** Runs these sections one after the other. Throws what `signal` was aborted with. */
export async function runBench(names: readonly (keyof typeof SECTIONS)[], options: MeasureOptions): Promise<Report> {
  const machine = describeMachine();
  const results: SectionResult[] = [];
  for (const name of names) results.push(await measure(SECTIONS[name], options));
  const { rounds, effort } = options;
  return { schema: 1, machine, rounds, effort, results };
}
