/** The tunnel's machine, made of a description: what the engine has and its embedder has not. */

import type { IpAddress } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { Egress, type EgressOptions } from '../core/guard/egress.ts';
import { FixedPort } from '../core/portmap/fixed.ts';
import { NatPmpLease } from '../core/portmap/lease.ts';
import type { PortLease } from '../core/portmap/messages.ts';
import { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import type { Clock } from './clock.ts';
import { type Configuration, machineConfiguration } from './configurations.ts';
import type { EngineDescription } from './engine.ts';
import { availableMemory, tcpBudgets } from './memory-budget.ts';
import { systemRandom } from './random.ts';

export type LeaseDescription =
  | { readonly provider: 'none' }
  | { readonly provider: 'static'; readonly port: number }
  | {
      readonly provider: 'natpmp' | 'protonvpn';
      readonly gateway: IpAddress;
      readonly internalPort: number;
      readonly refreshSeconds?: number;
    };

export interface ProbeDescription {
  /** How many servers can be asked over each family. */
  readonly servers: Readonly<Record<4 | 6, number>>;
  /** Where the exit is expected: what the options say, and what the last `remember` said. */
  readonly egress: EgressOptions;
  readonly intervalSeconds?: number;
  readonly timeoutSeconds?: number;
}

export interface EngineMachine {
  readonly machine: TunnelMachine;
  readonly lease: PortLease;
  /** Absent if nobody is asked for the exit address. */
  readonly egress: Egress | undefined;
}

/** `configurations` are the description's, with their timestamps. */
export function createMachine(
  { lease, guard, probe }: EngineDescription,
  configurations: readonly Configuration[],
  { crypto, clock }: { readonly crypto: Crypto; readonly clock: Clock },
): EngineMachine {
  const [first, ...fallbacks] = configurations.map(({ wireguard }) => machineConfiguration(wireguard));
  const portLease = createLease(lease);
  const egress = probe && new Egress(probe.egress);
  const machine = new TunnelMachine(
    {
      ...first!,
      fallbacks,
      crypto,
      random: systemRandom,
      timestamp: (configuration) => configurations[configuration]!.timestamps.next(),
      limits: { tcp: tcpBudgets(availableMemory()) },
      lease: portLease,
      guard,
      ...(egress ? { probe: { ...probe, egress, wallMs: () => clock.wallMs() } } : {}),
    },
    clock.now(),
  );
  return { machine, lease: portLease, egress };
}

function createLease(description: LeaseDescription): PortLease {
  switch (description.provider) {
    case 'none':
      return new FixedPort(undefined);
    case 'static':
      return new FixedPort(description.port);
    default:
      return new NatPmpLease({ ...description, random: systemRandom });
  }
}
