/** CPU time of processes and threads, from proc(5). */

import { readFileSync } from 'node:fs';

/** User and system time of a process so far with all its threads, in seconds; Linux only. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  const ticksOf10Ms = Number(fields[11]) + Number(fields[12]);
  return ticksOf10Ms / 100;
}

/** Of this process's main thread, in seconds; `undefined` where the system does not tell. */
export function mainThreadCpuSeconds(): number | undefined {
  try {
    const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
    return Number(nanoseconds) / 1e9;
  } catch {
    return undefined;
  }
}
