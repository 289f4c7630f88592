/** Torrent clients behind the driver interface follow orders and the port; one that fails or hangs holds nobody up (F16, F17, G13). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { instant } from '../../src/core/base/instant.ts';
import type { ClientDriver, ClientReports } from '../../src/node/client-driver.ts';
import { Clients } from '../../src/node/clients.ts';
import { openStateFolder, type StateFolder } from '../../src/node/state-folder.ts';

/** What happened, in order: files written, commands given, events told. */
let log: string[];
let state: StateFolder;
let clients: Clients;

const clock = { now: () => instant(Date.now()), wallMs: () => Date.now() };

function open(): Clients {
  return new Clients({
    clock,
    state: {
      read: (name) => state.read(name),
      write(name, text) {
        log.push(`${name} written`);
        state.write(name, text);
      },
    },
    onPaused: (client, transfer) => log.push(`told: ${client} paused ${transfer}`),
    onResumed: (client, transfer) => log.push(`told: ${client} resumed ${transfer}`),
    onPort: (client, port) => log.push(`told: ${client} has port ${port}`),
  });
}

/** A client that obeys, unless `obey` says otherwise. */
class FakeDriver implements ClientDriver {
  readonly name: string;
  reports!: ClientReports;
  obey: (command: string) => Promise<void> = async () => {};
  readonly running: readonly string[];

  constructor(name: string, running: readonly string[] = []) {
    this.name = name;
    this.running = running;
  }

  open(reports: ClientReports): void {
    this.reports = reports;
    for (const id of this.running) reports.transfer(id, true);
  }

  pause(transfer: string): Promise<void> {
    return this.#do(`pause ${transfer}`);
  }

  resume(transfer: string): Promise<void> {
    return this.#do(`resume ${transfer}`);
  }

  setPort(port: number | undefined): Promise<void> {
    return this.#do(`port ${port}`);
  }

  announce(): Promise<void> {
    return this.#do('announce');
  }

  close(): void {
    log.push(`${this.name}: close`);
  }

  #do(command: string): Promise<void> {
    log.push(`${this.name}: ${command}`);
    return this.obey(command);
  }
}

/** A client that cannot be told a port. */
class PortlessDriver extends FakeDriver {
  override readonly setPort = undefined as never;
}

function attached<Driver extends FakeDriver>(driver: Driver): Driver {
  clients.attach(driver);
  return driver;
}

/** What happened since the last call, once all commands have ended that do. */
async function happened(): Promise<string[]> {
  await vi.advanceTimersByTimeAsync(0);
  return log.splice(0);
}

beforeEach(async () => {
  vi.useFakeTimers();
  log = [];
  state = await openStateFolder(new Uint8Array(32));
  clients = open();
});
afterEach(() => {
  clients.close();
  vi.useRealTimers();
});

describe('orders', () => {
  it('pause every running transfer of every client, each marked on disk before, and resume exactly those', async () => {
    const first = attached(new FakeDriver('one', ['a', 'b']));
    first.reports.transfer('by hand', false);
    attached(new FakeDriver('two', ['a']));
    clients.handleOrder('run');
    expect(await happened()).toEqual([]);
    clients.handleOrder('pause');
    expect(await happened()).toEqual([
      'paused written',
      'one: pause a',
      'one: pause b',
      'two: pause a',
      'paused written',
      'told: one paused a',
      'paused written',
      'told: one paused b',
      'paused written',
      'told: two paused a',
    ]);
    expect(clients.status().map(({ pausedByKillswitch }) => pausedByKillswitch)).toEqual([2, 1]);
    clients.handleOrder('run');
    expect((await happened()).filter((line) => /resume/.test(line))).toEqual([
      'one: resume a',
      'one: resume b',
      'two: resume a',
      'told: one resumed a',
      'told: one resumed b',
      'told: two resumed a',
    ]);
    expect(clients.status()).toMatchObject([{ pausedByKillswitch: 0 }, { pausedByKillswitch: 0 }]);
  });

  it('reach a client that comes, and a transfer that is added, while they stand', async () => {
    clients.handleOrder('pause');
    const driver = attached(new FakeDriver('one', ['a']));
    expect(await happened()).toContain('one: pause a');
    driver.reports.added('b', true);
    expect(await happened()).toContain('one: pause b');
  });

  it('lose against a person', async () => {
    const driver = attached(new FakeDriver('one', ['a', 'b']));
    clients.handleOrder('pause');
    driver.reports.person('a', 'pause');
    driver.reports.person('b', 'resume');
    await happened();
    clients.handleOrder('run');
    expect((await happened()).filter((line) => /resume/.test(line))).toEqual([]);
  });

  it('do not tell a person’s resume as ours', async () => {
    const driver = attached(new FakeDriver('one', ['a']));
    clients.handleOrder('pause');
    await happened();
    let end = (): void => {};
    driver.obey = async (command) => {
      if (command.startsWith('resume')) await new Promise<void>((resolve) => (end = resolve));
    };
    clients.handleOrder('run');
    driver.reports.person('a', 'resume');
    end();
    expect(await happened()).not.toContain('told: one resumed a');
  });
});

