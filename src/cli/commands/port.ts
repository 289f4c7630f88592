/** `sluice port`: the forwarded port, for people and scripts. */

import type { PortForwardStatus } from '../../node/status.ts';
import type { Command } from '../command.ts';
import { DAEMON_OPTIONS, DaemonClient } from '../daemon-client.ts';
import { EXIT } from '../exit-code.ts';
import { portLine } from '../status-text.ts';

export const port: Command = {
  name: 'port',
  summary: 'Show the port that the VPN forwards.',
  operands: [],
  options: { ...DAEMON_OPTIONS, json: { help: 'Print “portForward” of the status snapshot as JSON.' } },
  details: [
    'Prints the number alone on standard output, and what else is known on standard error. Exits with 1 if there is none.',
  ],
  examples: [
    { command: 'sluice port', what: 'The number' },
    { command: 'sluice port --json | jq .renewInSeconds', what: 'One fact, for a script' },
  ],
  exitCodes: [EXIT.failed, EXIT.notReachable],
  async run(given, io) {
    const client = new DaemonClient(given, io);
    const portForward = await client.call<PortForwardStatus>({ method: 'GET', path: '/api/v1/port-forward' });
    if (given.switches.has('json')) io.out.write(`${JSON.stringify(portForward)}\n`);
    else {
      if (portForward.port !== null) io.out.write(`${portForward.port}\n`);
      io.err.write(`Port: ${portLine({ portForward })}\n`);
    }
    return portForward.port === null ? EXIT.failed : EXIT.done;
  },
};
