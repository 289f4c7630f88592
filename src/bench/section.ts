/** What is measured: sections of cases, whose figures can be compared within a group. */

import type { Row } from './measure.ts';

/** Figures of one run of one case, by their name with the unit: `ns/packet`, `Mbit/s`. All finite. */
export type Metrics = Readonly<Record<string, number>>;

export interface Case {
  /** Cases of one group do the same work. */
  readonly group: string;
  readonly name: string;
  /** The case of its group that the others are compared with. */
  readonly baseline?: boolean;
  run(): Metrics | Promise<Metrics>;
}

export interface Opened {
  readonly cases: readonly Case[];
  /** What belongs here but cannot be measured on this machine: no figure and no ratio to it is shown. */
  readonly notShown?: readonly NotShown[];
  /** A sentence that follows from all rows. */
  summary?(rows: readonly Row[]): string;
  close?(): Promise<void>;
}

export interface NotShown {
  readonly name: string;
  readonly why: string;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What is counted, and how. */
  readonly note: string;
  /** Where each case takes so long that more would not be reasonable. */
  readonly mostRounds?: number;
  /** Why this section cannot run here; `undefined` if it can. */
  missing?(): string | undefined | Promise<string | undefined>;
  open(context: SectionContext): Promise<Opened>;
}

/** How long each run is: `smoke`, only whether it works; `quick`, for a first look; `full`, for figures to keep. */
export type Effort = 'smoke' | 'quick' | 'full';

export interface SectionContext {
  readonly effort: Effort;
  /** For a sentence about how it goes. */
  note(text: string): void;
}
