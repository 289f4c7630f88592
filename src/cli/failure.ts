/** Errors as a person or a script gets them: what happened, why, what to do next. No key, and no stack unless asked for. */

import { SluiceError } from '../core/base/errors.ts';
import { withoutKeys } from '../core/tunnel/config/fault.ts';
import { UsageError } from './command.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-code.ts';
import type { Io } from './io.ts';

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly why: string | undefined;
  readonly hint: string;
  readonly exitCode: ExitCode;
}

/** Prints the error, as one line of JSON on standard output with `json`, else on standard error; returns how to exit. */
export function reportFailure(error: unknown, io: Io, { json }: { readonly json: boolean }): ExitCode {
  const { code, message, why, hint, exitCode } = failureOf(error);
  if (json) io.out.write(`${JSON.stringify({ error: { code, message, ...(why ? { why } : {}), hint } })}\n`);
  else {
    io.err.write(`error: ${message}\n`);
    if (why) io.err.write(`  why:  ${why}\n`);
    io.err.write(`  next: ${hint}\n  code: ${code}\n`);
  }
  if (io.env['SLUICE_DEBUG'] === '1' && error instanceof Error) io.err.write(`${withoutKeys(stackOf(error))}\n`);
  return exitCode;
}

function failureOf(error: unknown): Failure {
  const message = withoutKeys(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError)
    return { code: 'ERR_USAGE', message, why: undefined, hint: error.hint, exitCode: EXIT.usage };
  if (error instanceof SluiceError)
    return { code: error.code, message, why: whyOf(error), hint: error.hint, exitCode: exitCodeOf(error.code) };
  return {
    code: 'ERR_UNEXPECTED',
    message: message === '' ? 'Something failed without saying what.' : message,
    why: whyOf(error),
    hint: 'This was not foreseen. Run it again with SLUICE_DEBUG=1 for details, and please report them.',
    exitCode: EXIT.failed,
  };
}

/** The message of the deepest cause: the one that knows. */
function whyOf(error: unknown): string | undefined {
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; depth < 8 && cause instanceof Error && cause.cause instanceof Error; depth++) cause = cause.cause;
  return cause instanceof Error ? withoutKeys(cause.message) : undefined;
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackOf(error.cause)}` : own;
}
