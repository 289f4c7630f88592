/** `sluice demo`: the main job with nothing to configure, on a provider and a swarm of its own. */

import { type Command, UsageError } from '../command.ts';
import { EXIT, stoppedBy } from '../exit-code.ts';
import { createReporter } from '../progress/reporter.ts';

const MIB = 1024 * 1024;
const DEFAULT_SIZE_MIB = 32;
const LARGEST_SIZE_MIB = 4096;

export const demo: Command = {
  name: 'demo',
  summary: 'See it work: a whole VPN and swarm on this host, nothing to configure.',
  operands: [],
  options: {
    size: { value: 'MIB', help: `How much to download, in MiB; ${DEFAULT_SIZE_MIB} by default.` },
    json: {
      help: 'Print one JSON object per line: act, connected, port, peer, metadata, progress, state, leak, released, cut, silence, recovered, summary.',
    },
  },
  details: [
    'Starts the built-in VPN provider on loopback, and behind it a small internet with a BitTorrent tracker and seeders, whose addresses exist nowhere else. Then downloads a generated torrent through the tunnel. On the way a port is forwarded and a peer comes in through it, the exit address changes and the leak is caught, the tunnel is cut and heals with another port; each time transfers pause and go on from where they were. In the end the SHA-256 is verified. An act that does not show what it promises ends the demo with an error. Nothing leaves this host, and what was downloaded is deleted in the end.',
  ],
  examples: [
    { command: 'sluice demo', what: 'Takes half a minute' },
    { command: 'sluice demo --size 8 --json', what: 'A quick check for a script' },
  ],
  exitCodes: [EXIT.failed, EXIT.tunnelDown, EXIT.interrupted, EXIT.terminated],
  async run({ values, switches }, io) {
    const sizeBytes = sizeOf(values['size']) * MIB;
    const reporter = createReporter(io, { json: switches.has('json'), now: () => performance.now() });
    const { playDemo } = await import('../demo/play.ts');
    const finished = await playDemo({ sizeBytes, reporter, stop: io.stop });
    if (finished) return EXIT.done;
    reporter.note('Stopped; everything that the demo made is deleted.');
    return stoppedBy(io.stop);
  },
};

function sizeOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SIZE_MIB;
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (size < 1 || size > LARGEST_SIZE_MIB)
    throw new UsageError(`“${text}” is not a size.`, `Expected a whole number of MiB from 1 to ${LARGEST_SIZE_MIB}.`);
  return size;
}
