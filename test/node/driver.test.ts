import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Burst } from '../../src/core/base/burst.ts';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import { type DatagramMachine, Driver } from '../../src/node/driver.ts';
import type { UdpPort } from '../../src/node/udp-port.ts';

/** A machine that writes down what is done to it. `queued` datagrams wait to be sent. */
class FakeMachine implements DatagramMachine {
  readonly log: string[] = [];
  deadline: Instant | undefined;
  queued = 0;

  handleBurst(burst: Burst): void {
    this.log.push(`burst ${burst.count}`);
  }

  handleTimeout(now: Instant): void {
    this.log.push(`timeout ${now}`);
    this.deadline = undefined;
  }

  nextTimeout(): Instant | undefined {
    return this.deadline;
  }

  transmit(out: Burst): boolean {
    while (!out.full && this.queued > 0) {
      out.push(1, undefined);
      this.queued--;
    }
    return this.queued > 0;
  }
}

class FakePort implements UdpPort {
  readonly transmit: Burst = new Burst(4, 64);
  readonly local = { address: { family: 4, bytes: new Uint8Array(4) }, port: 1 } as const;
  readonly flushed: number[] = [];
  congested = false;
  /** Flushes after which the port is congested. */
  room = Number.POSITIVE_INFINITY;

  flush(): void {
    if (this.transmit.count > 0) this.flushed.push(this.transmit.count);
    this.transmit.clear();
    this.congested = this.flushed.length >= this.room;
  }

  async close(): Promise<void> {}
}

function setup(): { machine: FakeMachine; port: FakePort; driver: Driver; time: { now: number } } {
  const time = { now: 1000 };
  const machine = new FakeMachine();
  const port = new FakePort();
  const clock = { now: () => instant(time.now), wallMs: () => time.now };
  const driver = new Driver({ machine, clock, onTurn: () => machine.log.push('turn') });
  driver.attach(port);
  return { machine, port, driver, time };
}

describe('driver', () => {
  it('drains a burst fully, in one synchronous call: input, events, output', () => {
    const { machine, port, driver } = setup();
    const burst = new Burst(4, 64);
    burst.push(10, undefined);
    machine.queued = 3;
    driver.handleBurst(burst);
    expect(machine.log).toEqual(['burst 1', 'turn', 'turn']);
    expect(port.flushed).toEqual([3]);
  });

  it('runs a mutation at once and drains many of them in one microtask', async () => {
    const { machine, port, driver } = setup();
    await Promise.resolve();
    machine.log.length = 0;
    for (let i = 0; i < 3; i++)
      driver.mutate((now) => {
        machine.log.push(`mutation ${now}`);
        machine.queued++;
      });
    expect(machine.log).toEqual(['mutation 1000', 'mutation 1000', 'mutation 1000']);
    await Promise.resolve();
    expect(machine.log.slice(3)).toEqual(['turn', 'turn']);
    expect(port.flushed).toEqual([3]);
  });

  it('sends what the application answers to an event together with the acknowledgements', async () => {
    const { machine, port } = setup();
    let turns = 0;
    const clock = { now: () => instant(1), wallMs: () => 1 };
    let answered = false;
    const driver = new Driver({
      machine,
      clock,
      onTurn: () => {
        turns++;
        if (!answered) driver.mutate(() => machine.queued++);
        answered = true;
      },
    });
    driver.attach(port);
    await Promise.resolve();
    [answered, turns, port.flushed.length] = [false, 0, 0];
    machine.queued = 1;
    driver.handleBurst(new Burst(4, 64));
    expect(port.flushed).toEqual([2]);
    await Promise.resolve();
    expect(turns, 'no turn of its own for the answer').toBe(2);
  });

  it('yields to the event loop after four bursts of output', async () => {
    const { machine, port, driver } = setup();
    await Promise.resolve();
    machine.queued = 4 * 4 + 1;
    driver.handleBurst(new Burst(4, 64));
    expect(port.flushed).toEqual([4, 4, 4, 4]);
    await immediate();
    expect(port.flushed).toEqual([4, 4, 4, 4, 1]);
  });

  it('yields as well to an application that writes again as soon as it may', async () => {
    const { machine, port, driver } = setup();
    let written = 0;
    const write = (): void => {
      machine.queued += 8;
      if (++written < 20) queueMicrotask(() => driver.mutate(write));
    };
    driver.mutate(write);
    let turns = 0;
    for (let before = 0; written < 20 || machine.queued > 0; before = port.flushed.length, turns++) {
      await immediate();
      expect(port.flushed.length - before).toBeLessThanOrEqual(4 + 1);
    }
    expect(turns).toBeGreaterThanOrEqual(8);
    expect(port.flushed.reduce((sum, count) => sum + count)).toBe(160);
  });

  it('leaves a congested port alone until it has drained', () => {
    const { machine, port, driver } = setup();
    port.room = 1;
    machine.queued = 6;
    driver.handleBurst(new Burst(4, 64));
    driver.handleBurst(new Burst(4, 64));
    expect(port.flushed).toEqual([4]);
    port.room = 99;
    port.congested = false;
    driver.handleDrain();
    expect(port.flushed).toEqual([4, 2]);
  });

  it('keeps the machine’s output for a port that is attached later', async () => {
    const { machine, driver } = setup();
    await Promise.resolve();
    driver.attach(undefined);
    machine.queued = 2;
    driver.mutate(() => {});
    await Promise.resolve();
    expect(machine.queued).toBe(2);
    const port = new FakePort();
    driver.attach(port);
    await Promise.resolve();
    expect(port.flushed).toEqual([2]);
  });

  it('finishes the turn when a listener throws, and delivers the rest later', async () => {
    const { machine, port } = setup();
    let throws = false;
    const driver = new Driver({
      machine,
      clock: { now: () => instant(1), wallMs: () => 1 },
      onTurn: () => {
        machine.log.push('turn');
        if (!throws) return;
        throws = false;
        throw new Error('listener');
      },
    });
    driver.attach(port);
    await Promise.resolve();
    machine.log.length = 0;
    throws = true;
    machine.queued = 1;
    expect(() => driver.handleBurst(new Burst(4, 64))).toThrow('listener');
    expect(port.flushed).toEqual([1]);
    await Promise.resolve();
    expect(machine.log).toEqual(['burst 0', 'turn', 'turn', 'turn']);
  });
});

