/** Talks to a process of `agents/`: a request is a line of JSON, its answer a line with the same id. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

export class Agent {
  readonly process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #stderr = '';
  #serial = 0;

  constructor(child: ChildProcess) {
    this.process = child;
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-4_000);
    });
    createInterface({ input: child.stdout! }).on('line', (line) => this.#answer(line));
    child.once('exit', (code, signal) => {
      const error = new Error(`agent ended (${code ?? signal}): ${this.#stderr}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Calls `command` in the agent. Rejects with the agent's error, or when it ends first. */
  call<T = unknown>(command: string, args: Record<string, unknown> = {}): Promise<T> {
    const id = ++this.#serial;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.process.stdin!.write(`${JSON.stringify({ id, command, ...args })}\n`);
    });
  }

  #answer(line: string): void {
    if (!line.startsWith('{')) return;
    const { id, result, error } = JSON.parse(line) as { id: number; result: never; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }
}
