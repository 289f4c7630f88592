/**
 * The guard and the torrent clients as a person would tell it, written apart from the real ones: a set of reasons, and for each
 * transfer who wants it to run. It knows no commands, no failures and no files; the real ones have to arrive where it is.
 */

import type { ClientOrder, GuardReason } from '../../../src/core/guard/policy.ts';

interface ModelTransfer {
  /** What the person wants, by the last word said; at first that it runs or not. */
  wanted: boolean;
  /** The person spoke for it since the killswitch engaged. */
  overridden: boolean;
  /** Ours to resume. */
  marked: boolean;
}

export class ReferenceModel {
  readonly reasons: Set<GuardReason> = new Set(['starting']);
  readonly transfers: Map<string, ModelTransfer> = new Map();
  killswitch = true;

  get order(): ClientOrder {
    if (this.reasons.size === 0) return 'run';
    const pauses = this.reasons.has('stale') || this.reasons.has('leak') || this.reasons.has('user');
    return this.killswitch && pauses ? 'pause' : 'leave';
  }

  get mayFlow(): boolean {
    if (this.reasons.has('starting') || this.reasons.has('user')) return false;
    return !this.killswitch || this.reasons.size === 0;
  }

  /** Call when any reason, switch or transfer changed. */
  settle(): void {
    for (const transfer of this.transfers.values()) {
      if (this.order === 'run') {
        transfer.overridden = false;
        transfer.marked = false;
      } else if (this.order === 'pause' && transfer.wanted && !transfer.overridden) transfer.marked = true;
    }
  }

  add(id: string, wanted: boolean): void {
    this.transfers.set(id, { wanted, overridden: false, marked: false });
    this.settle();
  }

  person(id: string, wanted: boolean): void {
    const transfer = this.transfers.get(id)!;
    transfer.wanted = wanted;
    transfer.marked = false;
    transfer.overridden = wanted && this.order !== 'run';
    this.settle();
  }

  /** Overrides are a matter of the running process. */
  restart(): void {
    this.reasons.delete('stale');
    this.reasons.add('starting');
    for (const transfer of this.transfers.values()) transfer.overridden = false;
    this.settle();
  }

  /** Whether the transfer runs once every command has arrived. */
  runs(id: string): boolean {
    const { wanted, marked } = this.transfers.get(id)!;
    return wanted && !marked;
  }
}
