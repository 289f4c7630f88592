/**
 * The killswitch's policy: may traffic flow, and if not, why. Facts come in, one value comes out. The reasons are a set, and each is
 * cleared only by what set it right; a probe never ends silence, a handshake never ends a leak.
 *
 * It protects by what `policy.flow` says: whoever opens sockets asks it first. Pausing torrent clients is a courtesy to them.
 *
 * Drain `nextOutput` after every call, then arm one timer for `nextTimeout`: staleness begins at that very moment, not at a poll.
 */

import { after, earliest, type Instant } from '../base/instant.ts';
import type { GuardMemory, LeakFinding } from './memory.ts';
import {
  type ClientOrder,
  effectOf,
  type Flow,
  GUARD_REASONS,
  type GuardReason,
  type GuardState,
  READY,
  stateOf,
} from './policy.ts';
import { type Explanation, explain } from './reasons.ts';

export interface GuardSettings {
  /** Default true. */
  readonly killswitch?: boolean;
  /** The age of the latest handshake from which on the tunnel is stale. 150 at least: a healthy one grows to 145 s. */
  readonly staleAfterSeconds?: number;
  /** How long the server leaves what it was sent unanswered, an initiation at last among it, until the tunnel is stale. */
  readonly silentAfterSeconds?: number;
  /** Whether persistent keepalives renew the handshake of an idle tunnel. Without them its age says nothing. Default true. */
  readonly keepalive?: boolean;
  /** `warn`: a confirmed mismatch is no reason. For providers that rotate their exits widely. */
  readonly onMismatch?: 'pause' | 'warn';
  /** False: opened switched off. */
  readonly enabled?: boolean;
  readonly memory?: GuardMemory;
}

/** What a WireGuard peer knows about its link; `Peer` has these fields. */
export interface LinkFacts {
  readonly lastReceivedAt: Instant | undefined;
  readonly dataUnansweredSince?: Instant | undefined;
  readonly initiationUnansweredSince: Instant | undefined;
}

/** The end of a probe, for one family. A failed probe is `unknown`, and changes nothing. */
export type ProbeResult =
  /** `findings`: the guard's count of that name when the probe began. */
  | { readonly verdict: 'ok' | 'unknown'; readonly family: 4 | 6; readonly findings: number }
  | { readonly verdict: 'leak'; readonly finding: LeakFinding };

/** Something is wrong that no handshake shows. `helpless`: nothing will come of it before a person acts. */
export interface Fault extends Explanation {
  readonly helpless: boolean;
}

export interface Policy {
  readonly state: GuardState;
  /** The answer of /readyz. */
  readonly ready: boolean;
  readonly flow: Flow;
  readonly clients: ClientOrder;
  /** `killswitch` in the status. With the killswitch off, it is never engaged; the reasons are told nevertheless. */
  readonly killswitch: {
    readonly enabled: boolean;
    readonly engaged: boolean;
    readonly reasons: readonly GuardReason[];
  };
  /** `null` only while `connected`. */
  readonly reason: Explanation | null;
}

export type GuardOutput =
  /** Write this to the state folder before anything else is done. */
  | { readonly kind: 'remember'; readonly memory: GuardMemory }
  /** A reason was added; `reasons` are all. */
  | { readonly kind: 'engaged'; readonly reasons: readonly GuardReason[] }
  /** The last reason is gone. */
  | { readonly kind: 'released' }
  /** Any part of the policy changed. */
  | { readonly kind: 'policy'; readonly policy: Policy };

export const STALE_AFTER_SECONDS = 180;
export const SILENT_AFTER_SECONDS = 30;
/** An initiation unanswered for so long makes a session `degraded`. */
export const DEGRADED_AFTER_SECONDS = 15;

export class Guard {
  readonly #staleAfterMs: number;
  readonly #silentAfterMs: number;
  readonly #keepalive: boolean;
  readonly #onMismatch: 'pause' | 'warn';
  readonly #reasons: Set<GuardReason>;
  #killswitch: boolean;
  #handshakeAt: Instant | undefined;
  #receivedAt: Instant | undefined;
  #dataSince: Instant | undefined;
  #unansweredSince: Instant | undefined;
  /** Whether the initiation has been unanswered for DEGRADED_AFTER_SECONDS. */
  #unanswered = false;
  #connectedBefore = false;
  #sharedKey = false;
  #fault: Fault | undefined;
  #memory: GuardMemory;
  #findings = 0;
  #policy: Policy;
  #toldPolicy: Policy;
  #toldKillswitch: Policy['killswitch'];
  #toldMemory: GuardMemory;

