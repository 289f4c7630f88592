/** The daemon's log: pino, one JSON object per line or lines for people, with every secret taken out of the finished line. */

import { type Logger, pino } from 'pino';
import { prettyLine } from './log-pretty.ts';
import type { LogFormat, LogLevel } from './log-words.ts';
import type { Redactor } from './redaction.ts';

export type { Logger } from 'pino';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Colours, for `pretty`. */
  readonly colour: boolean;
  readonly redactor: Redactor;
}

/** `write` gets whole lines. */
export function createLog(write: (line: string) => void, { level, format, colour, redactor }: LogOptions): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      errorKey: 'error',
    },
    {
      write(line) {
        const clean = redactor.clean(line);
        write(format === 'json' ? clean : prettyLine(clean, colour));
      },
    },
  );
}
