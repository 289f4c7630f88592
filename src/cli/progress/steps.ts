/** Progress of work that consists of steps: a bar that is redrawn on a terminal, a line for each step elsewhere. */

import type { Io, Screen } from '../io.ts';
import { bar } from './bar.ts';
import { CLEAR_LINE, speaksUnicode } from './reporter.ts';

export interface Step {
  readonly section: string;
  readonly done: number;
  readonly total: number;
  /** What came of it. */
  readonly what: string;
}

export interface StepReporter {
  onStep(step: Step): void;
  /** A sentence between the steps. */
  note(text: string): void;
  /** Takes the bar away. */
  settle(): void;
}

const BAR_COLUMNS = 16;

/** On standard error; with `quiet` nothing is shown. */
export function createStepReporter(
  io: Pick<Io, 'err' | 'env'>,
  { quiet = false }: { readonly quiet?: boolean } = {},
): StepReporter {
  if (quiet) return { onStep() {}, note() {}, settle() {} };
  if (io.err.isTTY && io.env['TERM'] !== 'dumb') return new StepBar(io.err, speaksUnicode(io.env));
  return {
    onStep: ({ section, done, total, what }) => io.err.write(`${section} ${done}/${total}: ${what}\n`),
    note: (text) => io.err.write(`${text}\n`),
    settle() {},
  };
}

class StepBar implements StepReporter {
  readonly #screen: Screen;
  readonly #unicode: boolean;
  #shown = '';

  constructor(screen: Screen, unicode: boolean) {
    this.#screen = screen;
    this.#unicode = unicode;
  }

  onStep({ section, done, total, what }: Step): void {
    const line = `[${bar(done / total, BAR_COLUMNS, this.#unicode)}] ${section} ${done}/${total}  ${what}`;
    this.#shown = line.slice(0, this.#screen.columns - 1);
    this.#screen.write(`${CLEAR_LINE}${this.#shown}`);
  }

  note(text: string): void {
    this.#screen.write(`${this.#shown === '' ? '' : CLEAR_LINE}${text}\n${this.#shown}`);
  }

  settle(): void {
    if (this.#shown !== '') this.#screen.write(CLEAR_LINE);
    this.#shown = '';
  }
}
