/** A port that the provider has assigned for good (AirVPN and others), or none at all: the outputs of a lease without its traffic. */

import { DropCounter } from '../base/drops.ts';
import type { Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { LeaseDrop, LeaseFacts, LeaseOutput, LeaseState, PortLease, ServedPort } from './messages.ts';
import { endOf } from './reasons.ts';

export class FixedPort implements PortLease {
  readonly drops: DropCounter<LeaseDrop> = new DropCounter();
  readonly asking: boolean = false;
  readonly #port: number | undefined;
  readonly #outputs: Queue<LeaseOutput> = new Queue();
  #state: LeaseState;

  /** Without a port: provider `none`. Throws RangeError for what is no port. */
  constructor(port: number | undefined) {
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
      throw new RangeError(`"port" expected 1 to 65535, got ${port}`);
    this.#port = port;
    this.#state = port === undefined ? 'off' : 'acquiring';
  }

  handleHandshake(): void {
    if (this.#state !== 'acquiring') return;
    this.#state = 'mapped';
    this.#outputs.push({ kind: 'mapped', port: this.#port! });
    this.#outputs.push({ kind: 'served', ports: this.served });
  }

  get awaited(): boolean {
    return this.#state === 'acquiring';
  }

  get served(): readonly ServedPort[] {
    return this.#state === 'mapped' ? [{ port: this.#port!, insidePort: this.#port! }] : [];
  }

  /** The port belongs to the account, whatever the exit. */
  restart(): void {}

  /** The port arrives inside where it is outside. */
  setInternalPort(): void {}

  release(): void {
    const wasMapped = this.#state === 'mapped';
    this.#state = 'off';
    if (wasMapped) {
      this.#outputs.push({ kind: 'lost', reason: endOf('released') });
      this.#outputs.push({ kind: 'served', ports: [] });
    }
    this.#outputs.push({ kind: 'released' });
  }

  /** Nothing was asked. */
  handleDatagram(): void {
    this.drops.count('natpmp-unmatched');
  }

  handleTimeout(): void {}

  nextTimeout(): Instant | undefined {
    return undefined;
  }

  nextOutput(): LeaseOutput | undefined {
    return this.#outputs.shift();
  }

  facts(): LeaseFacts {
    const provider = this.#port === undefined ? 'none' : 'static';
    if (this.#state !== 'mapped') return { provider, state: this.#state, protocols: [] };
    return { provider, state: 'mapped', port: this.#port!, protocols: ['tcp', 'udp'] };
  }
}
