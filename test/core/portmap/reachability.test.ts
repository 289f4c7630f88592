/** Whether somebody outside has got through: asked after each mapping, and kept apart from the lease. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { Reachability, readCheckAnswer } from '../../../src/core/portmap/reachability.ts';

let now: Instant;
let checks: Reachability;

beforeEach(() => {
  now = instant(0);
  checks = new Reachability();
});

function asked(): { port: number; number: number } {
  const check = checks.nextOutput();
  expect(checks.nextOutput()).toBeUndefined();
  return check!;
}

describe('a check', () => {
  it('follows each mapping, and an open port is not asked about again', () => {
    expect(checks.nextOutput()).toBeUndefined();
    checks.handlePort(4000);
    const { port, number } = asked();
    expect(port).toBe(4000);
    expect(checks.reachable).toBe('unknown');
    checks.handleAnswer(number, 'open', now);
    expect(checks.reachable).toBe('open');
    expect(checks.nextTimeout()).toBeUndefined();
    checks.handlePort(4001);
    expect(checks.reachable).toBe('unknown');
    expect(asked().port).toBe(4001);
  });

  it.each(['closed', 'unknown'] as const)('that says %s is repeated, less and less often', (verdict) => {
    checks.handlePort(4000);
    for (const seconds of [15, 30, 60, 120, 240, 480, 900, 900]) {
      checks.handleAnswer(asked().number, verdict, now);
      expect(checks.reachable).toBe(verdict);
      expect(checks.nextTimeout()).toBe(now + seconds * 1000);
      now = checks.nextTimeout()!;
      checks.handleTimeout(now);
      expect(checks.nextTimeout()).toBeUndefined();
    }
  });

  it('of the port of before says nothing about this one', () => {
    checks.handlePort(4000);
    const { number } = asked();
    checks.handlePort(4001);
    checks.handleAnswer(number, 'open', now);
    expect(checks.reachable).toBe('unknown');
    asked();
    checks.handleAnswer(number, 'open', now);
    expect(checks.reachable).toBe('unknown');
  });

  it('ends with the port: nothing is known and nothing is asked', () => {
    checks.handlePort(4000);
    checks.handleAnswer(asked().number, 'closed', now);
    checks.handlePort(undefined);
    expect(checks.reachable).toBe('unknown');
    expect(checks.nextTimeout()).toBeUndefined();
    expect(checks.nextOutput()).toBeUndefined();
  });
});

describe('the answer of a checker', () => {
  it.each([
    ['open', 'open'],
    [' Open\r\n', 'open'],
    ['1', 'open'],
    ['true', 'open'],
    ['{"ip":"203.0.113.10","port":4000,"reachable":true}', 'open'],
    ['{"open":"yes"}', 'open'],
    ['{"status":"open"}', 'open'],
    ['closed', 'closed'],
    ['0', 'closed'],
    ['{"reachable":false}', 'closed'],
    ['{"status":1}', 'open'],
    ['', 'unknown'],
    ['<html>please sign in: open</html>', 'unknown'],
    ['{"reachable":null}', 'unknown'],
    ['{"reachable":{}}', 'unknown'],
    ['{broken', 'unknown'],
    ['[true]', 'unknown'],
  ])('%j means %s', (text, verdict) => {
    expect(readCheckAnswer(text)).toBe(verdict);
  });
});
