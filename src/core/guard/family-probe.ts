/** The probe of one family: a round of questions, of which one at a time is open, and what the latest round came to. */

import type { IpAddress } from '../base/address.ts';
import type { Instant } from '../base/instant.ts';
import type { EgressJudgement } from './egress.ts';
import { ExitHistory } from './exit-history.ts';
import { type ProbeFault, type ProbeRequestFault, parseProbeAnswer } from './probe-answer.ts';
import { ProbeRound, type ProbeStep } from './probe-round.ts';

/** `pending`: not probed yet since the tunnel came up. `unknown`: probed in vain, which is never `ok` and never a leak. */
export type ProbeVerdict = 'ok' | 'leak' | 'unknown' | 'pending';

/** Why a probe came to nothing. */
export type ProbeProblem =
  | ProbeFault
  /** Two servers say what does not fit together. */
  | 'contradiction'
  /** The servers agree, but nothing is learnt while the guard is engaged. */
  | 'nothing-expected';

/** In words, to follow on "cannot be checked:". */
export const PROBE_PROBLEMS: Readonly<Record<ProbeProblem, string>> = {
  'no-name': 'the names of the probe’s servers do not resolve in the tunnel',
  'no-connection': 'the probe’s servers cannot be reached',
  'not-verified': 'a probe server has no valid certificate, as behind a captive portal',
  timeout: 'the probe’s servers do not answer in time',
  'not-200': 'the probe’s servers refuse or redirect',
  encoded: 'a probe server answers in an encoding that was not asked for',
  empty: 'a probe server’s answer is empty',
  'too-long': 'a probe server’s answer is too long for an address',
  'not-an-address': 'a probe server answers with something else than an address, as a captive portal does',
  'not-public': 'a probe server tells an address that no exit can have',
  'wrong-family': 'a probe server tells an address of the other family',
  contradiction: 'the probe’s servers contradict each other',
  'nothing-expected': 'nothing is known to compare it with',
};

/** A question that is open. */
export interface OpenQuestion {
  readonly number: number;
  readonly deadline: Instant;
}

export class FamilyProbe {
  readonly family: 4 | 6;
  /** The open question; `undefined` between rounds. */
  question: OpenQuestion | undefined;
  verdict: ProbeVerdict = 'pending';
  /** By the latest round. */
  observed: IpAddress | undefined;
  problem: ProbeProblem | undefined;
  readonly exits: ExitHistory = new ExitHistory();
  /** The guard's count of leaks when the round began. */
  findings = 0;
  readonly #servers: number;
  #round: ProbeRound | undefined;
  #fault: ProbeFault | undefined;

  /** `servers`: how many can be asked. */
  constructor(family: 4 | 6, servers: number) {
    this.family = family;
    this.#servers = servers;
  }

  begin(findings: number, judge: (observed: IpAddress) => EgressJudgement): ProbeStep {
    this.findings = findings;
    this.#fault = undefined;
    this.#round = new ProbeRound(this.#servers, judge);
    return this.#round.start();
  }

  /** The body of the answer to the open question, or why there is none. */
  take(answer: Uint8Array | ProbeRequestFault): ProbeStep {
    this.question = undefined;
    const read = typeof answer === 'string' ? undefined : parseProbeAnswer(answer, this.family);
    if (typeof answer === 'string') this.#fault = answer;
    else if (read?.kind === 'unknown') this.#fault = read.why;
    return this.#round!.handleAnswer(read);
  }

  conclude(verdict: 'ok' | 'leak', observed: IpAddress): void {
    this.verdict = verdict;
    this.observed = observed;
    this.problem = undefined;
  }

  /** `problem`: by default the last fault of a server. */
  fail(observed: IpAddress | undefined, problem: ProbeProblem = this.#fault ?? 'contradiction'): void {
    this.verdict = 'unknown';
    this.observed = observed;
    this.problem = problem;
  }

  /** The tunnel is down: what was seen is of no more use. */
  reset(): void {
    this.question = undefined;
    this.verdict = 'pending';
    this.problem = undefined;
  }
}
