/** The shape of a command, and its arguments: parsed by node:util, checked here so that each mistake gets a sentence. */

import { parseArgs } from 'node:util';
import { nearestWord } from '../core/base/spelling.ts';
import type { ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What follows `sluice NAME` in the usage line, options aside. */
  readonly operands: readonly Operand[];
  readonly options: Readonly<Record<string, Option>>;
  /** Paragraphs for `--help`. */
  readonly details: readonly string[];
  readonly examples: readonly Example[];
  /** Codes that this command may end with, beyond 0 and 2. */
  readonly exitCodes: readonly ExitCode[];
  run(given: Arguments, io: Io): Promise<ExitCode>;
}

export interface Operand {
  readonly name: string;
  readonly optional?: boolean;
  /** The only words that are accepted. */
  readonly choices?: readonly string[];
}

export interface Option {
  readonly short?: string;
  /** The placeholder of the value; absent for a switch. */
  readonly value?: string;
  readonly help: string;
}

export interface Example {
  readonly command: string;
  readonly what: string;
}

/** What was typed, by the names in `Command.operands` and `Command.options`. */
export interface Arguments {
  readonly operands: readonly string[];
  readonly values: Readonly<Record<string, string>>;
  readonly switches: ReadonlySet<string>;
}

/** The person typed something that does not exist or does not fit: exit code 2. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** Every command has these. */
export const COMMON_OPTIONS: Readonly<Record<string, Option>> = {
  help: { short: 'h', help: 'Show this help and exit.' },
};

/** All options of a command, its own first. */
export function optionsOf(command: Command): Readonly<Record<string, Option>> {
  return { ...command.options, ...COMMON_OPTIONS };
}

/** Parses what follows the command's name. Throws UsageError. */
export function parseArguments(command: Command, args: readonly string[]): Arguments {
  const options = optionsOf(command);
  const hint = `See: sluice ${command.name} --help`;
  const { tokens } = parseArgs({
    args: [...args],
    options: specOf(options),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const operands: string[] = [];
  const values: Record<string, string> = {};
  const switches = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value } = token;
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    if (!option) throw unknownOption(command, rawName);
    if (option.value === undefined) {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value.`, hint);
      switches.add(name);
    } else {
      if (value === undefined || value === '' || (value.startsWith('-') && !token.inlineValue))
        throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value}.`, hint);
      if (values[name] !== undefined) throw new UsageError(`${rawName} is given twice.`, 'Give it once.');
      values[name] = value;
    }
  }
  if (!switches.has('help')) checkOperands(command, operands, hint);
  return { operands, values, switches };
}

function checkOperands(command: Command, operands: readonly string[], hint: string): void {
  const surplus = operands[command.operands.length];
  if (surplus !== undefined)
    throw new UsageError(`sluice ${command.name} does not know what to do with “${surplus}”.`, hint);
  for (const [index, { name, optional, choices }] of command.operands.entries()) {
    const given = operands[index];
    if (given === undefined && !optional) throw new UsageError(`sluice ${command.name} needs ${name}.`, hint);
    if (given === undefined || !choices || choices.includes(given)) continue;
    const meant = nearestWord(given, choices);
    throw new UsageError(`“${given}” is none of ${choices.join(', ')}.`, meant ? `Did you mean ${meant}?` : hint);
  }
}

function unknownOption(command: Command, rawName: string): UsageError {
  const names = Object.keys(optionsOf(command));
  const meant = nearestWord(rawName.replace(/^-+/, ''), names);
  return new UsageError(
    `${rawName} is not an option of sluice ${command.name}.`,
    meant ? `Did you mean --${meant}?` : `See: sluice ${command.name} --help`,
  );
}

function specOf(
  options: Readonly<Record<string, Option>>,
): Record<string, { type: 'string' | 'boolean'; short?: string }> {
  return Object.fromEntries(
    Object.entries(options).map(([name, { short, value }]) => [
      name,
      { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) },
    ]),
  );
}
