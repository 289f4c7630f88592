/** The texts of `--help`, made from the command table, which is also what docs/reference/cli.md is made from. */

import { type Command, type Option, optionsOf } from './command.ts';
import { EXIT_MEANING } from './exit-code.ts';

/** `sluice --help`. */
export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return `sluice carries torrent traffic through a WireGuard tunnel that lives inside one process:
no root, no TUN device, no route of this host changed.

Usage: sluice COMMAND [OPTIONS]

Commands:
${commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

Options:
  -h, --help     Show this help; sluice COMMAND --help shows a command’s own.
  -V, --version  Show the version.

New here? See it work, with nothing to configure:  sluice demo
`;
}

/** `sluice COMMAND --help`. */
export function commandHelp(command: Command): string {
  const parts = [
    command.summary,
    `Usage: ${usage(command)}`,
    ...command.details.map((paragraph) => wrapped(paragraph, 80)),
    `Options:\n${table(Object.entries(optionsOf(command)).map(([name, option]) => [optionLabel(name, option), option.help]))}`,
    `Exit codes:\n${table(exitRows(command))}`,
    `Examples:\n${command.examples.map(({ command: line, what }) => `  # ${what}\n  ${line}`).join('\n')}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

/** `sluice get MAGNET|FILE.torrent [-c FILE] …` */
export function usage(command: Command): string {
  const operands = command.operands.map(({ name, optional }) => (optional ? `[${name}]` : name));
  const options = Object.entries(command.options).map(([name, { short, value }]) => {
    const flag = short === undefined ? `--${name}` : `-${short}`;
    return `[${value === undefined ? flag : `${flag} ${value}`}]`;
  });
  return ['sluice', command.name, ...operands, ...options].join(' ');
}

/** `-c, --config FILE` */
export function optionLabel(name: string, { short, value }: Option): string {
  return `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
}

/** Code and meaning, for the codes a command may end with. */
export function exitRows(command: Command): [string, string][] {
  return [0, 2, ...command.exitCodes]
    .sort((a, b) => a - b)
    .map((code) => [String(code), EXIT_MEANING[code as keyof typeof EXIT_MEANING]]);
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

function wrapped(paragraph: string, width: number): string {
  const lines = [''];
  for (const word of paragraph.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
