/**
 * The timers of one peer (whitepaper §6). Each rule of the paper is one method, called when what it names has happened; what is due
 * is asked for with `takeDue`. Nothing here sends: the device acts on the name of the timer.
 */

import type { Random } from '../base/crypto.ts';
import { after, type Instant } from '../base/instant.ts';
import { randomUnit } from '../base/random.ts';
import {
  KEEPALIVE_TIMEOUT,
  MAX_INITIATIONS,
  REJECT_AFTER_TIME,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER,
  ZERO_KEYS_AFTER_TIME,
} from './constants.ts';

/** The slots of the deadline table. Of several that are due, as after a sleep, what ends comes before what begins. */
const TIMERS = {
  /** The current session reaches the end of its life: tell the owner. */
  sessionEnd: 0,
  /** No new session for long: forget all keys. */
  zeroKeys: 1,
  /** An initiation is unanswered, or one was asked for too early: send the next. */
  retryHandshake: 2,
  /** Data was received and nothing sent since: send an empty packet. */
  passiveKeepalive: 3,
  /** Data was sent and nothing received since: the session may be dead, start a handshake. */
  newHandshake: 4,
  /** Nothing authenticated went either way: send an empty packet, so that NATs keep the path. */
  persistentKeepalive: 5,
} as const;

export type TimerName = keyof typeof TIMERS;

const NAMES = Object.keys(TIMERS) as TimerName[];
const TIMER_COUNT = NAMES.length;
const NEVER = Number.POSITIVE_INFINITY;

