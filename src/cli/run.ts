/** The command line as a function: arguments in, exit code out. */

import { nearestWord } from '../core/base/spelling.ts';
import { VERSION } from '../core/base/version.ts';
import { type Command, parseArguments, UsageError } from './command.ts';
import { COMMANDS, PLANNED } from './commands.ts';
import { EXIT, type ExitCode, stoppedBy } from './exit-code.ts';
import { reportFailure } from './failure.ts';
import { commandHelp, overview } from './help.ts';
import type { Io } from './io.ts';

/** Runs one command. Never throws: whatever goes wrong is printed, and becomes the exit code. */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  const json = argv.includes('--json');
  try {
    const [first, ...rest] = argv;
    if (first === undefined) {
      io.err.write(overview(COMMANDS));
      return EXIT.usage;
    }
    if (['--version', '-V', 'version'].includes(first)) return printed(io, `sluice ${VERSION}\n`);
    if (['--help', '-h'].includes(first) || (first === 'help' && rest.length === 0))
      return printed(io, overview(COMMANDS));
    if (first === 'help') return printed(io, commandHelp(commandNamed(rest[0]!)));
    const command = commandNamed(first);
    const given = parseArguments(command, rest);
    if (given.switches.has('help')) return printed(io, commandHelp(command));
    return await command.run(given, io);
  } catch (error) {
    if (io.stop.aborted && error instanceof Error && error.name === 'AbortError') return stoppedBy(io.stop);
    return reportFailure(error, io, { json });
  }
}

function printed(io: Io, text: string): ExitCode {
  io.out.write(text);
  return EXIT.done;
}

function commandNamed(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command;
  if (PLANNED.includes(name))
    throw new UsageError(
      `sluice ${name} is not in this release yet.`,
      'See: sluice --help for what is, and README.md for what comes.',
    );
  const what = name.startsWith('-') ? 'an option' : 'a command';
  const meant = nearestWord(
    name,
    name.startsWith('-') ? ['--help', '--version'] : COMMANDS.map((command) => command.name),
  );
  throw new UsageError(
    `“${name}” is not ${what} of sluice.`,
    meant ? `Did you mean sluice ${meant}?` : 'See: sluice --help',
  );
}
