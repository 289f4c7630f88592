/** Long and lossy paths: our TCP beside Linux's through the same seeded relay of the interop tests. The seed is the round. */
import { join } from 'node:path';
import { Lab, missingForLab, SERVER } from '../lab.mjs';
import { transfer } from '../processes.mjs';

const RELAY = join(import.meta.dirname, '../../test/interop/agents/relay.mjs');
const RELAY_PORT = 51_900;
const RATE_MBIT = 100;

export const path = {
  name: 'path',
  title: 'Long and lossy paths, beside Linux',
  note:
    `Downloads from a CUBIC sender behind a real wireguard-go, through a relay with this delay, loss and ${RATE_MBIT} Mbit/s; from the ` +
    'last SYN on for six seconds. Linux is the kernel’s TCP behind wireguard-go with a TUN. One round, one seed: single lossy ' +
    'streams vary much. All cells with several seeds, uploads and reordering: path-table.md.',
  missing: missingForLab,
  mostRounds: 1,

  async open({ dist, effort }) {
    const lab = await Lab.open(2);
    const smoke = effort === 'smoke';
    const cells = smoke ? [[20, 0, 1]] : grid([20, 40, 100, 150], [0, 0.1, 1], [1, 32, 200]);
    const work = { dist, ...SERVER, direction: 'download', warmupSeconds: 0, seconds: smoke ? 0.5 : 6 };
    let run = 0;
    const cases = cells.flatMap(([rttMs, loss, connections]) => {
      const group = `${rttMs} ms, ${loss} % lost, ${connections} ${connections === 1 ? 'stream' : 'streams'}`;
      const options = { delayMs: rttMs / 2, loss: loss / 100, mbit: RATE_MBIT };
      const measured = (of) => async () => {
        // Both of a pair have the same seed.
        const seed = 1 + Math.floor(run++ / 2 / cells.length);
        return throughRelay(lab, { ...options, seed }, (endpoint) => of(endpoint, { ...work, connections }));
      };
      return [
        { group, name: 'Linux', baseline: true, run: measured((...args) => linux(lab, ...args)) },
        { group, name: 'Sluice', run: measured((...args) => sluice(lab, ...args)) },
      ];
    });
    return { cases, summary, close: () => lab.close() };
  },
};

function grid(rtts, losses, streams) {
  return rtts.flatMap((rtt) => losses.flatMap((loss) => streams.map((connections) => [rtt, loss, connections])));
}

async function throughRelay(lab, options, of) {
  const [host, target] = ['10.9.0.2', '127.0.0.1'];
  const args = [host, `${RELAY_PORT}`, target, '51820', JSON.stringify(options)];
  const relay = await lab.program(lab.names.server, RELAY, ...args);
  try {
    const { mbitPerSecond } = await of(`${host}:${RELAY_PORT}`);
    return { 'Mbit/s': mbitPerSecond };
  } finally {
    await relay.end();
  }
}

function sluice(lab, endpoint, work) {
  return transfer({ ...work, conf: lab.conf(lab.clients[0], { endpoint }) }, { prefix: lab.atClient });
}

async function linux(lab, endpoint, work) {
  const daemon = await lab.tun(['wireguard-go', '-f'], lab.clients[1], endpoint);
  try {
    return await transfer(work, { prefix: lab.atClient });
  } finally {
    await daemon.end();
  }
}

function summary(rows) {
  const cells = rows.filter(({ baseline, ratio }) => !baseline && ratio);
  const ratios = cells.map(({ ratio }) => ratio.median);
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  const lowest = cells.reduce((least, cell) => (cell.ratio.median < least.ratio.median ? cell : least));
  return (
    `Sluice against Linux: geometric mean of ${cells.length} cells ${mean.toFixed(2)}, the lowest ` +
    `${lowest.ratio.median.toFixed(2)} (${lowest.group}).`
  );
}
