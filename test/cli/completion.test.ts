import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { optionsOf } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { sluice } from './support.ts';

const scriptFor = async (shell: string): Promise<string> => {
  const { code, out } = await sluice(['completion', shell]);
  expect(code).toBe(0);
  return out;
};

const installed = (shell: string): boolean => {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(`skipped: the syntax check by ${shell}, which is not installed`);
    return false;
  }
};

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('knows every command and every option, for %s', async (shell) => {
    const script = await scriptFor(shell);
    for (const command of COMMANDS) {
      expect(script).toContain(command.name);
      for (const option of Object.keys(optionsOf(command)))
        expect(script).toContain(shell === 'fish' ? `-l ${option}` : `--${option}`);
    }
  });

  for (const shell of ['bash', 'zsh', 'fish'])
    it.skipIf(!installed(shell))(`is accepted by ${shell}`, async () => {
      execFileSync(shell, ['-n'], { input: await scriptFor(shell) });
    });

  it.skipIf(!installed('bash'))('completes commands, options and words in bash', async () => {
    const script = await scriptFor('bash');
    const complete = (...words: string[]): string[] => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const line = `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _sluice; echo "\${COMPREPLY[*]}"`;
      return execFileSync('bash', ['-c', `${script}\n${line}`], { encoding: 'utf8' })
        .trim()
        .split(' ');
    };
    expect(complete('sluice', 'gen')).toEqual(['genkey', 'genpsk']);
    expect(complete('sluice', 'get', '--s')).toEqual(['--seed']);
    expect(complete('sluice', 'completion', 'z')).toEqual(['zsh']);
  });
});
