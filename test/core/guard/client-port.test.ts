/** What a client is told about its port, and when it announces anew (F11): once for each real change, and never a port of before. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import { ClientPort } from '../../../src/core/guard/client-port.ts';
import type { ClientOrder } from '../../../src/core/guard/policy.ts';
import { checkLaws } from '../../support/laws.ts';

let now: Instant;
let port: ClientPort;
let number: number;

beforeEach(() => {
  now = instant(0);
});

function client(order: ClientOrder, mapped?: number): void {
  port = new ClientPort(order, mapped, now);
}

/** What is told the client: `port 4000`, `port none`, `announce`. */
function said(): string[] {
  const told: string[] = [];
  for (let output = port.nextOutput(); output; output = port.nextOutput()) {
    number = output.number;
    told.push(output.kind === 'announce' ? 'announce' : `port ${output.port ?? 'none'}`);
  }
  return told;
}

/** The same, and the client does it. */
function obeyed(): string[] {
  const told: string[] = [];
  for (let next = said(); next.length > 0; next = said()) {
    told.push(...next);
    port.handleDone(number, true, now);
  }
  return told;
}

const wait = (ms: number): void => {
  now = instant(now + ms);
};

describe('the port', () => {
  it('is told when the client comes, and once for each change', () => {
    client('run', 4000);
    expect(obeyed()).toEqual(['port 4000']);
    port.handlePort(4000, now);
    expect(obeyed()).toEqual([]);
    port.handlePort(4001, now);
    expect(obeyed()).toEqual(['port 4001']);
    expect(port.told).toBe(4001);
  });

  it('is not told where there is none, and taken back when it is lost', () => {
    client('run');
    expect(obeyed()).toEqual([]);
    port.handlePort(4000, now);
    obeyed();
    port.handlePort(undefined, now);
    expect(obeyed()).toEqual(['port none']);
    expect(port.applied).toBe(false);
  });

  it('counts as applied when the client has done it, not before', () => {
    client('run', 4000);
    said();
    expect(port.applied).toBe(false);
    port.handleDone(number, true, now);
    expect(port.applied).toBe(true);
    port.handlePort(4001, now);
    expect(port.applied).toBe(false);
  });

  it('is the latest one: those that came and went meanwhile are never told', () => {
    client('run', 4000);
    said();
    port.handlePort(4001, now);
    port.handlePort(4002, now);
    expect(said()).toEqual([]);
    port.handleDone(number, true, now);
    expect(obeyed()).toEqual(['port 4002']);
  });

  it('is decided anew if it was not sent yet', () => {
    client('run', 4000);
    port.handlePort(4001, now);
    expect(obeyed()).toEqual(['port 4001']);
  });

  it('is told again if the client failed, later and later, and failing is told', () => {
    client('run', 4000);
    for (const pause of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      expect(said()).toEqual(['port 4000']);
      port.handleDone(number, false, now);
      expect(port.failing).toBe(true);
      expect(port.nextTimeout()).toBe(now + pause);
      now = port.nextTimeout()!;
      port.handleTimeout(now);
    }
    expect(obeyed()).toEqual(['port 4000']);
    expect(port.failing).toBe(false);
    expect(port.nextTimeout()).toBeUndefined();
  });

  it('counts as failed without an answer for 30 s; an answer after that is not heard', () => {
    client('run', 4000);
    said();
    const late = number;
    expect(port.nextTimeout()).toBe(30_000);
    port.handleTimeout((now = instant(30_000)));
    port.handleDone(late, true, now);
    expect(port.applied).toBe(false);
    port.handleTimeout((now = port.nextTimeout()!));
    expect(said()).toEqual(['port 4000']);
  });

  it('does not wait for the patience of earlier failures when it is another one', () => {
    client('run', 4000);
    said();
    port.handleDone(number, false, now);
    port.handlePort(4001, now);
    expect(said()).toEqual(['port 4001']);
  });
});

describe('an outage', () => {
  beforeEach(() => {
    client('run', 4000);
    obeyed();
    port.handleOrder('pause', now);
  });

  it('ends with one announce if the port is the same', () => {
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['announce']);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual([]);
  });

  it('ends with the new port, which is announced thereby, and with nothing more', () => {
    port.handlePort(undefined, now);
    port.handlePort(4001, now);
    expect(said()).toEqual([]);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['port 4001']);
  });

  it('ends with no port if it was lost, rather than an announce of the one of before', () => {
    port.handlePort(undefined, now);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['port none']);
  });

  it('passes unannounced a port that was lost and came back', () => {
    port.handlePort(undefined, now);
    port.handlePort(4000, now);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('that began while a port was being announced has it announced again', () => {
    port.handleOrder('run', now);
    obeyed();
    port.handlePort(4001, now);
    expect(said()).toEqual(['port 4001']);
    port.handleOrder('pause', now);
    port.handleDone(number, true, now);
    expect(said()).toEqual([]);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('that began and ended while a port was being announced has it announced again, once the client has answered', () => {
    port.handleOrder('run', now);
    obeyed();
    port.handlePort(4001, now);
    said();
    port.handleOrder('pause', now);
    port.handleOrder('run', now);
    expect(said()).toEqual([]);
    port.handleDone(number, true, now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('of which transfers are left alone (killswitch off) ends with an announce too', () => {
    port.handleOrder('run', now);
    obeyed();
    port.handleOrder('leave', now);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('stops the retries of a client that fails, and begins them anew after it', () => {
    port.handleOrder('run', now);
    said();
    port.handleDone(number, false, now);
    port.handleOrder('pause', now);
    expect(port.nextTimeout()).toBeUndefined();
    port.handleOrder('run', now);
    expect(said()).toEqual(['announce']);
  });
});

describe('at the start', () => {
  it('nothing is announced anew if the tunnel came up in time for what the client announced itself', () => {
    client('leave');
    wait(4_000);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual([]);
  });

  it('what the client tried to announce has failed after a long wait, so it is announced anew', () => {
    client('leave');
    wait(6_000);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('a client that comes during an outage announces after it', () => {
    client('pause', 4000);
    expect(obeyed()).toEqual([]);
    port.handleOrder('run', now);
    expect(obeyed()).toEqual(['port 4000']);
  });
});

describe('an exit that moved to another address', () => {
  it('is announced anew with the same port', () => {
    client('run', 4000);
    obeyed();
    port.handleMoved(now);
    expect(obeyed()).toEqual(['announce']);
  });

  it('is announced once if the port changed with it', () => {
    client('run', 4000);
    obeyed();
    port.handleMoved(now);
    port.handlePort(4001, now);
    expect(obeyed()).toEqual(['port 4001']);
  });
});

it('keeps the laws of every machine', () => {
  checkLaws({
    create: () => {
      const machine = new ClientPort('leave', undefined, instant(0));
      let last = 0;
      return {
        handleTimeout: (at) => machine.handleTimeout(at),
        nextTimeout: () => machine.nextTimeout(),
        nextOutput() {
          const output = machine.nextOutput();
          if (output) last = output.number;
          return output;
        },
        handleBytes: () => {},
        act(choice, at) {
          const kind = choice % 4;
          if (kind === 0) machine.handleOrder((['run', 'leave', 'pause'] as const)[choice % 3]!, at);
          else if (kind === 1) machine.handlePort(choice % 3 === 0 ? undefined : 4000 + (choice % 5), at);
          else if (kind === 2) machine.handleDone(last, choice % 3 > 0, at);
          else machine.handleMoved(at);
        },
      };
    },
  });
});