describe('a client that fails', () => {
  it('is told again, and the status says error until it has obeyed', async () => {
    const driver = attached(new FakeDriver('one', ['a']));
    driver.obey = () => Promise.reject(new Error('401'));
    clients.handleOrder('pause');
    await happened();
    expect(clients.status()).toMatchObject([{ state: 'error', pausedByKillswitch: 1 }]);
    driver.obey = async () => {};
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await happened()).toContain('told: one paused a');
    expect(clients.status()).toMatchObject([{ state: 'ok' }]);
  });

  it('by throwing is no worse than one that rejects', async () => {
    const driver = attached(new FakeDriver('one', ['a']));
    driver.obey = () => {
      throw new TypeError('a bug');
    };
    expect(() => clients.handleOrder('pause')).not.toThrow();
    await happened();
    expect(clients.status()).toMatchObject([{ state: 'error' }]);
  });

  it('to end holds nobody up, and is given up after 30 s', async () => {
    const stuck = attached(new FakeDriver('stuck', ['a', 'b']));
    stuck.obey = () => new Promise(() => {});
    attached(new FakeDriver('one', ['a']));
    clients.handleOrder('pause');
    expect(await happened()).toContain('told: one paused a');
    expect(clients.status()).toMatchObject([{ state: 'ok' }, { state: 'ok' }]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(clients.status()).toMatchObject([{ state: 'error' }, { state: 'ok' }]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(log.filter((line) => line === 'stuck: pause a')).toHaveLength(1);
  });

  it('says so itself when it is away', () => {
    const driver = attached(new FakeDriver('one'));
    driver.reports.problem(new Error('ECONNREFUSED'));
    expect(clients.status()).toMatchObject([{ state: 'error' }]);
    driver.reports.problem(undefined);
    expect(clients.status()).toMatchObject([{ state: 'ok' }]);
  });

  it('may report from within a command', async () => {
    const driver = attached(new FakeDriver('one', ['a']));
    driver.obey = async () => driver.reports.added('b', true);
    clients.handleOrder('pause');
    expect(await happened()).toEqual(expect.arrayContaining(['one: pause a', 'one: pause b', 'told: one paused b']));
  });
});

describe('the port', () => {
  it('is told on each change, to clients that can be reached by it', async () => {
    attached(new FakeDriver('one'));
    attached(new PortlessDriver('two'));
    clients.handleOrder('run');
    clients.handlePort(4000);
    expect(await happened()).toEqual(['one: port 4000', 'told: one has port 4000']);
    expect(clients.status().map(({ portApplied }) => portApplied)).toEqual([true, false]);
    clients.handlePort(undefined);
    expect(await happened()).toEqual(['one: port undefined', 'told: one has port null']);
    expect(clients.status()[0]!.portApplied).toBe(false);
  });

  it('that changed in an outage is told after the transfers run again; otherwise it is announced anew', async () => {
    attached(new FakeDriver('one', ['a']));
    attached(new PortlessDriver('two'));
    clients.handleOrder('run');
    clients.handlePort(4000);
    clients.handleOrder('pause');
    await happened();
    clients.handlePort(4001);
    clients.handleOrder('run');
    const told = (await happened()).filter((line) => /^(one|two):/.test(line));
    expect(told).toEqual(['one: resume a', 'one: port 4001', 'two: announce']);
  });

  it('is announced anew when the exit has moved', async () => {
    attached(new FakeDriver('one'));
    clients.handleOrder('run');
    clients.handleMoved();
    expect(await happened()).toEqual(['one: announce']);
  });
});

describe('names', () => {
  it('of two clients that are called the same differ, and so do their transfers', async () => {
    const first = attached(new FakeDriver('one', ['a']));
    const second = attached(new FakeDriver('one', ['a']));
    expect(clients.status().map(({ name }) => name)).toEqual(['one', 'one-2']);
    clients.handleOrder('pause');
    await happened();
    first.reports.person('a', 'pause');
    expect(clients.status().map(({ pausedByKillswitch }) => pausedByKillswitch)).toEqual([0, 1]);
    clients.detach(second);
    expect(clients.status().map(({ name }) => name)).toEqual(['one']);
  });

  it('must be fit to name markers, and a driver is attached once', () => {
    expect(() => attached(new FakeDriver('a/b'))).toThrow(RangeError);
    const driver = attached(new FakeDriver('one'));
    expect(() => clients.attach(driver)).toThrow(RangeError);
  });
});

describe('a client that leaves', () => {
  it('is closed and told nothing more; what it still says is not heard', async () => {
    const driver = attached(new FakeDriver('one', ['a']));
    clients.detach(driver);
    expect(await happened()).toEqual(['one: close']);
    driver.reports.transfer('b', true);
    clients.handleOrder('pause');
    expect(await happened()).toEqual([]);
    expect(clients.status()).toEqual([]);
    clients.detach(driver);
  });
});

describe('after a restart', () => {
  it('marked transfers wait for the order, and then resume exactly', async () => {
    attached(new FakeDriver('one', ['a', 'b']));
    clients.handleOrder('pause');
    await happened();
    clients.close();
    log = [];
    clients = open();
    const driver = attached(new FakeDriver('one'));
    for (const id of ['a', 'b', 'by hand']) driver.reports.added(id, false);
    driver.reports.removed('b');
    expect((await happened()).filter((line) => line.startsWith('one'))).toEqual([]);
    clients.handleOrder('run');
    expect((await happened()).filter((line) => line.startsWith('one'))).toEqual(['one: resume a']);
  });
});
