/** Children of the benchmarks: started here, and ended here by their id. */
import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fromDist } from './dist.mjs';

export const program = (name) => join(import.meta.dirname, 'programs', name);

/** Beyond the time that is measured. */
const STARTING_SECONDS = 20;

/** Runs programs/transfer.mjs, if need be behind a command such as `ip netns exec NAME`, and returns what it printed. */
export async function transfer(options, { prefix = [], env = {} } = {}) {
  const command = [...prefix, process.execPath, program('transfer.mjs'), JSON.stringify(options)];
  return run(command, { env, seconds: STARTING_SECONDS + options.warmupSeconds + options.seconds });
}

/** Runs a command and returns what it printed as JSON. */
export async function run([command, ...args], { env = {}, seconds }) {
  try {
    const surroundings = { env: { ...process.env, ...env }, timeout: Math.ceil(seconds * 1000) };
    const { stdout } = await promisify(execFile)(command, args, surroundings);
    return JSON.parse(stdout);
  } catch (error) {
    // Of an uncaught error, Node prints more than its sentence.
    const sentence = /^\w*(?:Error|Exception)\b.*$/m.exec(error.stderr)?.[0];
    throw new Error(sentence ?? (error.killed ? 'it did not end in time' : 'it failed without a word'), {
      cause: error,
    });
  }
}

/** The far end of a tunnel in a process of its own. */
export async function startFarEnd(dist, mbitPerSecond) {
  const { planFarEnd } = await fromDist(dist, 'bench/far-end.js');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const { options, conf } = await planFarEnd(join(folder, 'counter'), mbitPerSecond);
  const child = fork(join(dist, 'bench/far-end-program.js'), [JSON.stringify(options)]);
  const exited = once(child, 'exit');
  const close = async () => {
    if (child.connected) child.disconnect();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  const answer = await Promise.race([once(child, 'message'), exited]);
  if (!answer[0]?.port) {
    await close();
    throw new Error(`the far end ended with ${answer[0]}`);
  }
  return { pid: child.pid, udpPort: answer[0].port, conf: conf(answer[0].port), counter: options.counter, close };
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
