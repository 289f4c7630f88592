/** The state folder: where it is, that it can be used, and small files in it that only their owner may read. */

import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { replaceFile, stateDirError } from '../node/state-folder.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where state lives unless told otherwise: SLUICE_TUNNEL_STATE_DIR, else the XDG state folder. */
export function stateDirOf(env: Environment): string {
  const base = env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  return env['SLUICE_TUNNEL_STATE_DIR'] || join(base, 'sluice');
}

/** Makes the folder if need be. Throws `ERR_STATE_DIR`. */
export function makeStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw stateDirError(`The state folder ${stateDir} cannot be made`, cause);
  }
}

/** Replaces a file of the state folder as a whole, readable by its owner only. Throws `ERR_STATE_DIR`. */
export function writePrivateFile(stateDir: string, name: string, text: string): void {
  try {
    replaceFile(join(stateDir, name), text);
  } catch (cause) {
    throw stateDirError(`The state folder ${stateDir} cannot be written`, cause);
  }
}
