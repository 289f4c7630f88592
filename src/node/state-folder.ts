/**
 * What must survive a restart, as small files that are replaced as a whole: a leak that was found, the exits that were learnt, the
 * transfers that the killswitch paused. The timestamps of handshakes have a file of their own (timestamp-state.ts).
 */

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../core/base/errors.ts';
import { takeInstanceLock } from './instance-lock.ts';

export type StateName = 'guard' | 'exits' | 'paused';

export interface StateFolder {
  /** `undefined` if nothing was kept. */
  read(name: StateName): string | undefined;
  /** Returns when it is on disk. A folder that is full or read-only by now does not throw: `problem` tells until a write succeeds. */
  write(name: StateName, text: string): void;
  /** `ERR_STATE_DIR`: what is kept in memory only, and would be forgotten by a restart. */
  readonly problem: SluiceError | undefined;
  /** Another process may have it from now on. */
  close(): void;
}

/**
 * The files of one identity in `stateDir`, which nobody else has meanwhile; without a folder, in memory. Throws `ERR_STATE_DIR` if the
 * folder cannot be made, read or written, `ERR_STATE_LOCKED` if another Sluice uses it with the same key.
 */
export async function openStateFolder(publicKey: Uint8Array, stateDir?: string): Promise<StateFolder> {
  if (stateDir === undefined) return new MemoryFolder();
  const identity = createHash('sha256').update('sluice state').update(publicKey).digest('hex').slice(0, 32);
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const lock = await takeInstanceLock(stateDir, `lock-${identity}`);
    return new DiskFolder(stateDir, identity, () => lock.release());
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    throw stateDirError(`The state folder ${stateDir} cannot be used`, cause);
  }
}

class MemoryFolder implements StateFolder {
  readonly problem = undefined;
  readonly #texts = new Map<StateName, string>();

  read(name: StateName): string | undefined {
    return this.#texts.get(name);
  }

  write(name: StateName, text: string): void {
    this.#texts.set(name, text);
  }

  close(): void {}
}

class DiskFolder implements StateFolder {
  readonly #stateDir: string;
  readonly #identity: string;
  readonly #release: () => void;
  /** What the disk did not take. */
  readonly #unwritten = new Map<StateName, string>();
  #problem: SluiceError | undefined;

  constructor(stateDir: string, identity: string, release: () => void) {
    this.#stateDir = stateDir;
    this.#identity = identity;
    this.#release = release;
  }

  get problem(): SluiceError | undefined {
    return this.#problem;
  }

  read(name: StateName): string | undefined {
    const unwritten = this.#unwritten.get(name);
    if (unwritten !== undefined) return unwritten;
    try {
      return readFileSync(this.#path(name), 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      // There is something, and nobody knows what: not the same as nothing.
      return '';
    }
  }

  write(name: StateName, text: string): void {
    this.#unwritten.set(name, text);
    try {
      for (const [pending, content] of this.#unwritten) {
        replaceFile(this.#path(pending), content);
        this.#unwritten.delete(pending);
      }
      this.#problem = undefined;
    } catch (cause) {
      this.#problem = stateDirError(`The state folder ${this.#stateDir} takes no more files`, cause);
    }
  }

  close(): void {
    this.#release();
  }

  #path(name: StateName): string {
    return join(this.#stateDir, `${name}-${this.#identity}`);
  }
}

/** Readers see the old text or the new one, whatever happens in between. Throws what the system throws. */
export function replaceFile(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      // Unlike writeSync it goes on after a short write, so that a disk with a little room left is found full.
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** `what` went wrong with the state folder, and why, in one sentence. */
export function stateDirError(what: string, cause: unknown): SluiceError {
  const why = FAULTS[(cause as NodeJS.ErrnoException).code ?? ''] ?? (cause as Error).message;
  const hint = why === FULL ? { hint: 'Free some space, or name another state folder.' } : {};
  return new SluiceError('ERR_STATE_DIR', `${what}: ${why}.`, { cause, ...hint });
}

const FULL = 'the disk is full';
const NOT_PERMITTED = 'this user may not write there';
const NO_FOLDER = 'it is a file, not a folder';

const FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EFBIG: FULL,
  EROFS: 'the file system is read-only',
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
  ENOTDIR: NO_FOLDER,
  EEXIST: NO_FOLDER,
};
