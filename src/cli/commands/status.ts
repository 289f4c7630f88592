/** `sluice status`: what the daemon says of itself. */

import { setTimeout as sleep } from 'node:timers/promises';
import { READY } from '../../core/guard/policy.ts';
import type { StatusSnapshot } from '../../node/status.ts';
import type { Command } from '../command.ts';
import { DAEMON_OPTIONS, DaemonClient } from '../daemon-client.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Io } from '../io.ts';
import { statusText } from '../status-text.ts';

const WATCH_INTERVAL_MS = 1_000;
const CLEAR_SCREEN = '\u001b[H\u001b[J';

export const status: Command = {
  name: 'status',
  summary: 'Show the state of the running daemon.',
  operands: [],
  options: {
    ...DAEMON_OPTIONS,
    watch: { short: 'w', help: 'Show it anew every second, until Ctrl-C.' },
    json: { help: 'Print the snapshot as JSON, one on each line.' },
  },
  details: ['Exits with 0 while traffic may flow, with 5 while a leak is known, and with 4 in every other state.'],
  examples: [
    { command: 'sluice status', what: 'Once, for a person' },
    { command: 'sluice status --json | jq .portForward.port', what: 'One fact, for a script' },
    { command: 'sluice status --watch', what: 'Until Ctrl-C' },
  ],
  exitCodes: [EXIT.failed, EXIT.tunnelDown, EXIT.leak, EXIT.notReachable],
  async run(given, io) {
    const client = new DaemonClient(given, io);
    const json = given.switches.has('json');
    if (given.switches.has('watch')) return await watch(client, json, io);
    const snapshot = await snapshotOf(client);
    show(snapshot, json, io);
    if (READY[snapshot.state]) return EXIT.done;
    return snapshot.killswitch.reasons.includes('leak') ? EXIT.leak : EXIT.tunnelDown;
  },
};

/** Until Ctrl-C, which is a good end, or until the daemon is gone, which is not. */
async function watch(client: DaemonClient, json: boolean, io: Io): Promise<ExitCode> {
  try {
    for (;;) {
      const snapshot = await snapshotOf(client);
      if (!json && io.out.isTTY) io.out.write(CLEAR_SCREEN);
      show(snapshot, json, io);
      if (!json && !io.out.isTTY) io.out.write('\n');
      await sleep(WATCH_INTERVAL_MS, undefined, { signal: io.stop });
    }
  } catch (error) {
    if (io.stop.aborted) return EXIT.done;
    throw error;
  }
}

function snapshotOf(client: DaemonClient): Promise<StatusSnapshot> {
  return client.call<StatusSnapshot>({ method: 'GET', path: '/api/v1/status' });
}

function show(snapshot: StatusSnapshot, json: boolean, io: Io): void {
  io.out.write(json ? `${JSON.stringify(snapshot)}\n` : statusText(snapshot, Date.now()));
}
