/**
 * When to try which server address, without end. A server that is silent is tried again every 5 s, growing to 15 s, so that it is found
 * soon when it is back. Only when this host has no route at all does the pause grow to minutes, and a change of network or a wake from
 * sleep ends it at once.
 *
 * Each round begins with the name's addresses anew and tries them in turn, IPv4 and IPv6 mixed as the resolver gave them; families
 * that have no route are left out. After three rounds in vain it is the next configuration's turn. On a fallback, the first
 * configuration is checked every five minutes, and taken again when it is well.
 *
 * Drain `nextOutput` after every call, then arm one timer for `nextTimeout`.
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { after, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import { randomUnit } from '../base/random.ts';

export interface ReconnectOptions {
  readonly random: Random;
  /** The .conf and its fallbacks: how many there are, one at least. */
  readonly configurations: number;
}

export type ReconnectOutput =
  /** Look the endpoint's name up, and answer with `handleAddresses` or `handleLookupFailed`. */
  | { readonly kind: 'resolve'; readonly configuration: number }
  /** Make this the endpoint and start a handshake. If it cannot even be sent, answer with `handleNoRoute`. */
  | { readonly kind: 'try'; readonly configuration: number; readonly address: IpAddress }
  /** Find out whether this configuration's server answers, beside the tunnel that runs, and answer with `handleCheck`. */
  | { readonly kind: 'check'; readonly configuration: number };

/** WireGuard's own limit between two initiations (whitepaper §6.1, F5): no address gets less. */
export const FIRST_PERIOD_MS = 5_000;
/** A server that is back is tried within this time. */
export const LAST_PERIOD_MS = 15_000;
/** The longest pause while the host has no route. */
export const LAST_NO_ROUTE_MS = 300_000;
/** How long a lookup may take. */
const LOOKUP_TIMEOUT_MS = 10_000;
/** Rounds in vain until the next configuration is tried. */
const ROUNDS = 3;
const CHECK_INTERVAL_MS = 300_000;
const GROWTH = 1.5;
/** Part of each pause that is random, so that many clients of a server that comes back do not come at once. */
const JITTER = 0.1;

type Phase =
  | { readonly kind: 'resting' }
  | { readonly kind: 'looking-up'; readonly until: Instant }
  | { readonly kind: 'trying'; readonly next: Instant; readonly left: readonly IpAddress[] }
  | { readonly kind: 'no-route'; readonly until: Instant }
  /** `checkAt` only on a fallback. */
  | { readonly kind: 'connected'; readonly checkAt: Instant | undefined };

export class Reconnect {
  readonly #random: Random;
  readonly #configurations: number;
  readonly #outputs: Queue<ReconnectOutput> = new Queue(16);
  #phase: Phase = { kind: 'resting' };
  #configuration = 0;
  /** The latest addresses of each configuration: a name that cannot be looked up just now may still be right. */
  readonly #addresses: Map<number, readonly IpAddress[]> = new Map();
  readonly #withoutRoute: Set<4 | 6> = new Set();
  /** Rounds in vain with this configuration. */
  #rounds = 0;
  #period = FIRST_PERIOD_MS;
  #noRouteMs = LAST_PERIOD_MS;

  constructor({ random, configurations }: ReconnectOptions) {
    if (configurations < 1) throw new RangeError(`"configurations" expected 1 or more, got ${configurations}`);
    this.#random = random;
    this.#configurations = configurations;
  }

  /** The one in use, or being tried. */
  get configuration(): number {
    return this.#configuration;
  }

  /** Whether the host has no route to any of the addresses. */
  get withoutRoute(): boolean {
    return this.#phase.kind === 'no-route';
  }

