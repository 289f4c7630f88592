/** What connections hold in the embedding process. */
import { fromDist } from '../dist.mjs';
import { program, run, startFarEnd } from '../processes.mjs';
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
        run: () => measureOne({ ...work, ...options }, env),
      })),
    );
    return { cases, notShown };
  },
};

async function measureOne(options, env) {
  const farEnd = await startFarEnd(options.dist);
  try {
    const script = [program('memory.mjs'), JSON.stringify({ ...options, conf: farEnd.conf })];
    const { heapBytes, residentBytes } = await run([process.execPath, '--expose-gc', ...script], { env, seconds: 60 });
    const kib = (bytes) => Math.max(0, bytes) / 1024 / options.connections;
    return { 'heap and buffers, KiB': kib(heapBytes), 'resident, KiB': kib(residentBytes) };
  } finally {
    await farEnd.close();
  }
}
