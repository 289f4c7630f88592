/** A tunnel over UDP on loopback, its other end on a thread of this process: what an application on this thread gets. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { FAR_END, planFarEnd } from './far-end.ts';
import type { Case, Effort, Metrics, Section } from './section.ts';
import { measureTransfer, type TransferOptions } from './transfer.ts';

export interface Load {
  readonly group: string;
  readonly direction: 'download' | 'upload';
  readonly connections: number;
  /** Absent: as much as goes. */
  readonly mbitPerSecond?: number;
}

const LOADS: readonly Load[] = [
  { group: '1 Gbit/s offered', direction: 'download', connections: 1, mbitPerSecond: 1000 },
  { group: 'download', direction: 'download', connections: 1 },
  { group: 'upload', direction: 'upload', connections: 1 },
];

const TIMES: Readonly<Record<Effort, Pick<TransferOptions, 'warmupSeconds' | 'seconds'>>> = {
  smoke: { warmupSeconds: 0.3, seconds: 0.5 },
  quick: { warmupSeconds: 0.5, seconds: 1 },
  full: { warmupSeconds: 1, seconds: 3 },
};

export const loopback: Section = {
  name: 'loopback',
  title: 'A tunnel over UDP on loopback',
  note:
    'One stream, its whole way to an application, with the options that a tunnel has by default. CPU is that of the application’s ' +
    'thread, in cores; “loop” its event loop, whose p99 holds 1 ms of the timer that measures it. The other end is a thread of ' +
    'the same process, which needs a processor too.',
  async open({ effort }) {
    const cases = LOADS.map((load): Case => ({ group: load.group, name: 'Sluice', run: () => run(load, effort) }));
    return { cases };
  },
};

async function run({ direction, connections, mbitPerSecond }: Load, effort: Effort): Promise<Metrics> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const { options, conf } = await planFarEnd(join(folder, 'counter'), mbitPerSecond);
  const farEnd = new Worker(new URL('./far-end-program.js', import.meta.url), { workerData: options });
  try {
    const udpPort = await new Promise<number>((resolve, reject) => {
      farEnd.once('message', ({ port }) => resolve(port)).once('error', reject);
    });
    const { host, port } = FAR_END;
    const where = { host, port, direction, connections, conf: conf(udpPort), counter: options.counter };
    const { mbitPerSecond, mainThreadCpuSeconds, elapsedSeconds, loopP99Ms, loopUtilization } = await measureTransfer({
      ...where,
      ...TIMES[effort],
    });
    return {
      'Mbit/s': mbitPerSecond,
      CPU: mainThreadCpuSeconds / elapsedSeconds,
      'loop p99, ms': loopP99Ms,
      'loop utilisation': loopUtilization,
    };
  } finally {
    await farEnd.terminate();
    await rm(folder, { recursive: true, force: true });
  }
}
