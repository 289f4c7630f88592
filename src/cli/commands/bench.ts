/** `sluice bench`: how fast this machine carries packets, in less than a minute. */

import { type Command, UsageError } from '../command.ts';
import { EXIT, stoppedBy } from '../exit-code.ts';
import { createStepReporter } from '../progress/steps.ts';

const SECTIONS = ['aead', 'core', 'loopback'] as const;
const DEFAULT_ROUNDS = 5;
const MOST_ROUNDS = 100;

export const bench: Command = {
  name: 'bench',
  summary: 'Measure how fast this machine carries packets.',
  operands: [{ name: 'SECTION', optional: true, choices: SECTIONS }],
  options: {
    rounds: { value: 'N', help: `How often each case runs; ${DEFAULT_ROUNDS} by default. Fewer than 5 claim nothing.` },
    json: { help: 'Print the report as one JSON object.' },
  },
  details: [
    'aead: what encryption costs per packet, with each backend that works here. core: WireGuard and TCP in memory, from datagram to stream bytes. loopback: a tunnel from this process to itself, at 1 Gbit/s and as fast as it goes. Without SECTION all three, in less than a minute. Nothing leaves this host.',
    'The cases of a section run in turn, round after round; a figure is the median, with the quartiles in brackets. What is measured, and what these figures are elsewhere, is in docs/benchmarks.md.',
  ],
  examples: [
    { command: 'sluice bench', what: 'All of it, as tables' },
    { command: 'sluice bench aead', what: 'Which cryptography this machine has, and how fast it is' },
    { command: 'sluice bench --json > before.json', what: 'To compare with a later run' },
  ],
  exitCodes: [EXIT.failed, EXIT.interrupted, EXIT.terminated],
  async run({ operands, values, switches }, io) {
    const rounds = roundsOf(values['rounds']);
    const json = switches.has('json');
    const { runBench } = await import('../../bench/bench.ts');
    const { markdown } = await import('../../bench/report.ts');
    const progress = createStepReporter(io, { quiet: json });
    try {
      const chosen = operands[0] === undefined ? SECTIONS : SECTIONS.filter((name) => name === operands[0]);
      const report = await runBench(chosen, {
        rounds,
        effort: 'quick',
        signal: io.stop,
        onStep: (step) => progress.onStep(step),
        note: (text) => progress.note(text),
      });
      progress.settle();
      io.out.write(json ? `${JSON.stringify(report)}\n` : markdown(report));
      return report.results.every(({ rows }) => rows.length > 0) ? EXIT.done : EXIT.failed;
    } catch (error) {
      progress.settle();
      if (!io.stop.aborted) throw error;
      return stoppedBy(io.stop);
    }
  },
};

function roundsOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_ROUNDS;
  const rounds = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (rounds < 1 || rounds > MOST_ROUNDS)
    throw new UsageError(`“${text}” is not a number of rounds.`, `Expected a whole number from 1 to ${MOST_ROUNDS}.`);
  return rounds;
}
