/** What happens when something fails that nobody foresaw: a line in the log, and the end of the process, which closes everything. */

import type { Logger } from './log.ts';

/** The part of `process` that this needs. */
export interface CrashingProcess {
  prependListener(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown;
  exit(code: number): void;
}

/**
 * Fails closed: with the process, the only socket goes. Exit code 1, so that a supervisor starts it again; what must survive is in the
 * state folder.
 */
export function endOnCrash(target: CrashingProcess, log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    target.prependListener(event, (error) => {
      log.fatal({ error }, 'Something failed that was not foreseen; nothing flows any more. Please report it.');
      target.exit(1);
    });
}