export class Timers {
  readonly #random: Random;
  /** @internal When each timer is due; infinity while it is not armed. */
  readonly deadlines: Float64Array = new Float64Array(TIMER_COUNT).fill(NEVER);
  #persistentInterval = 0;
  #unansweredAfterMs = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
  #anotherKeepalive = false;
  /** Redrawn when the timer fires, not when it is armed: that happens with every change of direction. */
  #newHandshakeJitter: number;
  /** Initiations of the current series, including those that only would have been sent. */
  #initiations = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#newHandshakeJitter = this.#jitter();
  }

  /** When the next timer is due. */
  next(): Instant | undefined {
    const { deadlines } = this;
    let earliest = NEVER;
    for (let i = 0; i < TIMER_COUNT; i++) if (deadlines[i]! < earliest) earliest = deadlines[i]!;
    return earliest === NEVER ? undefined : (earliest as Instant);
  }

  /** Disarms one timer that is due and names it. Call until undefined. */
  takeDue(now: Instant): TimerName | undefined {
    for (const name of NAMES) {
      if (this.deadlines[TIMERS[name]]! > now) continue;
      this.#disarm(TIMERS[name]);
      if (name === 'newHandshake') this.#newHandshakeJitter = this.#jitter();
      return name;
    }
    return undefined;
  }

  /** Seconds between persistent keepalives; 0 turns them off. They count from the next packet. */
  setPersistentKeepalive(seconds: number): void {
    this.#persistentInterval = seconds * 1_000;
    if (seconds === 0) this.#disarm(TIMERS.persistentKeepalive);
  }

  get persistentKeepalive(): boolean {
    return this.#persistentInterval > 0;
  }

  /** Sooner than the paper's KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, for an owner who wants to know sooner that a session is dead. */
  setUnansweredAfter(ms: number): void {
    this.#unansweredAfterMs = Math.min(ms, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
  }

  /** A packet with content was sent (§6.5): an answer, at least an empty one, must come within KEEPALIVE_TIMEOUT + REKEY_TIMEOUT. */
  dataSent(now: Instant): void {
    if (this.#armed(TIMERS.newHandshake)) return;
    this.#arm(TIMERS.newHandshake, now, this.#unansweredAfterMs + this.#newHandshakeJitter);
  }

  /** An authenticated packet with content was received (§6.5): it must be answered within KEEPALIVE_TIMEOUT, by anything. */
  dataReceived(now: Instant): void {
    if (this.#armed(TIMERS.passiveKeepalive)) this.#anotherKeepalive = true;
    else this.#arm(TIMERS.passiveKeepalive, now, KEEPALIVE_TIMEOUT);
  }

  /** Whether more data came while the passive keepalive that is due waited. Ask before it is sent, since sending settles it. */
  get anotherKeepalive(): boolean {
    return this.#anotherKeepalive;
  }

  /** Any message that the peer will be able to authenticate was sent, handshakes and empty packets included. */
  authenticatedSent(now: Instant): void {
    this.#disarm(TIMERS.passiveKeepalive);
    this.#anotherKeepalive = false;
    this.authenticatedEitherWay(now);
  }

  /** Any authenticated message was received. */
  authenticatedReceived(now: Instant): void {
    this.#disarm(TIMERS.newHandshake);
    this.authenticatedEitherWay(now);
  }

  /** Persistent keepalives count from the last authenticated message in either direction. */
  authenticatedEitherWay(now: Instant): void {
    if (this.#persistentInterval > 0) this.#arm(TIMERS.persistentKeepalive, now, this.#persistentInterval);
  }

  /** An initiation was sent, or could not be for want of an endpoint or a clock (§6.4). */
  initiationSent(now: Instant): void {
    this.#initiations++;
    this.#arm(TIMERS.retryHandshake, now, REKEY_TIMEOUT + this.#jitter());
  }

  /** An initiation was asked for less than REKEY_TIMEOUT after the handshake message sent at `lastSentAt`. */
  initiationDeferred(lastSentAt: Instant): void {
    if (this.#armed(TIMERS.retryHandshake)) return;
    this.#arm(TIMERS.retryHandshake, lastSentAt, REKEY_TIMEOUT + this.#jitter());
  }

  /** A packet wants to go out: the count of initiations starts again (§6.4); one that is pending is the first. */
  restartSeries(): void {
    this.#initiations = this.#armed(TIMERS.retryHandshake) ? Math.min(this.#initiations, 1) : 0;
  }

  /** Whether REKEY_ATTEMPT_TIME has passed without an answer. */
  get seriesExhausted(): boolean {
    return this.#initiations >= MAX_INITIATIONS;
  }

  /** Initiations sent in the current series. */
  get initiations(): number {
    return this.#initiations;
  }

  /** The series ended without a session: staged packets are gone, so nothing is left to keep alive. */
  gaveUp(now: Instant): void {
    this.#initiations = 0;
    this.#disarm(TIMERS.passiveKeepalive);
    this.#anotherKeepalive = false;
    if (!this.#armed(TIMERS.zeroKeys)) this.#arm(TIMERS.zeroKeys, now, ZERO_KEYS_AFTER_TIME);
  }

  /** A session can be used: the response came, or the first packet on a session that this side answered. */
  handshakeCompleted(): void {
    this.#disarm(TIMERS.retryHandshake);
    this.#initiations = 0;
  }

  /** Keys were derived, on either side. */
  sessionDerived(now: Instant): void {
    this.#arm(TIMERS.zeroKeys, now, ZERO_KEYS_AFTER_TIME);
  }

  /** A session made at `createdAt` became the current one. */
  sessionCurrent(createdAt: Instant): void {
    this.#arm(TIMERS.sessionEnd, createdAt, REJECT_AFTER_TIME);
  }

  clear(): void {
    this.deadlines.fill(NEVER);
    this.#anotherKeepalive = false;
    this.#initiations = 0;
  }

  #arm(slot: number, from: Instant, delayMs: number): void {
    this.deadlines[slot] = after(from, delayMs);
  }

  #disarm(slot: number): void {
    this.deadlines[slot] = NEVER;
  }

  #armed(slot: number): boolean {
    return this.deadlines[slot] !== NEVER;
  }

  #jitter(): number {
    return randomUnit(this.#random) * REKEY_TIMEOUT_JITTER;
  }
}
