/** A process for `run`: streams that remember, a signal that can be sent, an environment of its own. */

import type { ExitCode } from '../../src/cli/exit-code.ts';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/run.ts';

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
}

export interface Surroundings {
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  readonly tty?: boolean;
  readonly columns?: number;
  readonly stop?: AbortSignal;
  /** Called with everything printed so far, after each write. */
  readonly onOutput?: (out: string, err: string) => void;
}

export async function sluice(argv: readonly string[], surroundings: Surroundings = {}): Promise<Ran> {
  const { io, printed } = fakeIo(surroundings);
  const code = await run(argv, io);
  return { code, ...printed() };
}

export function fakeIo(surroundings: Surroundings = {}): { io: Io; printed(): { out: string; err: string } } {
  const { env = {}, stdin = '', tty = false, columns = 80, onOutput } = surroundings;
  const text = { out: '', err: '' };
  const screen = (name: 'out' | 'err'): Io['out'] => ({
    write(chunk) {
      text[name] += chunk;
      onOutput?.(text.out, text.err);
    },
    isTTY: tty,
    columns,
  });
  const io: Io = {
    out: screen('out'),
    err: screen('err'),
    env: { LANG: 'C.UTF-8', ...env },
    stdinIsTTY: tty,
    readStdin: async () => stdin,
    stop: surroundings.stop ?? new AbortController().signal,
  };
  return { io, printed: () => ({ ...text }) };
}
