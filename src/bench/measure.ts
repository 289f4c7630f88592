/** Runs a section: its cases in turn, round after round, so that whatever else the machine does hits all of them alike. */

import type { Case, Effort, Metrics, NotShown, Section } from './section.ts';
import { pairedRatio, type Spread, spreadOf } from './statistics.ts';

export interface MeasureOptions {
  readonly rounds: number;
  readonly effort: Effort;
  /** Between two runs, a measurement stops here. */
  readonly signal?: AbortSignal;
  onStep(step: Step): void;
  note(text: string): void;
}

/** One run of one case is done. */
export interface Step {
  readonly section: string;
  readonly done: number;
  readonly total: number;
  readonly what: string;
}

export interface SectionResult {
  readonly name: string;
  readonly title: string;
  readonly note: string;
  /** Why there are no rows. */
  readonly skipped?: string;
  readonly rows: readonly Row[];
  readonly notShown: readonly NotShown[];
  readonly summary?: string;
}

/** One figure of one case. */
export interface Row extends Spread {
  readonly group: string;
  readonly name: string;
  readonly metric: string;
  readonly baseline: boolean;
  /** By round; `null` where the run failed. */
  readonly samples: readonly (number | null)[];
  /** To the baseline of the group, paired by round. */
  readonly ratio?: Spread;
}

const ROUNDS_TO_TRY = 2;

export async function measure(section: Section, options: MeasureOptions): Promise<SectionResult> {
  const { name, title, note } = section;
  const missing = await section.missing?.();
  if (missing !== undefined) return { name, title, note, skipped: missing, rows: [], notShown: [] };
  const { cases, notShown = [], summary, close } = await section.open(options);
  try {
    const rounds = Math.min(options.rounds, section.mostRounds ?? options.rounds);
    const runs = await play(section, cases, { ...options, rounds });
    const failed = runs.filter(({ metrics }) => metrics.every((taken) => taken === undefined));
    const absent = failed.map(({ of, why }) => ({ name: `${of.group}, ${of.name}`, why: why ?? 'it gave no figure' }));
    const rows = rowsOf(runs);
    const result = { name, title, note, rows, notShown: [...notShown, ...absent] };
    return summary && rows.length > 0 ? { ...result, summary: summary(rows) } : result;
  } finally {
    await close?.();
  }
}

/** All runs of one case. */
interface Runs {
  readonly of: Case;
  readonly metrics: (Metrics | undefined)[];
  /** The last failure. */
  why?: string;
}

async function play(
  { name }: Section,
  cases: readonly Case[],
  { rounds, signal, onStep, note }: MeasureOptions,
): Promise<Runs[]> {
  const runs = cases.map((of): Runs => ({ of, metrics: [] }));
  const total = rounds * cases.length;
  for (let round = 0; round < rounds; round++) {
    for (const [index, run] of runs.entries()) {
      signal?.throwIfAborted();
      const { of } = run;
      const result = isHopeless(run) ? run.why! : await attempt(of);
      signal?.throwIfAborted();
      if (typeof result === 'string') {
        run.why = result;
        note(`${name}: ${of.group}, ${of.name} failed: ${result}`);
      }
      run.metrics.push(typeof result === 'string' ? undefined : result);
      const figures = typeof result === 'string' ? 'failed' : describe(result);
      const what = `${of.group}, ${of.name}: ${figures}`;
      onStep({ section: name, done: round * cases.length + index + 1, total, what });
    }
  }
  return runs;
}

/** It has failed in the first rounds, and would only cost its time-out again. */
function isHopeless({ metrics }: Runs): boolean {
  return metrics.length >= ROUNDS_TO_TRY && metrics.every((taken) => taken === undefined);
}

/** The figures, or in a sentence why there are none: one case that fails must not cost the others. */
async function attempt(of: Case): Promise<Metrics | string> {
  try {
    const metrics = await of.run();
    const wrong = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
    return wrong ? `${wrong[0]} is ${wrong[1]}` : metrics;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function rowsOf(runs: readonly Runs[]): Row[] {
  return runs.flatMap(({ of: { group, name, baseline = false }, metrics }) => {
    const base = runs.find(({ of }) => of.baseline && of.group === group);
    const names = Object.keys(metrics.find((taken) => taken !== undefined) ?? {});
    return names.map((metric): Row => {
      const values = metrics.map((taken) => taken?.[metric]);
      const ratio =
        base &&
        pairedRatio(
          values,
          base.metrics.map((taken) => taken?.[metric]),
        );
      return {
        group,
        name,
        metric,
        baseline,
        samples: values.map((value) => value ?? null),
        ...spreadOf(values.filter((value) => value !== undefined)),
        ...(ratio ? { ratio } : {}),
      };
    });
  });
}

function describe(metrics: Metrics): string {
  return Object.entries(metrics)
    .map(([metric, value]) => `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${metric}`)
    .join(', ');
}
