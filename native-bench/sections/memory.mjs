/** What connections hold in the embedding process. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fromDist } from '../dist.mjs';
import { program, startFarEnd } from '../processes.mjs';
import { findVariants } from '../variants.mjs';

export const memory = {
  name: 'memory',
  title: 'Memory of connections',
  note:
    'KiB per connection in the embedding process, its sockets included: of the main thread’s heap and buffers after a garbage ' +
    'collection (all there is, if the engine is inline), and of resident memory, which counts pages, freed ones too. Idle: they are ' +
    'open and nothing was sent. Busy: each has been downloading for two seconds.',

  async open({ dist, effort }) {
    const { FAR_END } = await fromDist(dist, 'bench/far-end.js');
    const { found, notShown } = await findVariants(dist);
    const smoke = effort === 'smoke';
    const [idle, busy] = smoke ? [50, 10] : [1000, 200];
    const work = { dist, host: FAR_END.host, port: FAR_END.port };
    const cases = [
      { group: `${idle} idle`, connections: idle, seconds: 0 },
      { group: `${busy} busy`, connections: busy, seconds: smoke ? 0.2 : 2 },
    ].flatMap(({ group, ...options }) =>
      found.map(({ name, env }, index) => ({
        group,
        name,
        baseline: index === 0,
        run: () => run({ ...work, ...options }, env),
      })),
    );
    return { cases, notShown };
  },
};

async function run(options, env) {
  const farEnd = await startFarEnd(options.dist);
  try {
    const args = ['--expose-gc', program('memory.mjs'), JSON.stringify({ ...options, conf: farEnd.conf })];
    const surroundings = { env: { ...process.env, ...env }, timeout: 60_000 };
    const { stdout } = await promisify(execFile)(process.execPath, args, surroundings);
    const { heapBytes, residentBytes } = JSON.parse(stdout);
    const kib = (bytes) => Math.max(0, bytes) / 1024 / options.connections;
    return { 'heap and buffers, KiB': kib(heapBytes), 'resident, KiB': kib(residentBytes) };
  } finally {
    await farEnd.close();
  }
}