  /** The tunnel is opened, or it is stale: try, if that is not being done already. */
  start(now: Instant): void {
    if (this.#phase.kind === 'resting' || this.#phase.kind === 'connected') this.#startAnew(now);
  }

  /** Nothing is tried any more: switched off, or closed. */
  stop(): void {
    this.#phase = { kind: 'resting' };
    this.#outputs.clear();
  }

  /** What the name of the configuration in hand has, in the order in which to try it. What comes late is known for the next time. */
  handleAddresses(addresses: readonly IpAddress[], now: Instant): void {
    if (addresses.length > 0) this.#addresses.set(this.#configuration, addresses);
    if (this.#phase.kind !== 'looking-up') return;
    this.#tryAll(now);
  }

  /** The name cannot be looked up: its latest addresses are tried, if there are any. */
  handleLookupFailed(now: Instant): void {
    this.handleAddresses([], now);
  }

  /** The datagram could not be sent for want of a route. */
  handleNoRoute(family: 4 | 6, now: Instant): void {
    if (this.#phase.kind === 'connected' || this.#phase.kind === 'resting') return;
    this.#withoutRoute.add(family);
    if (this.#phase.kind !== 'trying') return;
    // The next address is not made to wait for one that could not be tried.
    const left = this.#phase.left.filter((address) => !this.#withoutRoute.has(address.family));
    this.#phase = { ...this.#phase, left };
    if (left.length > 0) this.#tryNext(left, now);
    else if (this.#reachable().length === 0) this.#waitForRoute(now);
  }

  /** A handshake with the configuration in hand. Those that follow on the same connection change nothing. */
  handleConnected(now: Instant): void {
    if (this.#phase.kind === 'connected') return;
    this.#calm();
    const checkAt = this.#configuration > 0 ? after(now, CHECK_INTERVAL_MS) : undefined;
    this.#phase = { kind: 'connected', checkAt };
    this.#outputs.clear();
  }

  /** The outcome of a `check`. When the first configuration is well, it is tried at once, and the tunnel moves. */
  handleCheck(well: boolean, now: Instant): void {
    if (!well || this.#phase.kind !== 'connected' || this.#configuration === 0) return;
    this.#configuration = 0;
    this.#startAnew(now);
  }

  /** The host's addresses or routes changed, or it woke from sleep: what was known about routes is void. */
  handleNetworkChange(now: Instant): void {
    this.#withoutRoute.clear();
    if (this.#phase.kind !== 'resting' && this.#phase.kind !== 'connected') this.#startAnew(now);
  }

  handleTimeout(now: Instant): void {
    const due = this.nextTimeout();
    if (due === undefined || due > now) return;
    const phase = this.#phase;
    if (phase.kind === 'looking-up') this.handleLookupFailed(now);
    else if (phase.kind === 'trying' && phase.left.length > 0) this.#tryNext(phase.left, now);
    else if (phase.kind === 'trying') this.#endRound(now);
    else if (phase.kind === 'no-route') this.#lookAgain(now);
    else if (phase.kind === 'connected') {
      this.#phase = { kind: 'connected', checkAt: after(now, CHECK_INTERVAL_MS) };
      this.#outputs.push({ kind: 'check', configuration: 0 });
    }
  }

  nextTimeout(): Instant | undefined {
    const phase = this.#phase;
    if (phase.kind === 'looking-up' || phase.kind === 'no-route') return phase.until;
    if (phase.kind === 'trying') return phase.next;
    return phase.kind === 'connected' ? phase.checkAt : undefined;
  }

  nextOutput(): ReconnectOutput | undefined {
    return this.#outputs.shift();
  }

  #calm(): void {
    this.#rounds = 0;
    this.#period = FIRST_PERIOD_MS;
    this.#noRouteMs = LAST_PERIOD_MS;
    this.#withoutRoute.clear();
  }

  #startAnew(now: Instant): void {
    this.#calm();
    this.#lookUp(now);
  }

  #lookUp(now: Instant): void {
    this.#outputs.clear();
    this.#phase = { kind: 'looking-up', until: after(now, LOOKUP_TIMEOUT_MS) };
    this.#outputs.push({ kind: 'resolve', configuration: this.#configuration });
  }

  #reachable(): readonly IpAddress[] {
    const addresses = this.#addresses.get(this.#configuration) ?? [];
    return addresses.filter((address) => !this.#withoutRoute.has(address.family));
  }

  #tryAll(now: Instant): void {
    const reachable = this.#reachable();
    if (reachable.length > 0) this.#tryNext(reachable, now);
    else if (this.#withoutRoute.size > 0) this.#waitForRoute(now);
    // The name has no address, now or ever before: that is no better than silence.
    else this.#phase = { kind: 'trying', next: after(now, this.#jittered(this.#period)), left: [] };
  }

  /** Spreads the addresses of a round over its period; the period grows by rounds, so more addresses do not mean a longer wait. */
  #tryNext(addresses: readonly IpAddress[], now: Instant): void {
    const [address, ...left] = addresses;
    const share = this.#jittered(this.#period) / Math.max(1, this.#reachable().length);
    this.#phase = { kind: 'trying', next: after(now, Math.max(FIRST_PERIOD_MS, share)), left };
    this.#outputs.push({ kind: 'try', configuration: this.#configuration, address: address! });
  }

  #endRound(now: Instant): void {
    this.#period = Math.min(LAST_PERIOD_MS, this.#period * GROWTH);
    if (++this.#rounds % ROUNDS === 0) {
      this.#configuration = (this.#configuration + 1) % this.#configurations;
      this.#withoutRoute.clear();
    }
    this.#lookUp(now);
  }

  #waitForRoute(now: Instant): void {
    this.#phase = { kind: 'no-route', until: after(now, this.#jittered(this.#noRouteMs)) };
    this.#noRouteMs = Math.min(LAST_NO_ROUTE_MS, this.#noRouteMs * 2);
  }

  #lookAgain(now: Instant): void {
    this.#withoutRoute.clear();
    this.#lookUp(now);
  }

  /** A tenth of it is random; never more than is promised, nor less than the limit between initiations. */
  #jittered(ms: number): number {
    const least = Math.max(FIRST_PERIOD_MS, ms * (1 - JITTER));
    const most = Math.max(FIRST_PERIOD_MS * (1 + JITTER), ms);
    return least + randomUnit(this.#random) * (most - least);
  }
}
