import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { endOnCrash } from '../../src/daemon/crash.ts';
import { createLog } from '../../src/daemon/log.ts';
import { Redactor } from '../../src/daemon/redaction.ts';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

describe('a failure that nobody foresaw', () => {
  it.each(['uncaughtException', 'unhandledRejection'] as const)(
    'is logged, and ends the process with 1: %s',
    (event) => {
      const lines: string[] = [];
      const log = createLog((line) => lines.push(line), {
        level: 'info',
        format: 'json',
        colour: false,
        redactor: new Redactor(),
      });
      const target = new FakeProcess();
      let exitsBefore = -1;
      target.on(event, () => {
        exitsBefore = target.exits.length;
      });
      endOnCrash(target, log);
      target.emit(event, new Error('boom'));
      expect(target.exits).toEqual([1]);
      expect(exitsBefore).toBe(1);
      expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'fatal', error: { message: 'boom' } });
    },
  );
});