describe('a driver whose thread keeps the time itself', () => {
  it('says when it goes on: at the next deadline, or now if output waits for its turn', async () => {
    const { machine, port, driver } = setup();
    await Promise.resolve();
    expect(driver.nextTurn()).toBeUndefined();
    machine.deadline = instant(1_300);
    expect(driver.nextTurn()).toBe(1_300);
    machine.queued = 1_000;
    driver.handleDrain();
    expect(driver.nextTurn()).toBe(1_000);
    while (machine.queued > 0) await immediate();
    expect(port.flushed).toHaveLength(250);
    expect(driver.nextTurn()).toBe(1_300);
    driver.stop();
  });

  it('does what is due, and nothing before or after the end', async () => {
    const { machine, driver, time } = setup();
    await Promise.resolve();
    machine.log.length = 0;
    machine.deadline = instant(1_300);
    driver.handleDue();
    expect(machine.log).toEqual([]);
    time.now = 1_301;
    driver.handleDue();
    expect(machine.log).toEqual(['timeout 1301', 'turn', 'turn']);
    driver.stop();
    machine.deadline = instant(1_300);
    driver.handleDue();
    expect(machine.log).toHaveLength(3);
  });
});

describe('driver timer', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] }));
  afterEach(() => vi.useRealTimers());

  const advance = (time: { now: number }, ms: number): void => {
    time.now += ms;
    vi.advanceTimersByTime(ms);
  };

  it('arms one timer, and none again while the deadline stands or moves back', async () => {
    const armed = vi.spyOn(globalThis, 'setTimeout');
    const { machine, driver, time } = setup();
    machine.deadline = instant(1100);
    driver.mutate(() => {});
    await Promise.resolve();
    for (const deadline of [1100, 1150, 1200]) {
      machine.deadline = instant(deadline);
      driver.handleBurst(new Burst(4, 64));
    }
    expect(armed).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(1);
    machine.log.length = 0;
    advance(time, 100);
    expect(machine.log).not.toContainEqual(expect.stringContaining('timeout'));
    advance(time, 100);
    expect(machine.log).toContain('timeout 1200');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('re-arms for an earlier deadline, and disarms when there is none', () => {
    const { machine, driver, time } = setup();
    machine.deadline = instant(5000);
    driver.handleBurst(new Burst(4, 64));
    machine.deadline = instant(1010);
    driver.handleBurst(new Burst(4, 64));
    expect(vi.getTimerCount()).toBe(1);
    advance(time, 10);
    expect(machine.log).toContain('timeout 1010');
    machine.deadline = instant(9000);
    driver.handleBurst(new Burst(4, 64));
    machine.deadline = undefined;
    driver.handleBurst(new Burst(4, 64));
    expect(vi.getTimerCount()).toBe(0);
  });

  it('takes a timer that fires early as the deadline: max(timer, now)', () => {
    const { machine, driver, time } = setup();
    machine.deadline = instant(1010.4);
    driver.handleBurst(new Burst(4, 64));
    time.now = 1010.1;
    vi.advanceTimersByTime(11);
    expect(machine.log).toContain('timeout 1010.4');
  });

  it('runs a deadline that a burst finds due, after the burst', () => {
    const { machine, driver, time } = setup();
    machine.deadline = instant(1010);
    driver.handleBurst(new Burst(4, 64));
    machine.log.length = 0;
    time.now = 1011;
    driver.handleBurst(new Burst(4, 64));
    expect(machine.log).toEqual(['burst 0', 'timeout 1011', 'turn', 'turn']);
  });

  it('after a blocked event loop, lets waiting datagrams go before the timer', () => {
    const { machine, driver, time } = setup();
    machine.deadline = instant(1010);
    driver.handleBurst(new Burst(4, 64));
    machine.log.length = 0;
    time.now = 3000;
    vi.advanceTimersByTime(10);
    expect(machine.log).toEqual([]);
    vi.runAllTimers();
    expect(machine.log[0]).toBe('timeout 3000');
  });

  it('can be armed for longer than a Node timer lasts', () => {
    const { machine, driver } = setup();
    machine.deadline = instant(2 ** 40);
    driver.handleBurst(new Burst(4, 64));
    vi.advanceTimersByTime(2 ** 31 - 1);
    expect(machine.log).not.toContainEqual(expect.stringContaining('timeout'));
    expect(vi.getTimerCount()).toBe(1);
  });

  it('does nothing after stop: no timer, no turn, no datagram', async () => {
    const { machine, port, driver } = setup();
    machine.deadline = instant(2000);
    driver.handleBurst(new Burst(4, 64));
    driver.stop();
    machine.log.length = 0;
    machine.queued = 5;
    driver.handleBurst(new Burst(4, 64));
    driver.handleDrain();
    driver.mutate(() => machine.log.push('mutation'));
    await Promise.resolve();
    expect(machine.log).toEqual([]);
    expect(port.flushed).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
