/** A port-forward lease that is in the state the test says, and does nothing. */
import { DropCounter } from '../../src/core/base/drops.ts';
import type { LeaseDrop, LeaseFacts, LeaseState, PortLease } from '../../src/core/portmap/messages.ts';

export class ScriptedLease implements PortLease {
  readonly drops: DropCounter<LeaseDrop> = new DropCounter();
  readonly served = [];
  state: LeaseState = 'acquiring';
  asking = false;

  get awaited(): boolean {
    return this.state === 'acquiring' || (this.state === 'failed' && this.asking);
  }

  handleHandshake(): void {}
  restart(): void {}
  setInternalPort(): void {}
  release(): void {}
  handleDatagram(): void {}
  handleTimeout(): void {}

  nextTimeout(): undefined {
    return undefined;
  }

  nextOutput(): undefined {
    return undefined;
  }

  facts(): LeaseFacts {
    return { provider: 'natpmp', state: this.state, protocols: [] };
  }
}
