/**
 * Torrent clients follow the tunnel: the guard's orders and the forwarded port go to every driver, what drivers say goes to the policy,
 * and markers are on disk before a pause is sent. The rules are `core/guard/client-policy.ts` and `client-port.ts`.
 */

import { earliest, type Instant } from '../core/base/instant.ts';
import { type ClientOutput, ClientPolicy, restoreMarkers, serialiseMarkers } from '../core/guard/client-policy.ts';
import { ClientPort, type ClientPortOutput } from '../core/guard/client-port.ts';
import type { ClientOrder } from '../core/guard/policy.ts';
import type { ClientDriver, ClientReports } from './client-driver.ts';
import type { Clock } from './clock.ts';
import type { StateFolder } from './state-folder.ts';
import type { ClientStatus } from './status.ts';

/** What it needs of the tunnel around it. */
export interface ClientsHost {
  readonly clock: Clock;
  readonly state: Pick<StateFolder, 'read' | 'write'>;
  onPaused(client: string, transfer: string): void;
  onResumed(client: string, transfer: string): void;
  /** The client has applied and announced this port. */
  onPort(client: string, port: number | null): void;
}

interface Attached {
  readonly name: string;
  readonly driver: ClientDriver;
  /** Of the transfers that it has reported. */
  readonly ids: Set<string>;
  /** Without a `setPort` of the driver, no port is ever mapped as far as it knows. */
  readonly port: ClientPort;
  problem: Error | undefined;
}

/** Between client and transfer in the ids of the policy, which all clients share. */
const SEPARATOR = '/';

