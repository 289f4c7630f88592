/** What goes into the leak probe's machine and comes out of it. */

import type { Egress } from './egress.ts';
import type { ProbeProblem, ProbeVerdict } from './family-probe.ts';
import type { ProbeResult } from './guard.ts';

export interface ProberSettings {
  readonly egress: Egress;
  /** How many servers can be asked over each family; with none, it is not probed. */
  readonly servers: Readonly<Record<4 | 6, number>>;
  readonly intervalSeconds?: number;
  /** For each question, from the look-up of the name to the last byte of the answer. */
  readonly timeoutSeconds?: number;
  /** Milliseconds since 1970, for display only. */
  readonly wallMs: () => number;
}

/** The VPN server that the exit is behind, and the families that the tunnel has an address in. */
export interface ProbedServer {
  readonly key: Uint8Array;
  readonly families: readonly (4 | 6)[];
}

export type ProberEvent =
  /** Ask this server, and answer with `handleAnswer`. */
  | { readonly kind: 'ask'; readonly number: number; readonly family: 4 | 6; readonly server: number }
  /** Its answer is of no use any more. */
  | { readonly kind: 'cancel'; readonly number: number }
  /** Write this to the state folder: what the egress knows has changed. */
  | { readonly kind: 'remember'; readonly text: string }
  /** The probes up to this number are over. */
  | { readonly kind: 'done'; readonly probe: number };

export type ProberOutput =
  | ProberEvent
  /** For the guard, before anything else. */
  | { readonly kind: 'result'; readonly result: ProbeResult }
  /** Connections that were opened before this are dead: to the other side they come from another address. */
  | { readonly kind: 'exit-changed'; readonly family: 4 | 6 };

/** For the status. */
export interface ProberFacts {
  readonly verdict: ProbeVerdict;
  /** One for each family that is probed. */
  readonly families: readonly FamilyFacts[];
  readonly checkedAtMs: number | undefined;
  /** 0 while one is running; `undefined` while the tunnel is down. */
  readonly nextInSeconds: number | undefined;
}

export interface FamilyFacts {
  readonly family: 4 | 6;
  readonly verdict: ProbeVerdict;
  readonly observed: string | undefined;
  readonly expected: readonly string[];
  readonly problem: ProbeProblem | undefined;
  /** Probes in vain, one after another. */
  readonly failures: number;
}
