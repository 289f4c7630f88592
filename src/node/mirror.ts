/** What the embedder's side may know of the engine without waiting: read from the machine, or from a copy of what was read there. */

import type { DropCounter } from '../core/base/drops.ts';
import { elapsedMs, type Instant } from '../core/base/instant.ts';
import type { Policy } from '../core/guard/guard.ts';
import type { ProberFacts } from '../core/guard/prober-messages.ts';
import type { SocketCounts } from '../core/netstack/netstack.ts';
import type { ServedPort } from '../core/portmap/messages.ts';
import type { Clock } from './clock.ts';
import type { LinkFigures, Mirror } from './engine.ts';
import type { EngineMachine } from './engine-machine.ts';

/** On the machine's own thread: every look is at the machine as it is. */
export class LiveMirror implements Mirror {
  readonly #parts: EngineMachine;
  readonly #crypto: string;
  readonly #clock: Clock;

  constructor(parts: EngineMachine, host: { readonly crypto: { readonly name: string }; readonly clock: Clock }) {
    this.#parts = parts;
    this.#crypto = host.crypto.name;
    this.#clock = host.clock;
  }

  get at(): Instant {
    return this.#clock.now();
  }

  get policy(): Policy {
    return this.#parts.machine.guard.policy;
  }

  get configuration(): number {
    return this.#parts.machine.configuration;
  }

  get link(): LinkFigures {
    const { machine, lease } = this.#parts;
    const { mtu, peers, device, host, drops } = machine;
    const counters: readonly DropCounter<string>[] = [device.drops, host.drops, drops, lease.drops];
    return {
      mtu,
      lastHandshakeAt: latest(peers.map((peer) => peer.lastHandshakeAt)),
      rxBytes: sum(peers.map((peer) => peer.rxBytes)),
      txBytes: sum(peers.map((peer) => peer.txBytes)),
      drops: Object.assign({}, ...counters.map((counter) => counter.toJSON())),
      crypto: this.#crypto,
    };
  }

  get sockets(): SocketCounts {
    return this.#parts.machine.host.counts();
  }

  get lease(): Mirror['lease'] {
    const { externalAddress: _, ...facts } = this.#parts.lease.facts(this.at);
    return facts;
  }

  get served(): readonly ServedPort[] {
    return this.#parts.lease.served;
  }

  get probe(): ProberFacts | undefined {
    return this.#parts.machine.prober?.facts(this.at);
  }
}

/** A countdown that stood at `seconds` when the mirror was read, as it stands now; `null` if there is none. */
export function countdown(seconds: number | undefined, { at }: Pick<Mirror, 'at'>, now: Instant): number | null {
  if (seconds === undefined) return null;
  return Math.max(0, Math.round(seconds - elapsedMs(at, now) / 1_000));
}

function latest(times: readonly (Instant | undefined)[]): Instant | undefined {
  return times.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
