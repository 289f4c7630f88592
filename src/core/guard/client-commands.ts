/** How long a torrent client has to obey, and when it is told again. */

/** A command without an answer for so long has failed. */
export const COMMAND_TIMEOUT_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/** The pause after so many failures in a row, in milliseconds. */
export function retryDelay(failures: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
}
