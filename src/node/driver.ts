/**
 * The loop around a machine: one mutation or one burst, then a full drain, then one timer. Everything happens on this thread and
 * nothing is concurrent; the driver decides only when.
 */

import type { Burst } from '../core/base/burst.ts';
import type { Instant } from '../core/base/instant.ts';
import type { Clock } from './clock.ts';
import type { UdpPort } from './udp-port.ts';

export interface DatagramMachine {
  handleBurst(burst: Burst, now: Instant): void;
  handleTimeout(now: Instant): void;
  nextTimeout(): Instant | undefined;
  /** Fills `out` until it is full or nothing is left. True if more remains. */
  transmit(out: Burst, now: Instant): boolean;
}

export interface DriverOptions {
  readonly machine: DatagramMachine;
  readonly clock: Clock;
  /**
   * Called in every turn to deliver the machine's events: after input, so that what the application answers leaves with the
   * acknowledgements, and again after output. May call `mutate`.
   */
  readonly onTurn: () => void;
}

/**
 * Full bursts sent in one turn of the event loop, so that a long upload keeps nothing else waiting: neither by what there is to send, nor
 * by an application that writes again, in the same turn, as soon as it may.
 */
const BURSTS_PER_TURN = 4;
/** A timer this late means that the loop was blocked: datagrams that wait may be the very ones whose absence it would punish. */
const LATE_MS = 10;
const EARLY_MS = 2;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Driver {
  readonly #machine: DatagramMachine;
  readonly #clock: Clock;
  readonly #onTurn: () => void;
  #port: UdpPort | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt: Instant | undefined;
  #pumpScheduled = false;
  #turning = false;
  /** Full bursts in this turn of the event loop. */
  #bursts = 0;
  #stopped = false;

  constructor({ machine, clock, onTurn }: DriverOptions) {
    this.#machine = machine;
    this.#clock = clock;
    this.#onTurn = onTurn;
  }

  /** The port to send through from now on; the caller closes the one before. Without a port nothing is sent, but timers run. */
  attach(port: UdpPort | undefined): void {
    this.#port = port;
    this.#schedulePump();
  }

  /** The port's `onBurst`: the whole way of received datagrams, in this call. */
  handleBurst(burst: Burst): void {
    if (this.#stopped) return;
    const now = this.#clock.now();
    this.#machine.handleBurst(burst, now);
    this.#turn(now);
  }

  /** The port's `onDrain`: sending goes on. */
  handleDrain(): void {
    if (!this.#stopped) this.#turn(this.#clock.now());
  }

  /** Runs `change` at once; what follows from it and from others of the same task is drained together in one microtask. */
  mutate(change: (now: Instant) => void): void {
    if (this.#stopped) return;
    change(this.#clock.now());
    this.#schedulePump();
  }

  /** When the driver goes on by itself: now, if output waits for its turn. The moment may have passed. */
  nextTurn(): Instant | undefined {
    return this.#pumpScheduled ? this.#clock.now() : this.#machine.nextTimeout();
  }

  /** A turn, if a deadline has passed: for a thread that sleeps until `nextTurn` by itself, in which Node’s timers come late. */
  handleDue(): void {
    if (this.#stopped) return;
    const now = this.#clock.now();
    const due = this.#machine.nextTimeout();
    if (due !== undefined && due <= now) this.#turn(now);
  }

  /** No call into the machine, no datagram and no timer after this. */
  stop(): void {
    this.#stopped = true;
    this.#port = undefined;
    clearTimeout(this.#timer);
  }

  #schedulePump(): void {
    if (this.#pumpScheduled || this.#turning) return;
    this.#pumpScheduled = true;
    queueMicrotask(this.#pump);
  }

  readonly #pump = (): void => {
    this.#pumpScheduled = false;
    if (!this.#stopped) this.#turn(this.#clock.now());
  };

  /** An application's exception passes through, but the turn is finished: one bad listener must not stop the tunnel. */
  #turn(now: Instant): void {
    const due = this.#machine.nextTimeout();
    if (due !== undefined && due <= now) this.#machine.handleTimeout(now);
    let delivered = false;
    this.#turning = true;
    try {
      this.#onTurn();
      delivered = true;
    } finally {
      this.#turning = false;
      if (!delivered) this.#schedulePump();
      if (!this.#stopped) this.#send(now);
      if (!this.#stopped) this.#arm(now);
    }
    if (!this.#stopped) this.#onTurn();
  }

  #send(now: Instant): void {
    const port = this.#port;
    if (!port) return;
    while (!port.congested) {
      if (this.#bursts === BURSTS_PER_TURN) {
        if (this.#pumpScheduled) return;
        this.#pumpScheduled = true;
        setImmediate(this.#pump);
        return;
      }
      const more = this.#machine.transmit(port.transmit, now);
      port.flush();
      if (!more) return;
      if (this.#bursts++ === 0) setImmediate(this.#endLoopTurn);
    }
  }

  readonly #endLoopTurn = (): void => {
    this.#bursts = 0;
  };

  /** A timer that is too early is left alone and re-armed when it fires: deadlines move back with nearly every burst. */
  #arm(now: Instant): void {
    const deadline = this.#machine.nextTimeout();
    if (deadline === undefined) {
      clearTimeout(this.#timer);
      this.#timerAt = undefined;
      return;
    }
    if (this.#timerAt !== undefined && this.#timerAt <= deadline) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    this.#timer = setTimeout(this.#handleTimer, Math.min(LONGEST_TIMER_MS, Math.max(0, Math.ceil(deadline - now))));
  }

  readonly #handleTimer = (): void => {
    const armedFor = this.#timerAt;
    this.#timerAt = undefined;
    if (this.#stopped || armedFor === undefined) return;
    const now = this.#clock.now();
    // Twice, since the port hands over what it has read in an immediate of its own, behind the first of these two.
    if (now - armedFor > LATE_MS) setImmediate(() => setImmediate(this.#pump));
    // A Node timer may fire a fraction of a millisecond early; the machine must see its deadline reached.
    else this.#turn(armedFor > now && armedFor - now < EARLY_MS ? armedFor : now);
  };
}
