/** The commands, in the order of `sluice --help`. */

import type { Command } from './command.ts';
import { completion } from './commands/completion.ts';
import { demo } from './commands/demo.ts';
import { get } from './commands/get.ts';
import { genkey, genpsk, pubkey } from './commands/keys.ts';
import { sandbox } from './commands/sandbox.ts';

export const COMMANDS: readonly Command[] = [demo, get, sandbox, genkey, pubkey, genpsk, completion];

/** Commands whose names are taken, for releases to come. */
export const PLANNED: readonly string[] = [
  'up',
  'exec',
  'status',
  'show',
  'logs',
  'doctor',
  'probe',
  'port',
  'notify',
  'import',
  'bench',
];
