/** Tells the command line where the daemon of a state folder listens: one small file, there while the daemon runs. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatListen, type ListenAddress, parseListen } from '../api/listen.ts';
import { writePrivateFile } from './state-dir.ts';

const NAME = 'api-address';

/** Throws `ERR_STATE_DIR`. */
export function writeAddress(stateDir: string, address: ListenAddress): void {
  writePrivateFile(stateDir, NAME, `${formatListen(address)}\n`);
}

/** `undefined` if no daemon has written any; one that was killed leaves its own behind. */
export async function readAddress(stateDir: string): Promise<ListenAddress | undefined> {
  const text = await readFile(join(stateDir, NAME), 'utf8').catch(() => '');
  return parseListen(text.trim());
}

/** Removes it, unless another daemon has written its own meanwhile. */
export async function removeAddress(stateDir: string, address: ListenAddress): Promise<void> {
  const present = await readAddress(stateDir);
  if (present && formatListen(present) === formatListen(address))
    await rm(join(stateDir, NAME), { force: true }).catch(() => {});
}
