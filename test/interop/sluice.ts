/** The product as its user starts it: the `sluice` binary in a namespace. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { end, type Namespaces, until } from './namespaces.ts';

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;

/** A line of `--json`, and when it came. */
export interface Told {
  readonly event: string;
  readonly atMs: number;
  readonly [key: string]: unknown;
}

export class Sluice {
  readonly process: ChildProcess;
  readonly told: Told[] = [];
  #errors = '';

  constructor(host: Namespaces, namespace: string, args: readonly string[], env: Record<string, string> = {}) {
    this.process = host.spawnIn(namespace, process.execPath, [MAIN, ...args], env);
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      if (line.startsWith('{')) this.told.push({ atMs: Date.now(), ...JSON.parse(line) });
    });
    this.process.stderr!.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-4_000);
    });
  }

  /** What it said to a person. */
  get errors(): string {
    return this.#errors;
  }

  /** The latest line of a kind. */
  latest(event: string): Told | undefined {
    return this.told.findLast((told) => told.event === event);
  }

  /** Verified bytes by its latest progress line. */
  get downloadedBytes(): number {
    return Number(this.latest('progress')?.['downloadedBytes'] ?? 0);
  }

  async until(condition: (sluice: Sluice) => boolean, complaint: string, limitMs?: number): Promise<void> {
    try {
      await until(() => condition(this), complaint, limitMs);
    } catch {
      throw new Error(`${complaint}; it said:\n${this.#errors}${JSON.stringify(this.told.slice(-3))}`);
    }
  }

  /** The exit code, or the signal it died of. */
  exit(): Promise<number | NodeJS.Signals | null> {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return Promise.resolve(exitCode ?? signalCode);
    return new Promise((resolve) => this.process.once('exit', (code, signal) => resolve(code ?? signal)));
  }

  /** Asks it to end, and says how it did. Ten seconds, then it is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const exit = this.exit();
    await end(this.process, signal, 10_000);
    return exit;
  }
}
