/**
 * Carries out what the guard says: between the sockets and the stack for what they ask, and between the stack and WireGuard for what
 * would leave. While traffic may not flow, new connections and look-ups wait and then fail, datagrams are dropped and counted.
 *
 * The port-forward lease is below it: no byte of a torrent is in it, and without a session nothing of it leaves.
 */

import type { IpAddress } from '../base/address.ts';
import { u16be } from '../base/bytes.ts';
import { after, earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { Flow } from '../guard/policy.ts';
import type {
  Resolve,
  SocketAddress,
  SocketCommand,
  SocketErrorCode,
  SocketEvent,
  SocketId,
  TcpConnect,
} from '../netstack/messages.ts';
import { DNS_PORT } from '../wire/dns.ts';

/** `guard-closed`: traffic may not flow, for the reasons that the status tells. */
export type GateDrop = 'guard-closed';

/** A connection that waits longer fails with ETIMEDOUT, as Node's own do on a dead line; a look-up with ETIMEOUT. */
export const CONNECT_WAIT_MS = 30_000;
/** Connections and look-ups that wait; more fail at once. */
export const MAX_WAITING = 1_024;
/** The latest of the probe, which pass through a leak; more than can be open at once, so that each connection may end properly. */
export const MAX_PROBES = 16;

/** A socket's id, or a look-up's number. */
type Asker = SocketId | `query ${number}`;

interface Waiting {
  readonly until: Instant;
  /** The connect, and what was asked of the socket since; or the look-up. */
  readonly commands: SocketCommand[];
}

export interface GateOptions {
  readonly count: (reason: GateDrop) => void;
  /** Whom the probe may ask for names through a leak. */
  readonly dnsServers: readonly IpAddress[];
}

export class Gate {
  readonly #count: (reason: GateDrop) => void;
  #dnsServers: readonly IpAddress[];
  readonly #waiting: Map<Asker, Waiting> = new Map();
  readonly #events: Queue<SocketEvent> = new Queue();
  /** Sockets and look-ups of the probe, and whom the sockets talk to. */
  readonly #probes: Map<Asker, SocketAddress | undefined> = new Map();
  #flow: Flow = 'closed';

  constructor({ count, dnsServers }: GateOptions) {
    this.#count = count;
    this.#dnsServers = dnsServers;
  }

  setDnsServers(dnsServers: readonly IpAddress[]): void {
    this.#dnsServers = dnsServers;
  }

  /** Whether packets may leave the stack at all; in `probe`, each is asked for with `passes`. */
  get flow(): Flow {
    return this.#flow;
  }

  /** The socket with this id is the probe's: it connects through a leak too. Call before its connect. */
  admitProbe(socket: SocketId): void {
    this.#admit(socket);
  }

  /** The same for the look-up of this number. */
  admitProbeQuery(query: number): void {
    this.#admit(`query ${query}`);
  }

  /** The guard's word changed. `pass` gets the commands that have waited, in their order. */
  setFlow(flow: Flow, pass: (command: SocketCommand) => void): void {
    this.#flow = flow;
    if (flow !== 'open' && flow !== 'probe') return;
    for (const [asker, { commands }] of this.#waiting) {
      if (flow === 'probe' && !this.#probes.has(asker)) continue;
      this.#waiting.delete(asker);
      for (const command of commands) pass(command);
    }
  }

  /** True if the stack shall have the command now; otherwise it waits here, or is dropped. */
  admits(command: SocketCommand, now: Instant): boolean {
    if (this.#flow === 'open' && this.#waiting.size === 0 && this.#probes.size === 0) return true;
    const asker = askerOf(command);
    const waiting = this.#waiting.get(asker);
    if (waiting) {
      if (command.kind === 'tcp-abort') this.#end(asker);
      else if (command.kind === 'resolve-cancel') this.#waiting.delete(asker);
      else waiting.commands.push(command);
      return false;
    }
    if (command.kind === 'tcp-connect' || command.kind === 'resolve') return this.#admitsNew(asker, command, now);
    if (command.kind !== 'udp-send' || this.#flow === 'open') return true;
    this.#count('guard-closed');
    return false;
  }

  /**
   * Whether the packet that the stack wrote at `offset` may leave in `probe`: to whom the probe talks, and DNS. The stack writes no
   * options and no extension headers there.
   */
  passes(bytes: Uint8Array, offset: number): boolean {
    const version = bytes[offset]! >>> 4;
    const to = offset + (version === 4 ? 16 : 24);
    const payload = offset + (version === 4 ? 20 : 40);
    const length = version === 4 ? 4 : 16;
    const port = u16be(bytes, payload + 2);
    const isTo = ({ bytes: address }: IpAddress): boolean => {
      for (let i = 0; i < length; i++) if (bytes[to + i] !== address[i]) return false;
      return address.length === length;
    };
    if (port === DNS_PORT && this.#dnsServers.some(isTo)) return true;
    for (const remote of this.#probes.values()) if (remote?.port === port && isTo(remote.address)) return true;
    this.#count('guard-closed');
    return false;
  }

  handleTimeout(now: Instant): void {
    for (const [asker, { until }] of this.#waiting) if (until <= now) this.#end(asker, 'ETIMEDOUT');
  }

  nextTimeout(): Instant | undefined {
    if (this.#waiting.size === 0) return undefined;
    let next: Instant | undefined;
    for (const { until } of this.#waiting.values()) next = earliest(next, until);
    return next;
  }

  nextOutput(): SocketEvent | undefined {
    return this.#events.length === 0 ? undefined : this.#events.shift();
  }

  #admit(asker: Asker): void {
    this.#probes.set(asker, undefined);
    if (this.#probes.size > MAX_PROBES) this.#probes.delete(this.#probes.keys().next().value!);
  }

  #admitsNew(asker: Asker, command: TcpConnect | Resolve, now: Instant): boolean {
    const isProbe = this.#probes.has(asker);
    if (isProbe && command.kind === 'tcp-connect') this.#probes.set(asker, command.to);
    if (this.#flow === 'open' || (this.#flow === 'probe' && isProbe)) return true;
    // Without a name server there is nothing to wait for.
    if (command.kind === 'resolve' && this.#dnsServers.length === 0) return true;
    if (this.#waiting.size >= MAX_WAITING) this.#end(asker, 'ENETUNREACH');
    else this.#waiting.set(asker, { until: after(now, CONNECT_WAIT_MS), commands: [command] });
    return false;
  }

  #end(asker: Asker, error?: SocketErrorCode): void {
    this.#waiting.delete(asker);
    this.#probes.delete(asker);
    if (typeof asker !== 'number')
      this.#events.push({
        kind: 'resolved',
        query: Number(asker.slice(6)),
        result: { kind: 'failed', code: 'ETIMEOUT' },
      });
    else
      this.#events.push(
        error === undefined ? { kind: 'closed', socket: asker } : { kind: 'closed', socket: asker, error },
      );
  }
}

function askerOf(command: SocketCommand): Asker {
  return 'socket' in command ? command.socket : `query ${command.query}`;
}
