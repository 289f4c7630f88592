/**
 * The leak probe's schedule: when which server is asked for the address that it sees, over IPv4 and IPv6 apart, and what the answers
 * mean to the guard. It asks when the tunnel comes up, every five minutes, and when a person wants it; sooner again after a
 * failure and through a leak, which a clean answer ends. Nothing is asked while the tunnel is down.
 *
 * Drain `nextOutput` after every call, then arm one timer for `nextTimeout`.
 */

import { formatIp, formatPrefix, type IpAddress, type Prefix, parseIp } from '../base/address.ts';
import { after, earliest, elapsedMs, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { Egress } from './egress.ts';
import { FamilyProbe, type ProbeVerdict } from './family-probe.ts';
import type { Guard, Policy, ProbeResult } from './guard.ts';
import type { ProbeRequestFault } from './probe-answer.ts';
import type { ProbeStep } from './probe-round.ts';
import type { FamilyFacts, ProbedServer, ProberFacts, ProberOutput, ProberSettings } from './prober-messages.ts';

export const PROBE_INTERVAL_SECONDS = 300;
export const PROBE_TIMEOUT_SECONDS = 10;
/** After a failure; doubled after each, up to the interval. */
export const FIRST_RETRY_MS = 30_000;
/** Through a leak, whose end nobody should wait for. */
export const LEAK_INTERVAL_MS = 60_000;
/** The gateway's word on the exit (NAT-PMP) is waited for, at most for so long. */
export const PORT_WAIT_MS = 8_000;

/** What is read of the guard. */
type GuardView = Pick<Guard, 'policy' | 'findings' | 'memory'>;

type Phase =
  | { readonly kind: 'down' }
  | { readonly kind: 'awaiting-port'; readonly until: Instant }
  | { readonly kind: 'probing'; again: boolean }
  | { readonly kind: 'resting'; readonly since: Instant };

export class Prober {
  readonly #guard: GuardView;
  readonly #egress: Egress;
  readonly #servers: ProberSettings['servers'];
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #wallMs: () => number;
  readonly #outputs: Queue<ProberOutput> = new Queue();
  #serverKey: Uint8Array = new Uint8Array(0);
  #families: readonly FamilyProbe[] = [];
  #policy: Policy | undefined;
  #phase: Phase = { kind: 'down' };
  #probe = 0;
  #lastQuestion = 0;
  #checkedAtMs: number | undefined;
  /** Probes one after another in which some family was unknown. */
  #failures = 0;
  /** Families whose exit changed. Told at the end of the probe: what follows would end a question over the other family. */
  readonly #moved: (4 | 6)[] = [];

  /** `guard` is only read: what it has to be told comes out as `result`. */
  constructor(settings: ProberSettings, guard: GuardView, server: ProbedServer) {
    const { intervalSeconds = PROBE_INTERVAL_SECONDS, timeoutSeconds = PROBE_TIMEOUT_SECONDS } = settings;
    this.#guard = guard;
    this.#egress = settings.egress;
    this.#servers = settings.servers;
    this.#intervalMs = intervalSeconds * 1_000;
    this.#timeoutMs = timeoutSeconds * 1_000;
    this.#wallMs = settings.wallMs;
    this.handleServer(server);
  }

  /** After each change of the guard. Cheap while nothing changes. `portAwaited`: the port-forward lease is just being asked for. */
  handleGuard(portAwaited: boolean, now: Instant): void {
    const { policy } = this.#guard;
    if (policy === this.#policy) return;
    this.#policy = policy;
    const up = policy.killswitch.reasons.every((reason) => reason === 'leak');
    if (!up || this.#families.length === 0) this.#stop();
    else if (this.#phase.kind === 'down' && portAwaited)
      this.#phase = { kind: 'awaiting-port', until: after(now, PORT_WAIT_MS) };
    else if (this.#phase.kind === 'down') this.#begin(now);
  }

  /** The lease has a port or none; `externalAddress` is the exit by the gateway's own word, which is learnt. */
  handlePort(externalAddress: IpAddress | undefined, now: Instant): void {
    if (externalAddress && this.#learn(externalAddress)) this.#remember();
    if (this.#phase.kind === 'awaiting-port') this.#begin(now);
  }

  /** The exit is another server's from now on: before the guard is told. */
  handleServer({ key, families }: ProbedServer): void {
    this.#stop();
    this.#serverKey = key;
    const probed = families.filter((family) => this.#servers[family] > 0);
    this.#families = probed.map((family) => new FamilyProbe(family, this.#servers[family]));
    this.#checkedAtMs = undefined;
  }

  /** The body of an answer, or why there is none. Late ones are ignored. Never throws on bytes. */
  handleAnswer(question: number, answer: Uint8Array | ProbeRequestFault, now: Instant): void {
    const probe = this.#families.find((each) => each.question?.number === question);
    if (probe) this.#follow(probe, probe.take(answer), now);
  }

  /** A person wants to know: a probe that begins now or, if one is running, right after it. Returns the number that `done` will tell. */
  demand(now: Instant): number {
    if (this.#phase.kind === 'probing') {
      this.#phase.again = true;
      return this.#probe + 1;
    }
    if (this.#phase.kind !== 'down') this.#begin(now);
    else this.#outputs.push({ kind: 'done', probe: ++this.#probe });
    return this.#probe;
  }

  /** A person's word that the exits that were seen are right. The caller tells the guard next. */
  accept(): void {
    const found = this.#guard.memory.leaks.map(({ observed }) => parseIp(observed));
    const warned = this.#families.map((probe) => (probe.verdict === 'leak' ? probe.observed : undefined));
    const accepted = [...found, ...warned].filter((address) => address !== undefined);
    const news = accepted.filter((address) => this.#egress.accept(this.#serverKey, address));
    for (const probe of this.#families) if (probe.verdict === 'leak') probe.reset();
    if (news.length > 0) this.#remember();
  }

  handleTimeout(now: Instant): void {
    for (const probe of this.#families) {
      const { question } = probe;
      if (!question || question.deadline > now) continue;
      this.#outputs.push({ kind: 'cancel', number: question.number });
      this.handleAnswer(question.number, 'timeout', now);
    }
    const beginsAt = this.#beginsAt();
    if (beginsAt !== undefined && beginsAt <= now) this.#begin(now);
  }

  nextTimeout(): Instant | undefined {
    let next = this.#beginsAt();
    for (const { question } of this.#families) next = earliest(next, question?.deadline);
    return next;
  }

  nextOutput(): ProberOutput | undefined {
    return this.#outputs.shift();
  }

  facts(now: Instant): ProberFacts {
    const families = this.#families.map((probe) => this.#factsOf(probe));
    const beginsAt = this.#beginsAt();
    const rank: readonly ProbeVerdict[] = ['leak', 'pending', 'unknown'];
    const leaking = this.#guard.memory.leaks.length > 0;
    return {
      verdict: leaking ? 'leak' : (rank.find((verdict) => families.some((each) => each.verdict === verdict)) ?? 'ok'),
      families,
      checkedAtMs: this.#checkedAtMs,
      nextInSeconds: this.#phase.kind === 'down' ? undefined : Math.round(elapsedMs(now, beginsAt ?? now) / 1_000),
    };
  }

  #factsOf({ family, verdict, observed, problem }: FamilyProbe): FamilyFacts {
    const leak = this.#guard.memory.leaks.find((each) => each.family === family);
    return {
      family,
      verdict: leak ? 'leak' : verdict,
      observed: observed ? formatIp(observed) : leak?.observed,
      expected: this.#expected(family),
      problem,
      failures: verdict === 'unknown' ? this.#failures : 0,
    };
  }

  #expected(family: 4 | 6): string[] {
    return this.#egress.expected(this.#serverKey, family).map(shortPrefix);
  }

  /** When the next probe begins by itself: it depends on what the guard has made of the last one. */
  #beginsAt(): Instant | undefined {
    const phase = this.#phase;
    if (phase.kind === 'awaiting-port') return phase.until;
    if (phase.kind !== 'resting') return undefined;
    const leaking = this.#guard.policy.killswitch.reasons.includes('leak');
    const retryMs = FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 20);
    const soonMs = leaking ? LEAK_INTERVAL_MS : this.#failures > 0 ? retryMs : this.#intervalMs;
    return after(phase.since, Math.min(soonMs, this.#intervalMs));
  }

  #begin(now: Instant): void {
    this.#phase = { kind: 'probing', again: false };
    this.#probe++;
    const { findings } = this.#guard;
    for (const probe of this.#families)
      this.#follow(
        probe,
        probe.begin(findings, (observed) => this.#egress.judge(this.#serverKey, observed)),
        now,
      );
  }

  #follow(probe: FamilyProbe, step: ProbeStep, now: Instant): void {
    if (step.kind === 'ask') {
      const number = ++this.#lastQuestion;
      probe.question = { number, deadline: after(now, this.#timeoutMs) };
      this.#outputs.push({ kind: 'ask', number, family: probe.family, server: step.url });
      return;
    }
    this.#conclude(probe, step);
    if (this.#families.every(({ question }) => !question)) this.#finish(now);
  }

  #conclude(probe: FamilyProbe, step: Exclude<ProbeStep, { readonly kind: 'ask' }>): void {
    const { family } = probe;
    const { kind, observed } = step;
    if (kind === 'unknown') {
      probe.fail(observed);
      return;
    }
    if (kind === 'learn' && !this.#learn(observed)) {
      probe.fail(observed, 'nothing-expected');
      return;
    }
    probe.conclude(kind === 'leak' ? 'leak' : 'ok', observed);
    if (kind === 'learn') this.#remember();
    if (kind !== 'leak')
      this.#outputs.push({ kind: 'result', result: { verdict: 'ok', family, findings: probe.findings } });
    else if (!this.#isRemembered(family, observed))
      this.#outputs.push({ kind: 'result', result: { verdict: 'leak', finding: this.#finding(family, observed) } });
    if (probe.exits.observe(observed)) this.#moved.push(family);
  }

  #finish(now: Instant): void {
    const again = this.#phase.kind === 'probing' && this.#phase.again;
    this.#phase = { kind: 'resting', since: now };
    this.#checkedAtMs = this.#wallMs();
    this.#failures = this.#families.some(({ verdict }) => verdict === 'unknown') ? this.#failures + 1 : 0;
    for (const family of this.#moved.splice(0)) this.#outputs.push({ kind: 'exit-changed', family });
    this.#outputs.push({ kind: 'done', probe: this.#probe });
    if (again) this.#begin(now);
  }

  /** The tunnel is down. Whoever waits for a probe is told that there is none. */
  #stop(): void {
    if (this.#phase.kind === 'down') return;
    if (this.#phase.kind === 'probing') {
      if (this.#phase.again) this.#probe++;
      this.#outputs.push({ kind: 'done', probe: this.#probe });
    }
    this.#phase = { kind: 'down' };
    this.#moved.length = 0;
    this.#failures = 0;
    for (const probe of this.#families) {
      if (probe.question) this.#outputs.push({ kind: 'cancel', number: probe.question.number });
      probe.reset();
      probe.exits.handleOutage();
    }
  }

  /** Whatever is seen or said while a reason stands teaches nothing. */
  #learn(address: IpAddress): boolean {
    return this.#guard.policy.killswitch.reasons.length === 0 && this.#egress.learn(this.#serverKey, address);
  }

  #remember(): void {
    this.#outputs.push({ kind: 'remember', text: this.#egress.serialise() });
  }

  /** Told once: each finding is written to disk. */
  #isRemembered(family: 4 | 6, observed: IpAddress): boolean {
    return this.#guard.memory.leaks.some((leak) => leak.family === family && leak.observed === formatIp(observed));
  }

  #finding(family: 4 | 6, observed: IpAddress): Extract<ProbeResult, { readonly verdict: 'leak' }>['finding'] {
    return {
      family,
      observed: formatIp(observed),
      expected: this.#expected(family),
      foundAtMs: this.#wallMs(),
    };
  }
}

/** A network of one address is that address, as a person wrote it. */
function shortPrefix(network: Prefix): string {
  return network.bits === network.address.bytes.length * 8 ? formatIp(network.address) : formatPrefix(network);
}
