/**
 * The engine on a worker. When its thread ends of itself, nothing flows: connections end with an error, the state says why, and another
 * thread takes its place, which knows what the guard has to remember and begins with a handshake.
 */

import { ERRORS } from '../../core/base/errors.ts';
import type { Fault, Policy } from '../../core/guard/guard.ts';
import { GUARD_REASONS, stateOf } from '../../core/guard/policy.ts';
import { explain } from '../../core/guard/reasons.ts';
import type { SocketCommand, SocketEvent, SocketId } from '../../core/netstack/messages.ts';
import { systemClock } from '../clock.ts';
import type { ControlCommand, Engine, EngineDescription, EngineEvent, Mirror } from '../engine.ts';
import type { Upward } from './codec.ts';
import { withDrops } from './mirror-page.ts';
import { OpenSockets } from './open-sockets.ts';
import { EngineThread } from './thread.ts';

/** Before the first restart; twice as long before each one that follows soon. */
const RESTART_MS = 250;
const LONGEST_RESTART_MS = 30_000;
/** A thread that has lived so long was well. */
const WELL_MS = 60_000;

export class WorkerEngine implements Engine {
  onEvent: (event: SocketEvent) => void = () => {};
  onTunnelEvent: (event: EngineEvent) => void = () => {};
  readonly #describe: () => EngineDescription;
  readonly #sockets = new OpenSockets();
  /** Whose stream bytes are lent. */
  readonly #lent: Set<SocketId> = new Set();
  /** Absent while another one is to be started. */
  #thread: EngineThread | undefined;
  #startedAt = systemClock.now();
  /** Of a thread that is gone. */
  #last: Mirror | undefined;
  #restarts = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Why the thread before has ended. */
  #fault: Fault | undefined;
  #enabled = true;
  /** A person has accepted the exit while there was no thread to hear it. */
  #accepted = false;
  readonly #demands: Set<number> = new Set();
  readonly #questions: Set<number> = new Set();
  readonly #settling: Map<number, () => void> = new Map();
  #lastSettle = 0;
  #closed = false;

  /** `describe` is asked again for each restart. Throws what `InlineEngine.open` throws, and `ERR_ENGINE`. */
  static async open(describe: () => EngineDescription): Promise<WorkerEngine> {
    const engine = new WorkerEngine(describe);
    engine.#thread = await engine.#open(describe());
    return engine;
  }

  private constructor(describe: () => EngineDescription) {
    this.#describe = describe;
  }

  get mirror(): Mirror {
    if (!this.#thread) return this.#last!;
    const { mirror, dropped } = this.#thread;
    return dropped > 0 ? { ...mirror, link: withDrops(mirror.link, { 'udp-transmit-queue-full': dropped }) } : mirror;
  }

  post(command: SocketCommand): void {
    this.#sockets.handleCommand(command);
    if (this.#thread) this.#thread.send(command);
    else if (command.kind === 'close') this.#later(() => this.#handleEvent({ kind: 'closed', socket: command.socket }));
    else this.#later(() => this.#endSockets());
  }

  lend(socket: SocketId, lent: boolean): void {
    if (lent) this.#lent.add(socket);
    else this.#lent.delete(socket);
  }

  control(command: ControlCommand): void {
    if (command.kind === 'set-enabled') this.#enabled = command.enabled;
    else if (command.kind === 'demand-probe') this.#demands.add(command.demand);
    if (this.#thread) this.#thread.send({ kind: 'control', command });
    else this.#handleWithout(command);
  }

  settled(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#thread) {
        setImmediate(resolve);
        return;
      }
      this.#settling.set(++this.#lastSettle, resolve);
      this.#thread.send({ kind: 'settle', number: this.#lastSettle });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#last = this.mirror;
    await this.#thread?.close();
    this.#settle();
  }

  #open(description: EngineDescription): Promise<EngineThread> {
    this.#startedAt = systemClock.now();
    return EngineThread.open(description, {
      onMessage: (message) => this.#handle(message),
      isLent: (socket) => this.#lent.has(socket),
      onCrash: (error) => this.#handleCrash(error),
    });
  }

  #handle(message: Upward): void {
    if (message.kind === 'tunnel') this.#handleTunnelEvent(message.event);
    else if (message.kind !== 'settled') this.#handleEvent(message);
    else {
      this.#settling.get(message.number)?.();
      this.#settling.delete(message.number);
    }
  }

  #handleEvent(event: SocketEvent): void {
    if (this.#sockets.handleEvent(event)) this.onEvent(event);
  }

