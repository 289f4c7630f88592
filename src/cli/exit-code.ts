/** How the process ends: the codes that scripts rely on. */

import type { ErrorCode } from '../core/base/errors.ts';

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  badConfiguration: 3,
  tunnelDown: 4,
  leak: 5,
  notReachable: 6,
  /** Ctrl-C before the work was done: 128 + SIGINT, as shells have it. */
  interrupted: 130,
  /** SIGTERM before the work was done: 128 + SIGTERM. */
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each code says, for the documents and `--help`. */
export const EXIT_MEANING: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'failed',
  2: 'wrong usage',
  3: 'bad configuration',
  4: 'the tunnel did not come up',
  5: 'leak found',
  6: 'not reachable (no daemon)',
  130: 'stopped by Ctrl-C before the work was done',
  143: 'stopped by SIGTERM before the work was done',
};

const TUNNEL_DOWN: ReadonlySet<ErrorCode> = new Set([
  'ERR_ENDPOINT_LOOKUP',
  'ERR_UDP_PORT',
  'ERR_HANDSHAKE_TIMEOUT',
  'ERR_CLOCK',
]);

/** The exit code for an error from the registry. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  if (code === 'ERR_NO_DAEMON') return EXIT.notReachable;
  if (code.startsWith('ERR_CONFIG_')) return EXIT.badConfiguration;
  return TUNNEL_DOWN.has(code) ? EXIT.tunnelDown : EXIT.failed;
}

/** The exit code for a command that was stopped before its work was done. */
export function stoppedBy(stop: AbortSignal): ExitCode {
  if (stop.reason === 'SIGPIPE') return EXIT.done;
  return stop.reason === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted;
}
