/** `sluice completion SHELL`: a script for the shell, made from the command table. */

import { type Command, optionsOf } from '../command.ts';
import { EXIT } from '../exit-code.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export const completion: Command = {
  name: 'completion',
  summary: 'Print completions for bash, zsh or fish.',
  operands: [{ name: 'bash|zsh|fish', choices: SHELLS }],
  options: {},
  details: ['Prints a script that makes the Tab key complete commands and options.'],
  examples: [
    { command: 'source <(sluice completion bash)', what: 'For this bash' },
    { command: 'sluice completion zsh > ~/.zfunc/_sluice', what: 'For every zsh that has ~/.zfunc in its fpath' },
    { command: 'sluice completion fish > ~/.config/fish/completions/sluice.fish', what: 'For every fish' },
  ],
  exitCodes: [],
  async run({ operands }, io) {
    // Imported here because the table imports this command.
    const { COMMANDS } = await import('../commands.ts');
    const shell = operands[0] as (typeof SHELLS)[number];
    io.out.write({ bash, zsh, fish }[shell](COMMANDS));
    return EXIT.done;
  },
};

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const words = [...wordsOf(command), ...flagsOf(command)].join(' ');
    return `    ${command.name}) words=${quoted(words)} ;;`;
  });
  return `# bash completion for sluice
_sluice() {
  local current=\${COMP_WORDS[COMP_CWORD]} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted([...commands.map(({ name }) => name), '--help', '--version'].join(' '))} -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sluice sluice
`;
}

function zsh(commands: readonly Command[]): string {
  const names = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const cases = commands.map((command) => {
    const flags = Object.entries(optionsOf(command)).flatMap(([name, { short, value, help }]) => {
      const spec = `[${help.replace(/[[\]:]/g, '\\$&')}]${value === undefined ? '' : `:${value.toLowerCase()}:_files`}`;
      return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])].map((flag) => quoted(`${flag}${spec}`));
    });
    const words = wordsOf(command);
    const operand = words.length > 0 ? quoted(`1:word:(${words.join(' ')})`) : quoted('*:file:_files');
    return `    ${command.name}) _arguments ${[...flags, operand].join(' ')} ;;`;
  });
  return `#compdef sluice
_sluice() {
  local -a commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _sluice ]; then _sluice "$@"; else compdef _sluice sluice; fi
`;
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const { name, summary } = command;
    const within = `-n '__fish_seen_subcommand_from ${name}'`;
    const options = Object.entries(optionsOf(command)).map(([option, { short, value, help }]) => {
      const flags = `-l ${option}${short === undefined ? '' : ` -s ${short}`}${value === undefined ? '' : ' -r'}`;
      return `complete -c sluice ${within} ${flags} -d ${quoted(help)}`;
    });
    const words = wordsOf(command).map((word) => `complete -c sluice ${within} -f -a ${word}`);
    return [`complete -c sluice -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`, ...options, ...words];
  });
  return `# fish completion for sluice\n${lines.join('\n')}\n`;
}

/** The fixed words that a command's operands may be. */
function wordsOf(command: Command): readonly string[] {
  return command.operands.flatMap(({ choices }) => choices ?? []);
}

function flagsOf(command: Command): string[] {
  return Object.entries(optionsOf(command)).flatMap(([name, { short }]) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);
}

/** A word for any of the three shells; none of our texts has an ASCII apostrophe. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}