  #handleTunnelEvent(event: EngineEvent): void {
    if (event.kind === 'probe') {
      if (event.event.kind === 'ask') this.#questions.add(event.event.number);
      else if (event.event.kind === 'cancel') this.#questions.delete(event.event.number);
      else if (event.event.kind === 'done') for (const demand of event.event.demands) this.#demands.delete(demand);
    }
    this.onTunnelEvent(event);
  }

  /** Listeners may throw, so what protects comes first. */
  #handleCrash(error: Error): void {
    const { mirror } = this;
    this.#thread = undefined;
    if (systemClock.now() - this.#startedAt > WELL_MS) this.#restarts = 0;
    this.#restartLater();
    this.#fault = faultOf(error);
    this.#last = { ...mirror, policy: withoutEngine(mirror.policy, this.#enabled, this.#fault), served: [] };
    this.#settle();
    this.#endSockets();
    this.#tellPolicy(mirror.policy);
    for (const number of this.#questions) this.onTunnelEvent({ kind: 'probe', event: { kind: 'cancel', number } });
    this.#questions.clear();
    this.#answerDemands();
  }

  #restartLater(): void {
    const delayMs = Math.min(LONGEST_RESTART_MS, RESTART_MS * 2 ** Math.min(this.#restarts++, 20));
    this.#timer = setTimeout(() => void this.#restart(), delayMs);
  }

  async #restart(): Promise<void> {
    const description = this.#describe();
    const guard = { ...description.guard, enabled: this.#enabled };
    let thread: EngineThread;
    try {
      thread = await this.#open({ ...description, guard, ...(this.#fault ? { fault: this.#fault } : {}) });
    } catch (error) {
      if (this.#closed) return;
      this.#restartLater();
      this.#fault = faultOf(error as Error);
      this.#setPolicy(this.#fault);
      return;
    }
    if (this.#closed) {
      await thread.close();
      return;
    }
    const before = this.mirror.policy;
    this.#thread = thread;
    for (const bind of this.#sockets.rebind()) thread.send(bind);
    // A person may have spoken while it was being opened.
    const commands: ControlCommand[] = [{ kind: 'set-enabled', enabled: this.#enabled }];
    if (this.#accepted) commands.push({ kind: 'accept-exit' });
    if (this.#enabled) commands.push({ kind: 'start' });
    for (const command of commands) thread.send({ kind: 'control', command });
    this.#accepted = false;
    this.#tellPolicy(before);
  }

  /** What can be done of it while there is no engine. */
  #handleWithout(command: ControlCommand): void {
    if (command.kind === 'accept-exit') this.#accepted = true;
    else if (command.kind === 'set-enabled') this.#later(() => this.#setPolicy(this.#fault));
    else if (command.kind === 'demand-probe') this.#later(() => this.#answerDemands());
    else if (command.kind === 'release-port')
      this.#later(() => this.onTunnelEvent({ kind: 'lease', event: { kind: 'released' } }));
  }

  #setPolicy(fault: Fault | undefined): void {
    const { mirror } = this;
    if (this.#thread) return;
    this.#last = { ...mirror, policy: withoutEngine(mirror.policy, this.#enabled, fault) };
    this.#tellPolicy(mirror.policy);
  }

  #tellPolicy(before: Policy): void {
    const { policy } = this.mirror;
    const { engaged, reasons } = policy.killswitch;
    const known = before.killswitch.engaged ? before.killswitch.reasons : [];
    if (engaged && reasons.some((reason) => !known.includes(reason)))
      this.onTunnelEvent({ kind: 'guard', output: { kind: 'engaged', reasons } });
    this.onTunnelEvent({ kind: 'guard', output: { kind: 'policy', policy } });
  }

  #endSockets(): void {
    for (const event of this.#sockets.end()) this.onEvent(event);
  }

  #answerDemands(): void {
    const demands = [...this.#demands];
    this.#demands.clear();
    if (demands.length > 0) this.onTunnelEvent({ kind: 'probe', event: { kind: 'done', demands } });
  }

  #settle(): void {
    for (const resolve of this.#settling.values()) resolve();
    this.#settling.clear();
  }

  /** Nothing is told from within a command. */
  #later(tell: () => void): void {
    setImmediate(() => {
      if (!this.#closed) tell();
    });
  }
}

function faultOf({ message }: Error): Fault {
  const why = message.split('\n', 1)[0]!.replace(/\.$/, '');
  return {
    code: 'ERR_ENGINE',
    message: `The tunnel’s engine ended unexpectedly: ${why}.`,
    hint: ERRORS.ERR_ENGINE,
    helpless: false,
  };
}

/** Nothing flows, and the reasons of before stand. */
function withoutEngine(before: Policy, enabled: boolean, fault: Fault | undefined): Policy {
  const stood = before.killswitch.reasons;
  const reasons = GUARD_REASONS.filter((reason) => {
    if (reason === 'user') return !enabled;
    return reason === 'starting' || stood.includes(reason);
  });
  const killswitch = before.killswitch.enabled;
  const condition = { reasons: new Set(reasons), killswitch, connectedBefore: true, impaired: false, helpless: false };
  const state = stateOf(condition);
  return {
    ...before,
    state,
    ready: false,
    flow: 'closed',
    killswitch: { enabled: killswitch, engaged: killswitch, reasons },
    reason: state === 'disabled' ? explain('user') : state === 'blocked' ? before.reason : (fault ?? before.reason),
  };
}