  /** Closed from the first moment: `starting` stands until a handshake. Nothing is told about that; read `policy`. */
  constructor(settings: GuardSettings = {}) {
    this.#staleAfterMs = (settings.staleAfterSeconds ?? STALE_AFTER_SECONDS) * 1_000;
    this.#silentAfterMs = (settings.silentAfterSeconds ?? SILENT_AFTER_SECONDS) * 1_000;
    this.#keepalive = settings.keepalive ?? true;
    this.#onMismatch = settings.onMismatch ?? 'pause';
    this.#killswitch = settings.killswitch ?? true;
    this.#memory = settings.memory ?? { leaks: [], unreadable: false };
    this.#reasons = new Set(['starting']);
    if (settings.enabled === false) this.#reasons.add('user');
    if (this.#leaking) this.#reasons.add('leak');
    this.#policy = this.#derive();
    this.#toldPolicy = this.#policy;
    this.#toldKillswitch = this.#policy.killswitch;
    this.#toldMemory = this.#memory;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** Whether new sockets may be opened. */
  get mayFlow(): boolean {
    return this.#policy.flow === 'open';
  }

  /** Whether the probe may: through a leak nothing else flows. */
  get mayProbe(): boolean {
    return this.#policy.flow === 'open' || this.#policy.flow === 'probe';
  }

  get pauseClients(): boolean {
    return this.#policy.clients === 'pause';
  }

  /** How many leaks were found so far: a clean probe that began before the latest says nothing about it. */
  get findings(): number {
    return this.#findings;
  }

  /** No reason stands and no initiation is unanswered: what comes and goes by the link then changes nothing here. */
  get unconcerned(): boolean {
    return this.#unansweredSince === undefined && this.#policy.killswitch.reasons.length === 0;
  }

  /** What must survive a restart. */
  get memory(): GuardMemory {
    return this.#memory;
  }

  /** A session with the server can be used. Ends `starting` and `stale`, whatever else stands. */
  handleHandshake(now: Instant): void {
    this.#handshakeAt = now;
    this.#receivedAt = now;
    this.#dataSince = undefined;
    this.#unansweredSince = undefined;
    this.#unanswered = false;
    this.#connectedBefore = true;
    this.#fault = undefined;
    this.#reasons.delete('starting');
    this.#reasons.delete('stale');
    this.#settle(now);
  }

  /** After each turn of the device. Cheap while nothing changes. */
  handleLink({ lastReceivedAt, dataUnansweredSince, initiationUnansweredSince }: LinkFacts, now: Instant): void {
    this.#receivedAt = lastReceivedAt;
    this.#dataSince = dataUnansweredSince;
    if (initiationUnansweredSince === this.#unansweredSince) return;
    this.#unansweredSince = initiationUnansweredSince;
    this.#unanswered = false;
    this.#settle(now);
  }

  /** Another server, or another key of ours: what was known about the link is void, and nothing flows before a handshake. */
  handleIdentity(now: Instant): void {
    this.#reasons.add('starting');
    this.#handshakeAt = undefined;
    this.#dataSince = undefined;
    this.#unansweredSince = undefined;
    this.#unanswered = false;
    this.#settle(now);
  }

  /** `ok` clears the leak of its family if the probe began after it was found, `leak` is a mismatch that was confirmed. */
  handleProbe(result: ProbeResult, now: Instant): void {
    if (result.verdict === 'leak') this.#found(result.finding);
    else if (result.verdict === 'ok' && result.findings === this.#findings)
      this.#remember(this.#memory.leaks.filter(({ family }) => family !== result.family));
    this.#settle(now);
  }

  /** A person's word that the exit is right. The caller adds the addresses of `memory.leaks` to those expected first. */
  accept(now: Instant): void {
    this.#remember([]);
    this.#settle(now);
  }

  /** A person switches the VPN off or on. When on again, nothing flows before a fresh handshake, which the caller starts. */
  setEnabled(enabled: boolean, now: Instant): void {
    if (enabled !== this.#reasons.has('user')) return;
    if (!enabled) {
      this.#reasons.add('user');
      this.#settle(now);
      return;
    }
    this.#reasons.delete('user');
    this.handleIdentity(now);
  }

  /** A person switches the killswitch, not the VPN. */
  setKillswitch(enabled: boolean, now: Instant): void {
    this.#killswitch = enabled;
    this.#settle(now);
  }

  /** What keeps the tunnel from coming up, in the words of whoever tried; cleared by a handshake, or by `undefined`. */
  handleFault(fault: Fault | undefined, now: Instant): void {
    this.#fault = fault;
    this.#settle(now);
  }

  /** Whether a second holder of the key is suspected (`KeySharing`). */
  handleSharedKey(suspected: boolean, now: Instant): void {
    this.#sharedKey = suspected;
    this.#settle(now);
  }

  handleTimeout(now: Instant): void {
    this.#settle(now);
  }

  /** The exact moment at which the tunnel becomes stale or degraded if nothing comes. */
  nextTimeout(): Instant | undefined {
    return earliest(this.#staleAt(), this.#degradedAt());
  }

  /** What changed since the last call: what to write first, then what to tell. */
  nextOutput(): GuardOutput | undefined {
    if (this.#toldMemory !== this.#memory) {
      this.#toldMemory = this.#memory;
      return { kind: 'remember', memory: this.#memory };
    }
    const { killswitch } = this.#policy;
    const before = this.#toldKillswitch;
    this.#toldKillswitch = killswitch;
    if (before.engaged && !killswitch.engaged) return { kind: 'released' };
    if (killswitch.engaged && killswitch.reasons.some((reason) => !before.engaged || !before.reasons.includes(reason)))
      return { kind: 'engaged', reasons: killswitch.reasons };
    if (this.#toldPolicy === this.#policy) return undefined;
    this.#toldPolicy = this.#policy;
    return { kind: 'policy', policy: this.#policy };
  }

  get #leaking(): boolean {
    return this.#memory.leaks.length > 0 || this.#memory.unreadable;
  }

  #found(finding: LeakFinding): void {
    if (this.#onMismatch === 'warn') return;
    const others = this.#memory.leaks.filter(({ family }) => family !== finding.family);
    this.#memory = { leaks: [...others, finding], unreadable: this.#memory.unreadable };
    this.#findings++;
    this.#reasons.add('leak');
  }

  /** The leaks that are left; what could not be read is settled by the first word on any of them. */
  #remember(leaks: readonly LeakFinding[]): void {
    if (!this.#leaking) return;
    this.#memory = { leaks, unreadable: false };
    if (leaks.length === 0) this.#reasons.delete('leak');
  }

  #settle(now: Instant): void {
    const staleAt = this.#staleAt();
    if (staleAt !== undefined && staleAt <= now) this.#reasons.add('stale');
    const degradedAt = this.#degradedAt();
    if (degradedAt !== undefined && degradedAt <= now) this.#unanswered = true;
    const policy = this.#derive();
    if (!samePolicy(policy, this.#policy)) this.#policy = policy;
  }

  /** Switched off, a tunnel does not age: it needs a handshake anyhow. */
  #staleAt(): Instant | undefined {
    if (this.#reasons.has('stale') || this.#reasons.has('user')) return undefined;
    const aged =
      this.#keepalive && this.#handshakeAt !== undefined ? after(this.#handshakeAt, this.#staleAfterMs) : undefined;
    return earliest(aged, this.#silentAt());
  }

  /**
   * An idle tunnel receives nothing for minutes, so silence counts from what was sent and not answered: data, or else the initiation.
   * Data alone proves nothing, since some needs no answer; an initiation always does.
   */
  #silentAt(): Instant | undefined {
    if (this.#unansweredSince === undefined) return undefined;
    const initiation = Math.max(this.#unansweredSince, this.#receivedAt ?? this.#unansweredSince) as Instant;
    return after(earliest(this.#dataSince, initiation)!, this.#silentAfterMs);
  }

  #degradedAt(): Instant | undefined {
    if (this.#unanswered || this.#unansweredSince === undefined || this.#reasons.has('user')) return undefined;
    return after(this.#unansweredSince, DEGRADED_AFTER_SECONDS * 1_000);
  }

  #derive(): Policy {
    const reasons = GUARD_REASONS.filter((reason) => this.#reasons.has(reason));
    const { flow, clients } = effectOf(reasons, this.#killswitch);
    const state = stateOf({
      reasons: this.#reasons,
      killswitch: this.#killswitch,
      connectedBefore: this.#connectedBefore,
      impaired: this.#unanswered || this.#sharedKey || this.#fault !== undefined,
      helpless: this.#fault?.helpless ?? false,
    });
    const engaged = this.#killswitch && reasons.length > 0;
    const reason = this.#explain(state);
    return {
      state,
      ready: READY[state],
      flow,
      clients,
      killswitch: { enabled: this.#killswitch, engaged, reasons },
      reason,
    };
  }

  #explain(state: GuardState): Explanation | null {
    if (state === 'connected') return null;
    if (state === 'disabled') return explain('user');
    if (state === 'blocked') return this.#explainLeak('leak');
    if (this.#fault) return { code: this.#fault.code, message: this.#fault.message, hint: this.#fault.hint };
    if (this.#sharedKey) return explain('shared-key');
    if (state === 'degraded' && this.#reasons.has('leak')) return this.#explainLeak('leak-ignored');
    if (state === 'degraded') return explain('degraded', { seconds: DEGRADED_AFTER_SECONDS });
    if (this.#unansweredSince !== undefined && this.#reasons.has('stale'))
      return this.#connectedBefore
        ? explain('silent', { seconds: this.#silentAfterMs / 1_000 })
        : explain('unanswered');
    if (this.#reasons.has('stale')) return explain('stale', { seconds: this.#staleAfterMs / 1_000 });
    return this.#unanswered ? explain('unanswered') : explain('starting');
  }

  #explainLeak(code: 'leak' | 'leak-ignored'): Explanation {
    const [first] = this.#memory.leaks;
    if (!first) return explain('state-unreadable');
    return explain(code, { observed: first.observed, expected: first.expected.join(', ') || 'not known' });
  }
}

function samePolicy(a: Policy, b: Policy): boolean {
  return (
    a.state === b.state &&
    a.flow === b.flow &&
    a.clients === b.clients &&
    a.reason?.message === b.reason?.message &&
    a.killswitch.enabled === b.killswitch.enabled &&
    a.killswitch.reasons.join() === b.killswitch.reasons.join()
  );
}
