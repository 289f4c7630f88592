/** Long and lossy paths: our TCP beside Linux's through the same seeded relay of the interop tests. */
import { join } from 'node:path';
import { Lab, missingForLab, SERVER } from '../lab.mjs';
import { transfer } from '../processes.mjs';

const RELAY = join(import.meta.dirname, '../../test/interop/agents/relay.mjs');
const RELAY_PORT = 51_900;
const RATE_MBIT = 100;
const SEGMENT_BYTES = 1368;

export const path = {
  name: 'path',
  title: 'Long and lossy paths, beside Linux',
  note:
    `Downloads from a CUBIC sender behind a real wireguard-go, through a relay with this delay, loss and ${RATE_MBIT} Mbit/s; from the ` +
    'last SYN on for six seconds. Linux is the kernel’s TCP behind wireguard-go with a TUN. One round. What a single ' +
    'stream gets depends on which packets are lost: three seeds, up to eight streams abreast, far below the cap; the figure is ' +
    'the mean of one. With more seeds, uploads and reordering: path-table.md.',
  missing: missingForLab,
  mostRounds: 1,

  async open({ dist, effort }) {
    const lab = await Lab.open(2);
    const smoke = effort === 'smoke';
    const cells = smoke ? [[20, 0, 1]] : grid([20, 40, 100, 150], [0, 0.1, 1], [1, 32, 200]);
    const work = { dist, ...SERVER, direction: 'download', warmupSeconds: 0, seconds: smoke ? 0.5 : 6 };
    const cases = cells.flatMap(([rttMs, loss, connections]) => {
      const group = `${rttMs} ms, ${loss} % lost, ${connections} ${connections === 1 ? 'stream' : 'streams'}`;
      const options = { delayMs: rttMs / 2, loss: loss / 100, mbit: RATE_MBIT };
      // Without loss nothing is left to chance, and many streams share it.
      const alone = connections === 1 && loss > 0;
      const seeds = alone ? [1, 2, 3] : [1];
      const abreast = alone ? alikeAbreast(rttMs, loss) : 1;
      const measured = (of) => async () => {
        const rates = [];
        // The same for both of a pair.
        for (const seed of seeds) {
          const streams = { ...work, connections: connections * abreast };
          const { mbitPerSecond } = await throughRelay(lab, { ...options, seed }, (to) => of(lab, to, streams));
          rates.push(mbitPerSecond / abreast);
        }
        return { 'Mbit/s': geometricMean(rates) };
      };
      return [
        { group, name: 'Linux', baseline: true, run: measured(linux) },
        { group, name: 'Sluice', run: measured(sluice) },
      ];
    });
    return { cases, summary, close: () => lab.close() };
  },
};

function grid(rtts, losses, streams) {
  return rtts.flatMap((rtt) => losses.flatMap((loss) => streams.map((connections) => [rtt, loss, connections])));
}

/** A quarter of the cap together, if one carries Standard TCP’s 1.2 / √loss segments per round trip (RFC 3649). */
function alikeAbreast(rttMs, lossPercent) {
  const mbits = (1.2 * SEGMENT_BYTES * 8) / (rttMs / 1000) / Math.sqrt(lossPercent / 100) / 1e6;
  return Math.min(8, Math.max(1, Math.floor(RATE_MBIT / 4 / mbits)));
}

function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

async function throughRelay(lab, options, of) {
  const [host, target] = ['10.9.0.2', '127.0.0.1'];
  const args = [host, `${RELAY_PORT}`, target, '51820', JSON.stringify(options)];
  const relay = await lab.program(lab.names.server, RELAY, ...args);
  try {
    return await of(`${host}:${RELAY_PORT}`);
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
  const mean = geometricMean(ratios);
  const lowest = cells.reduce((least, cell) => (cell.ratio.median < least.ratio.median ? cell : least));
  return (
    `Sluice against Linux: geometric mean of ${cells.length} cells ${mean.toFixed(2)}, the lowest ` +
    `${lowest.ratio.median.toFixed(2)} (${lowest.group}).`
  );
}
