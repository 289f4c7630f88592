/**
 * Where progress goes: a bar that is redrawn on a terminal, a line every few seconds elsewhere, or one JSON object per line for
 * scripts. Whatever else is printed meanwhile goes through `note`, so that it does not land in the bar.
 */

import type { Io, Screen } from '../io.ts';
import { etaSeconds, type Progress, progressBar, progressLine } from './bar.ts';

export interface Reporter {
  /** A sentence for people, on standard error. */
  note(text: string): void;
  /** What the command was for, for people, on standard output. */
  result(text: string): void;
  /** What a person should look at, and a script may log. */
  warn(text: string): void;
  /** A fact for scripts; printed with `--json` only. */
  event(name: string, facts: Readonly<Record<string, unknown>>): void;
  /** Where the download stands now; called often, shown as often as it is useful. */
  progress(progress: Progress): void;
  /** Shows the last progress whatever the interval, and leaves the line. */
  settle(): void;
}

const PLAIN_INTERVAL_MS = 5_000;
const JSON_INTERVAL_MS = 1_000;

/** The reporter that fits the streams. `now` is a clock in milliseconds. */
export function createReporter(
  io: Io,
  { json, now }: { readonly json: boolean; readonly now: () => number },
): Reporter {
  if (json) return new JsonReporter(io.out, now);
  if (io.err.isTTY && io.env['TERM'] !== 'dumb') return new BarReporter(io, speaksUnicode(io.env));
  return new LineReporter(io, now);
}

class BarReporter implements Reporter {
  readonly #out: Screen;
  readonly #screen: Screen;
  readonly #unicode: boolean;
  #shown = '';

  constructor({ out, err }: Io, unicode: boolean) {
    this.#out = out;
    this.#screen = err;
    this.#unicode = unicode;
  }

  note(text: string): void {
    this.#screen.write(`${this.#shown === '' ? '' : CLEAR_LINE}${text}\n${this.#shown}`);
  }

  result(text: string): void {
    this.settle();
    this.#out.write(`${text}\n`);
  }

  warn(text: string): void {
    this.note(`warning: ${text}`);
  }

  event(): void {}

  progress(progress: Progress): void {
    const line = progressBar(progress, { columns: this.#screen.columns, unicode: this.#unicode });
    if (line !== this.#shown) this.#screen.write(`${CLEAR_LINE}${line}`);
    this.#shown = line;
  }

  settle(): void {
    if (this.#shown !== '') this.#screen.write('\n');
    this.#shown = '';
  }
}

export const CLEAR_LINE: string = '\r\u001b[K';

class LineReporter implements Reporter {
  readonly #out: Screen;
  readonly #screen: Screen;
  readonly #pace: Pace;

  constructor({ out, err }: Io, now: () => number) {
    this.#out = out;
    this.#screen = err;
    this.#pace = new Pace(PLAIN_INTERVAL_MS, now);
  }

  note(text: string): void {
    this.#screen.write(`${text}\n`);
  }

  result(text: string): void {
    this.settle();
    this.#out.write(`${text}\n`);
  }

  warn(text: string): void {
    this.note(`warning: ${text}`);
  }

  event(): void {}

  progress(progress: Progress): void {
    if (this.#pace.take(progress)) this.#screen.write(`${progressLine(progress)}\n`);
  }

  settle(): void {
    const last = this.#pace.leftOver();
    if (last) this.#screen.write(`${progressLine(last)}\n`);
  }
}

class JsonReporter implements Reporter {
  readonly #screen: Screen;
  readonly #pace: Pace;

  constructor(screen: Screen, now: () => number) {
    this.#screen = screen;
    this.#pace = new Pace(JSON_INTERVAL_MS, now);
  }

  note(): void {}

  result(): void {}

  warn(text: string): void {
    this.event('warning', { message: text });
  }

  event(name: string, facts: Readonly<Record<string, unknown>>): void {
    this.#screen.write(`${JSON.stringify({ event: name, ...facts })}\n`);
  }

  progress(progress: Progress): void {
    if (this.#pace.take(progress)) this.event('progress', { ...progress, etaSeconds: etaSeconds(progress) });
  }

  settle(): void {
    const last = this.#pace.leftOver();
    if (last) this.event('progress', { ...last, etaSeconds: etaSeconds(last) });
  }
}

/** Lets one value through per interval, and keeps the latest that it held back. */
class Pace {
  readonly #intervalMs: number;
  readonly #now: () => number;
  #lastAt = Number.NEGATIVE_INFINITY;
  #held: Progress | undefined;

  constructor(intervalMs: number, now: () => number) {
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  take(progress: Progress): boolean {
    const due = this.#now() - this.#lastAt >= this.#intervalMs;
    if (due) this.#lastAt = this.#now();
    this.#held = due ? undefined : progress;
    return due;
  }

  leftOver(): Progress | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }
}

/** The locale says so; an unset locale on Windows or macOS means UTF-8 these days. */
export function speaksUnicode(env: Io['env']): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return locale === '' ? process.platform !== 'linux' : /utf-?8/i.test(locale);
}