export class Clients {
  readonly #host: ClientsHost;
  readonly #policy: ClientPolicy;
  /** By name. */
  readonly #attached: Map<string, Attached> = new Map();
  #order: ClientOrder = 'leave';
  #port: number | undefined;
  #settling = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: ClientsHost) {
    this.#host = host;
    this.#policy = new ClientPolicy(restoreMarkers(host.state.read('paused')));
  }

  /** The guard's order; an end of an outage comes when the port of the time after it is known. */
  handleOrder(order: ClientOrder): void {
    this.#order = order;
    this.#mutate((now) => {
      this.#policy.handleOrder(order, now);
      for (const { port } of this.#attached.values()) port.handleOrder(order, now);
    });
  }

  /** The port that is mapped now, if one is. */
  handlePort(port: number | undefined): void {
    this.#port = port;
    this.#mutate((now) => {
      for (const client of this.#attached.values()) if (client.driver.setPort) client.port.handlePort(port, now);
    });
  }

  /** The exit has another address; the port is the same. */
  handleMoved(): void {
    this.#mutate((now) => {
      for (const { port } of this.#attached.values()) port.handleMoved(now);
    });
  }

  /** From now on the driver's client follows. A second one of the same name is told as `name-2`. */
  attach(driver: ClientDriver): void {
    if (this.#find(driver)) throw new RangeError(`"driver" expected one that is not attached yet, got ${driver.name}`);
    if (driver.name.includes(SEPARATOR)) throw new RangeError(`"driver.name" expected no "${SEPARATOR}"`);
    let name = driver.name;
    for (let count = 2; this.#attached.has(name); count++) name = `${driver.name}-${count}`;
    const { clock } = this.#host;
    const port = new ClientPort(this.#order, driver.setPort ? this.#port : undefined, clock.now());
    const client: Attached = { name, driver, ids: new Set(), port, problem: undefined };
    this.#attached.set(name, client);
    this.#mutate(() => driver.open(this.#reports(client)));
  }

  /** Its client is left alone from now on, as it is; what is marked stays so until it is attached again. */
  detach(driver: ClientDriver): void {
    const client = this.#find(driver);
    if (!client) return;
    this.#attached.delete(client.name);
    for (const id of client.ids) this.#policy.forget(id);
    driver.close();
    this.#settle();
  }

  status(): ClientStatus[] {
    const failing = new Set(this.#policy.failing);
    return [...this.#attached.values()].map(({ name, ids, port, problem }) => {
      const failed = problem !== undefined || port.failing || [...ids].some((id) => failing.has(id));
      return {
        name,
        state: failed ? 'error' : 'ok',
        pausedByKillswitch: [...ids].filter((id) => this.#policy.markers.has(id)).length,
        portApplied: port.applied,
      };
    });
  }

  /** Detaches all. */
  close(): void {
    for (const { driver } of [...this.#attached.values()]) this.detach(driver);
    clearTimeout(this.#timer);
  }

  #find(driver: ClientDriver): Attached | undefined {
    return [...this.#attached.values()].find((client) => client.driver === driver);
  }

  /** What a driver that was detached still says is not heard. */
  #reports(client: Attached): ClientReports {
    const heard = (transfer: string, change: (id: string, now: Instant) => void): void => {
      if (this.#attached.get(client.name) !== client) return;
      const id = `${client.name}${SEPARATOR}${transfer}`;
      client.ids.add(id);
      this.#mutate((now) => change(id, now));
    };
    return {
      added: (transfer, running) => heard(transfer, (id, now) => this.#policy.handleAdded(id, running, now)),
      transfer: (transfer, running) => heard(transfer, (id, now) => this.#policy.handleTransfer(id, running, now)),
      person: (transfer, wish) => heard(transfer, (id, now) => this.#policy.handlePerson(id, wish, now)),
      removed: (transfer) =>
        heard(transfer, (id) => {
          client.ids.delete(id);
          this.#policy.handleRemoved(id);
        }),
      problem: (error) => {
        client.problem = error;
      },
    };
  }

  #mutate(change: (now: Instant) => void): void {
    change(this.#host.clock.now());
    this.#settle();
  }

  /** Carries out what follows. Drivers may report from within a command: that is settled by the same loop. */
  #settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      while (this.#carryOut());
    } finally {
      this.#settling = false;
    }
    this.#arm();
  }

  /** True if there was something to do. Transfers first: who announces shall have its peers' connections allowed again. */
  #carryOut(): boolean {
    const output = this.#policy.nextOutput();
    if (output) {
      this.#obey(output);
      return true;
    }
    for (const client of this.#attached.values()) {
      const told = client.port.nextOutput();
      if (!told) continue;
      this.#tell(client, told);
      return true;
    }
    return false;
  }

  #obey(output: ClientOutput): void {
    if (output.kind === 'remember') {
      this.#host.state.write('paused', serialiseMarkers(output.markers));
      return;
    }
    const { kind, transfer: id, number } = output;
    const [name = '', transfer = ''] = split(id);
    const client = this.#attached.get(name);
    if (!client) return;
    void succeeds(() => client.driver[kind](transfer)).then((succeeded) => {
      if (this.#attached.get(name) !== client) return;
      const before = this.#policy.markers.get(id);
      this.#mutate((now) => this.#policy.handleDone(id, number, succeeded, now));
      const phase = this.#policy.markers.get(id);
      if (before === 'pausing' && phase === 'paused') this.#host.onPaused(name, transfer);
      if (before === 'resuming' && phase === undefined) this.#host.onResumed(name, transfer);
    });
  }

  #tell(client: Attached, output: ClientPortOutput): void {
    const { driver, port } = client;
    const command = (): Promise<void> | undefined =>
      output.kind === 'set-port' ? driver.setPort?.(output.port) : driver.announce();
    void succeeds(command).then((succeeded) => {
      if (this.#attached.get(client.name) !== client) return;
      const before = port.told;
      this.#mutate((now) => port.handleDone(output.number, succeeded, now));
      if (port.told !== before) this.#host.onPort(client.name, port.told ?? null);
    });
  }

  #arm(): void {
    clearTimeout(this.#timer);
    let next = this.#policy.nextTimeout();
    for (const { port } of this.#attached.values()) next = earliest(next, port.nextTimeout());
    if (next === undefined) return;
    const delayMs = Math.max(0, next - this.#host.clock.now());
    this.#timer = setTimeout(() => this.#handleTimeout(), Math.ceil(delayMs)).unref();
  }

  #handleTimeout(): void {
    this.#mutate((now) => {
      this.#policy.handleTimeout(now);
      for (const { port } of this.#attached.values()) port.handleTimeout(now);
    });
  }
}

function split(id: string): [string, string] {
  const at = id.indexOf(SEPARATOR);
  return [id.slice(0, at), id.slice(at + 1)];
}

/** Whether a driver's command ended well; it may also throw, or end never. */
async function succeeds(command: () => Promise<void> | undefined): Promise<boolean> {
  try {
    await command();
    return true;
  } catch {
    return false;
  }
}
