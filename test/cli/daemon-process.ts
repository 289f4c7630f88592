/** `sluice up` as a process of its own, from the built binary. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import { type Answered, type Asked, ask } from '../api/support.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

export const built = existsSync(MAIN);
if (!built) console.warn('skipped: sluice up as a process, since the binary is not built (npm run build)');

export interface UpOptions {
  readonly stateDir: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Before the script, for node. */
  readonly nodeArgs?: readonly string[];
  /** Shell commands that run in the same process before. */
  readonly before?: string;
}

export class Up {
  out = '';
  err = '';
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly #stateDir: string;

  constructor({ stateDir, args = [], env = {}, nodeArgs = [], before = 'true' }: UpOptions) {
    this.#stateDir = stateDir;
    const command = [process.execPath, ...nodeArgs, MAIN, 'up', ...args];
    this.child = spawn('sh', ['-c', `${before}; exec "$@"`, 'sh', ...command], {
      env: { ...process.env, SLUICE_TUNNEL_STATE_DIR: stateDir, SLUICE_API_LISTEN: '127.0.0.1:0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      this.out += chunk;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      this.err += chunk;
    });
    this.exit = once(this.child, 'close').then(([code]) => code as number | null);
  }

  /** Waits until the API answers. */
  async running(): Promise<this> {
    await this.until(/"message":"Sluice is running\."/);
    return this;
  }

  async until(pattern: RegExp): Promise<void> {
    await vi.waitFor(
      () => {
        if (!pattern.test(this.out)) throw new Error(`not yet: ${pattern}\n${this.out}\n${this.err}`);
      },
      { timeout: 15_000 },
    );
  }

  get port(): number {
    return Number(/"api":"127\.0\.0\.1:(\d+)"/.exec(this.out)?.[1]);
  }

  /** With the key of the state folder. */
  async ask(asked: Asked = {}): Promise<Answered> {
    const key = readFileSync(join(this.#stateDir, 'api-key'), 'utf8').trim();
    return await ask(this.port, {
      key: false,
      ...asked,
      headers: { Authorization: `Bearer ${key}`, ...asked.headers },
    });
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Lines of the log with this message. */
  logged(message: RegExp): Record<string, unknown>[] {
    return this.out
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => message.test(String(line['message'])));
  }
}
