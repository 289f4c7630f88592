import { describe, expect, it } from 'vitest';
import { createLog, type Logger, type LogOptions } from '../../src/daemon/log.ts';
import { Redactor } from '../../src/daemon/redaction.ts';

function logTo(options: Partial<LogOptions> = {}): { log: Logger; lines: string[]; redactor: Redactor } {
  const lines: string[] = [];
  const redactor = new Redactor();
  const log = createLog((line) => lines.push(line), {
    level: 'info',
    format: 'json',
    colour: false,
    redactor,
    ...options,
  });
  return { log, lines, redactor };
}

describe('the log', () => {
  it('is one JSON object per line, with level and time as words', () => {
    const { log, lines } = logTo();
    log.info({ port: 54_321 }, 'Port 54321 is forwarded.');
    log.debug('not shown');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/\n$/);
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      port: 54_321,
      message: 'Port 54321 is forwarded.',
    });
  });

  it('is aligned for people, with what to do on a line of its own', () => {
    const { log, lines } = logTo({ format: 'pretty' });
    log.warn({ code: 'silent', hint: 'Wait.' }, 'No answer.');
    expect(lines.join('')).toMatch(/^\d\d:\d\d:\d\d {2}warn {3}No answer\. {2}code=silent\n {17}next: Wait\.\n$/);
  });

  it('has colours where they are wanted, and never lets control characters of others through', () => {
    const { log, lines } = logTo({ format: 'pretty', colour: true });
    log.info({ name: 'a\u001b[2Jb' }, 'x\u0007y');
    expect(lines[0]).toContain('\u001b[32minfo \u001b[0m');
    expect(lines[0]).toContain('x�y');
    expect(lines[0]).not.toContain('\u001b[2J');
  });

  it.each(['json', 'pretty'] as const)('shows an error with its stack, without keys: %s (F28)', (format) => {
    const { log, lines, redactor } = logTo({ format });
    const known = 'a-known-secret-of-a-person';
    const unknown = '+PLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';
    redactor.add(known);
    log.error({ error: new Error(`${known} and ${unknown}`), field: [unknown, { deep: known }] }, `at ${unknown}`);
    const text = lines.join('');
    expect(text).toContain('log.test.ts');
    expect(text).not.toContain(known);
    expect(text).not.toContain(unknown.slice(1, 40));
  });
});
