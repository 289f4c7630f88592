/** `sluice probe`: has the daemon look at the exit address now. */

import type { ProbeStatus } from '../../node/status.ts';
import type { Command } from '../command.ts';
import { DAEMON_OPTIONS, DaemonClient } from '../daemon-client.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { probeLine } from '../status-text.ts';

/** Two families, each with a second opinion. */
const TIMEOUT_MS = 60_000;

export const probe: Command = {
  name: 'probe',
  summary: 'Check now that traffic leaves by the VPN’s address.',
  operands: [],
  options: {
    ...DAEMON_OPTIONS,
    accept: { help: 'Take the present exit address for right, which ends a leak.' },
    json: { help: 'Print “probe” of the status snapshot as JSON.' },
  },
  details: [
    'The daemon asks an echo service through the tunnel which address it is seen from, and compares the answer with what is expected. Exits with 0 if it is, with 5 if it is a leak, with 1 if there was no usable answer, and with 4 while the tunnel is down.',
    'With --accept, a person says that the present address is the VPN’s. Do so only if you know it is.',
  ],
  examples: [
    { command: 'sluice probe', what: 'Look now' },
    { command: 'sluice probe --accept', what: 'The provider has a new exit address, and it is right' },
  ],
  exitCodes: [EXIT.failed, EXIT.tunnelDown, EXIT.leak, EXIT.notReachable, EXIT.interrupted, EXIT.terminated],
  async run(given, io) {
    const client = new DaemonClient(given, io);
    const accept = given.switches.has('accept');
    const result = await client.call<ProbeStatus>({
      method: 'POST',
      path: '/api/v1/probe',
      timeoutMs: TIMEOUT_MS,
      ...(accept ? { body: { accept } } : {}),
    });
    io.out.write(given.switches.has('json') ? `${JSON.stringify(result)}\n` : `Exit: ${probeLine(result)}\n`);
    return exitCodeFor(result);
  },
};

function exitCodeFor({ verdict }: ProbeStatus): ExitCode {
  if (verdict === 'leak') return EXIT.leak;
  if (verdict === 'pending') return EXIT.tunnelDown;
  return verdict === 'ok' ? EXIT.done : EXIT.failed;
}
