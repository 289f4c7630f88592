/** A port-forward lease that is in the state the test says, and says what the test wants. */
import { DropCounter } from '../../src/core/base/drops.ts';
import type { LeaseDrop, LeaseFacts, LeaseOutput, LeaseState, PortLease } from '../../src/core/portmap/messages.ts';

export class ScriptedLease implements PortLease {
  readonly drops: DropCounter<LeaseDrop> = new DropCounter();
  readonly served = [];
  state: LeaseState = 'acquiring';
  asking = false;

  get awaited(): boolean {
    return this.state === 'acquiring' || (this.state === 'failed' && this.asking);
  }

  handleHandshake(): void {}
  /** How often the exit was taken for another one. */
  restarts = 0;

  restart(): void {
    this.restarts++;
  }

  setInternalPort(): void {}
  release(): void {}
  handleDatagram(): void {}
  handleTimeout(): void {}

  nextTimeout(): undefined {
    return undefined;
  }

  /** What it says next. */
  readonly outputs: LeaseOutput[] = [];

  nextOutput(): LeaseOutput | undefined {
    return this.outputs.shift();
  }

  facts(): LeaseFacts {
    return { provider: 'natpmp', state: this.state, protocols: [] };
  }
}
