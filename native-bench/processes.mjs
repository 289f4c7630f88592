/** Children of the benchmarks: started here, and ended here by their id. */
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const program = (name) => join(import.meta.dirname, 'programs', name);

/** Runs programs/transfer.mjs, if need be behind a command such as `ip netns exec NAME`, and returns what it printed. */
export async function transfer(options, { prefix = [], env = {} } = {}) {
  const command = [...prefix, process.execPath, program('transfer.mjs'), JSON.stringify(options)];
  const { stdout } = await run(command[0], command.slice(1), { env: { ...process.env, ...env }, timeout: 30_000 });
  return JSON.parse(stdout);
}

export function perGib(seconds, bytes) {
  return seconds / (bytes / 2 ** 30);
}

/** User and system time of a process so far with all its threads, in seconds (proc(5), fields 14 and 15 in ticks of 10 ms). */
export function cpuSecondsOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A child in the background; `end` kills it and waits for its death. */
export function start(command, options = {}) {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return {
    child,
    async end() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const hurry = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(hurry);
    },
  };
}

export async function until(condition, what, seconds = 10) {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
