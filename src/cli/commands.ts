/** The commands, in the order of `sluice --help`. */

import type { Command } from './command.ts';
import { bench } from './commands/bench.ts';
import { completion } from './commands/completion.ts';
import { demo } from './commands/demo.ts';
import { get } from './commands/get.ts';
import { genkey, genpsk, pubkey } from './commands/keys.ts';
import { port } from './commands/port.ts';
import { probe } from './commands/probe.ts';
import { sandbox } from './commands/sandbox.ts';
import { status } from './commands/status.ts';
import { up } from './commands/up.ts';

export const COMMANDS: readonly Command[] = [
  demo,
  get,
  up,
  status,
  probe,
  port,
  sandbox,
  bench,
  genkey,
  pubkey,
  genpsk,
  completion,
];

/** Commands whose names are taken, for releases to come. */
export const PLANNED: readonly string[] = ['exec', 'show', 'logs', 'doctor', 'notify', 'import'];
