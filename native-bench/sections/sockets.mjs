/** From sockets to the embedder: our tunnel in one process, the far end in another, datagrams over loopback. */
import { fromDist } from '../dist.mjs';
import { startFarEnd, transfer } from '../processes.mjs';
import { findVariants } from '../variants.mjs';

const LOADS = [
  { group: '1 Mbit/s offered, 1 stream', direction: 'download', connections: 1, mbitPerSecond: 1 },
  { group: '1 Gbit/s offered, 1 stream', direction: 'download', connections: 1, mbitPerSecond: 1000 },
  { group: 'download, 1 stream', direction: 'download', connections: 1 },
  { group: 'download, 200 streams', direction: 'download', connections: 200 },
  { group: 'upload, 1 stream', direction: 'upload', connections: 1 },
];

const SMOKE_LOADS = LOADS.filter(({ group }) => /^(1 Gbit|upload)/.test(group));

/** Stream bytes of a full packet. */
const PAYLOAD_BYTES = 1368;

export const sockets = {
  name: 'sockets',
  title: 'Sockets to the embedder’s thread, over UDP on loopback',
  note:
    'The whole way: UDP, WireGuard, TCP, streams of the embedding process. “Embedder” is its main thread, “engine” all its other ' +
    'threads, the garbage collector’s among them, both in cores; “loop” its event loop, whose p99 holds 1 ms of the timer that ' +
    'measures it. “Into one buffer” reads with `onread`, the others by `data` events. ' +
    'Lost is what its UDP socket had no room for. The far end is a process of ours on the same processors: where all ' +
    'together need more than the machine has, Mbit/s is not a ceiling of the tunnel.',

  async open({ dist, effort }) {
    const { FAR_END } = await fromDist(dist, 'bench/far-end.js');
    const { found, notShown } = await findVariants(dist);
    const smoke = effort === 'smoke';
    // Until V8 has compiled what it will.
    const times = smoke ? { warmupSeconds: 0.1, seconds: 0.3 } : { warmupSeconds: 3, seconds: 3 };
    const cases = (smoke ? SMOKE_LOADS : LOADS).flatMap((load) =>
      waysOf(load, found).map(({ name, env, reading }, index) => ({
        group: load.group,
        name,
        baseline: index === 0,
        run: () => run({ dist, ...FAR_END, ...times, reading }, load, env),
      })),
    );
    return { cases, notShown };
  },
};

/** Each engine and port by events, and the first of them into one buffer too. */
function waysOf({ direction }, found) {
  const [first] = found;
  if (direction === 'upload') return found;
  return [first, { ...first, name: `${first.name}, into one buffer`, reading: 'buffer' }, ...found.slice(1)];
}

async function run({ dist, host, port, ...times }, { direction, connections, mbitPerSecond }, env) {
  const farEnd = await startFarEnd(dist, mbitPerSecond);
  try {
    const { conf, counter, udpPort: farPort, pid } = farEnd;
    const where = { dist, conf, host, port, counter, farPort, watch: { farEnd: pid } };
    const result = await transfer({ ...where, direction, connections, ...times }, { env });
    const { bytes, elapsedSeconds, cpuSeconds, mainThreadCpuSeconds, drops } = result;
    const packets = bytes / PAYLOAD_BYTES;
    return {
      'Mbit/s': result.mbitPerSecond,
      'embedder CPU': mainThreadCpuSeconds / elapsedSeconds,
      'engine CPU': Math.max(0, cpuSeconds - mainThreadCpuSeconds) / elapsedSeconds,
      'CPU µs/packet': (cpuSeconds / packets) * 1e6,
      'loop p99, ms': result.loopP99Ms,
      'loop utilisation': result.loopUtilization,
      'lost, %': (100 * drops) / (packets + drops),
      'far end CPU': result.watched.farEnd / elapsedSeconds,
    };
  } finally {
    await farEnd.close();
  }
}
