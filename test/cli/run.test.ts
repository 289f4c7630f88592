import { describe, expect, it } from 'vitest';
import { parseArguments, UsageError } from '../../src/cli/command.ts';
import { COMMANDS, PLANNED } from '../../src/cli/commands.ts';
import { exitCodeOf } from '../../src/cli/exit-code.ts';
import { reportFailure } from '../../src/cli/failure.ts';
import { SluiceError } from '../../src/core/base/errors.ts';
import { VERSION } from '../../src/core/base/version.ts';
import { fakeIo, sluice } from './support.ts';

const KEY = 'GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';

describe('the command line (CONTRACT)', () => {
  it.each(['--version', '-V', 'version'])('prints its version for %s', async (word) => {
    expect(await sluice([word])).toEqual({ code: 0, out: `sluice ${VERSION}\n`, err: '' });
  });

  it.each([['--help'], ['-h'], ['help']])('lists every command for %s', async (word) => {
    const { code, out, err } = await sluice([word]);
    expect([code, err]).toEqual([0, '']);
    for (const { name, summary } of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'));
  });

  it('does not list commands that are not there yet', async () => {
    const { out } = await sluice(['--help']);
    for (const name of PLANNED) expect(out).not.toMatch(new RegExp(`^  ${name}\\b`, 'm'));
  });

  it.each(PLANNED)('says of %s that it is not in this release', async (name) => {
    const { code, err } = await sluice([name]);
    expect(code).toBe(2);
    expect(err).toContain(`sluice ${name} is not in this release yet`);
  });

  it('shows the list, on standard error and with exit code 2, when nothing was asked for', async () => {
    const { code, out, err } = await sluice([]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('Usage: sluice COMMAND');
  });

  it.each(COMMANDS.map(({ name }) => name))('has help with usage, exit codes and examples for %s', async (name) => {
    const { code, out, err } = await sluice([name, '--help']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`Usage: sluice ${name}`);
    expect(out).toMatch(/^Examples:\n {2}# .+\n {2}.*sluice /m);
    expect(out).toMatch(/^Exit codes:\n {2}0 +done$/m);
    expect(await sluice(['help', name])).toEqual({ code, out, err });
    for (const line of out.split('\n').filter((text) => !text.startsWith(' '))) expect(line.length).toBeLessThan(130);
  });

  it.each([
    [['gte'], /“gte” is not a command.*\n.*Did you mean sluice get\?/],
    [['gen-key'], /Did you mean sluice genkey\?/],
    [['frobnicate'], /See: sluice --help/],
    [['--verison'], /not an option.*\n.*--version/],
    [['help', 'gte'], /Did you mean sluice get\?/],
    [['get', '--sed', 'x'], /--sed is not an option of sluice get.*\n.*Did you mean --seed\?/],
    [['get', '-z', 'x'], /-z is not an option.*\n.*sluice get --help/],
    [['get'], /sluice get needs MAGNET\|FILE.torrent/],
    [['get', 'a', 'b'], /does not know what to do with “b”/],
    [['get', 'a', '-c'], /-c needs a value: -c FILE.conf/],
    [['get', 'a', '-c', '--seed'], /-c needs a value/],
    [['get', 'a', '--config='], /--config needs a value/],
    [['get', 'a', '--seed=yes'], /--seed takes no value/],
    [['get', 'a', '-c', 'a', '-c', 'b'], /-c is given twice/],
    [['completion', 'bsh'], /“bsh” is none of bash, zsh, fish.*\n.*Did you mean bash\?/],
    [['completion'], /needs bash\|zsh\|fish/],
    [['demo', '--size', 'big'], /“big” is not a size/],
    [['demo', '--size', '0'], /“0” is not a size/],
    [['sandbox', '--listen', '51820'], /“51820” is not an address with a port/],
    [['sandbox', '--listen', 'localhost:1'], /is not an address/],
    [['sandbox', '--listen', '127.0.0.1:65536'], /is not an address/],
    [['__proto__'], /is not a command/],
    [['get', '--constructor', 'x'], /is not an option/],
  ])('ends %j with exit code 2 and the way out', async (argv, words) => {
    const { code, out, err } = await sluice(argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(words);
    expect(err).toMatch(/^error: .*\n {2}next: .*\n {2}code: ERR_USAGE\n$/);
  });

  it('takes options in any order and form, and what follows -- as it is', () => {
    const get = COMMANDS.find(({ name }) => name === 'get')!;
    const expected = { operands: ['x'], values: { config: 'a.conf', output: 'd' }, switches: new Set(['seed']) };
    expect(parseArguments(get, ['x', '-c', 'a.conf', '-o', 'd', '--seed'])).toEqual(expected);
    expect(parseArguments(get, ['--seed', '--config=a.conf', '--output', 'd', 'x'])).toEqual(expected);
    expect(parseArguments(get, ['-ca.conf', '-od', '--seed', '--', 'x'])).toEqual(expected);
    expect(parseArguments(get, ['--', '--seed']).operands).toEqual(['--seed']);
  });
});

describe('an error on the command line', () => {
  const report = (error: unknown, json = false, env: Record<string, string> = {}) => {
    const { io, printed } = fakeIo({ env });
    return { code: reportFailure(error, io, { json }), ...printed() };
  };

  it('says what happened, why, and what to do next', () => {
    const cause = new Error('outer', { cause: new Error('ENOSPC: no space left on device') });
    const { code, out, err } = report(new SluiceError('ERR_STORAGE', 'The download could not be written.', { cause }));
    expect(out).toBe('');
    expect(err).toBe(
      'error: The download could not be written.\n' +
        '  why:  ENOSPC: no space left on device\n' +
        '  next: Check free space and permissions of the download folder.\n' +
        '  code: ERR_STORAGE\n',
    );
    expect(code).toBe(1);
  });

  it('is one line of JSON with --json', () => {
    const { out, err } = report(new SluiceError('ERR_CLOCK', 'It is 1970.'), true);
    expect(err).toBe('');
    expect(JSON.parse(out)).toEqual({
      error: { code: 'ERR_CLOCK', message: 'It is 1970.', hint: expect.any(String) },
    });
  });

  it.each([
    ['ERR_CONFIG_FILE', 3],
    ['ERR_CONFIG_KEY', 3],
    ['ERR_HANDSHAKE_TIMEOUT', 4],
    ['ERR_ENDPOINT_LOOKUP', 4],
    ['ERR_UDP_PORT', 4],
    ['ERR_CLOCK', 4],
    ['ERR_TORRENT', 1],
    ['ERR_STORAGE', 1],
  ] as const)('of code %s exits with %i', (code, exit) => {
    expect(exitCodeOf(code)).toBe(exit);
  });

  it('has a stack trace with SLUICE_DEBUG=1 only', () => {
    const error = new TypeError('odd');
    expect(report(error).err).not.toContain('run.test.ts');
    expect(report(error).err).toContain('SLUICE_DEBUG=1');
    expect(report(error, false, { SLUICE_DEBUG: '1' }).err).toContain('run.test.ts');
  });

  it('never shows a key, whatever was thrown (F28)', () => {
    const error = new Error(`bad ${KEY}`, { cause: new Error(`+${KEY.slice(1)} and /${KEY.slice(1)}`) });
    for (const json of [false, true]) {
      const { out, err } = report(error, json, { SLUICE_DEBUG: '1' });
      expect(out + err).not.toContain(KEY.slice(1, 20));
    }
  });

  it.each([['a string'], [undefined], [null], [{}], [new Error('')]])('is printed also if it is %j', (thrown) => {
    const { code, err } = report(thrown);
    expect(code).toBe(1);
    expect(err).toMatch(/^error: .+\n(.*\n)* {2}code: ERR_UNEXPECTED\n$/);
  });

  it('of usage is told apart from all others', () => {
    expect(report(new UsageError('no', 'yes')).code).toBe(2);
  });
});
