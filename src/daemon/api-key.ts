/** The API key: made at the first start, kept in the state folder, read there by the daemon and by the command line. */

import { randomBytes } from 'node:crypto';
import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '../core/base/errors.ts';
import { stateDirError } from '../node/state-folder.ts';
import { writePrivateFile } from './state-dir.ts';

const NAME = 'api-key';
const KEY_LENGTH = 32;

export interface ApiKey {
  readonly text: string;
  readonly path: string;
  /** Others could read it until now. */
  readonly wasExposed: boolean;
}

/** The key of this state folder, made if there is none. Throws `ERR_STATE_DIR` or `ERR_API_KEY`. */
export async function openApiKey(stateDir: string): Promise<ApiKey> {
  const path = join(stateDir, NAME);
  const present = await readApiKey(stateDir);
  if (present === undefined) {
    const text = randomBytes(KEY_LENGTH).toString('base64url');
    writePrivateFile(stateDir, NAME, `${text}\n`);
    return { text, path, wasExposed: false };
  }
  const wasExposed = ((await stat(path)).mode & 0o077) !== 0 && process.platform !== 'win32';
  if (wasExposed) await chmod(path, 0o600);
  return { text: present, path, wasExposed };
}

/** The key of this state folder; `undefined` if there is none. Throws `ERR_STATE_DIR` or `ERR_API_KEY`. */
export async function readApiKey(stateDir: string): Promise<string | undefined> {
  const path = join(stateDir, NAME);
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'EACCES')
      throw new SluiceError('ERR_API_KEY', `The API key in ${path} may not be read by this user.`, {
        cause,
        hint: 'Run this as the user that the daemon runs as.',
      });
    throw stateDirError(`The state folder ${stateDir} cannot be read`, cause);
  }
  // One that a person has put there is as good, if it can stand in a header and cannot be guessed.
  if (/^[\x21-\x7e]{16,256}$/.test(text)) return text;
  throw new SluiceError('ERR_API_KEY', `What stands in ${path} is not an API key.`);
}
