/**
 * One process for each identity and state folder: two that shake hands with the same key cut each other off, and one would overwrite
 * what the other has kept. The lock is a listening Unix socket, which the system gives up when its owner dies, however it dies.
 */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SluiceError } from '../core/base/errors.ts';

export interface InstanceLock {
  release(): void;
}

/** Of a socket's path; the shortest of the systems' limits. */
const LONGEST_PATH = 100;

/** Throws `ERR_STATE_LOCKED` if another process, or another tunnel of this one, has it, and what the system throws. */
export async function takeInstanceLock(stateDir: string, name: string): Promise<InstanceLock> {
  const path = lockPath(stateDir, name);
  for (let attempt = 0; ; attempt++) {
    const server = await listen(path);
    if (server) return { release: () => void server.close() };
    if (attempt > 0 || (await answers(path)))
      throw new SluiceError('ERR_STATE_LOCKED', `Another Sluice runs with this key and the state folder ${stateDir}.`);
    // Its owner is dead: only the name is left.
    rmSync(path, { force: true });
  }
}

function lockPath(stateDir: string, name: string): string {
  const path = join(stateDir, name);
  const short = createHash('sha256').update(path).digest('hex').slice(0, 32);
  if (process.platform === 'win32') return `\\\\.\\pipe\\sluice-${short}`;
  return path.length > LONGEST_PATH ? join(tmpdir(), `sluice-${short}`) : path;
}

/** `undefined` if the name is taken. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    // Nothing here may keep the process from ending.
    server.listen(path, () => resolve(server.unref()));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
