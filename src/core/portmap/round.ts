/**
 * One round of questions to the gateway: the external address, then UDP, then TCP for the same external port. It decides what is
 * asked next and when an answer is believed; sending, time and retransmission are the lease's.
 *
 * A port other than the one wanted is believed only when the gateway says it twice in a row: a single strange answer must not make
 * a torrent client announce itself anew. Three different answers end the round.
 */

import type { IpAddress } from '../base/address.ts';
import { NATPMP_SUCCESS, type NatPmpProtocol, type NatPmpRequest, type NatPmpResponse } from '../wire/natpmp.ts';
import type { RoundFailure } from './reasons.ts';

/**
 * `symmetric` is Proton VPN's: internal port 0, and the port arrives inside where it is outside. `plain` is the standard's: the
 * external port leads to the internal one of the request.
 */
export type MappingForm = 'symmetric' | 'plain';

export interface RoundPlan {
  readonly form: MappingForm;
  /** Of the plain form. */
  readonly internalPort: number;
  /** The port in force: any other must be said twice. */
  readonly held: number | undefined;
  /** The port to ask for where none is in force; 0 for any. */
  readonly suggested: number;
  /** What to destroy first. */
  readonly obsolete: readonly Obsolete[];
}

/** A mapping by what its request named. */
export interface Obsolete {
  readonly protocol: NatPmpProtocol;
  readonly internalPort: number;
}

/** What the gateway said yes to. */
export interface Grant {
  readonly protocol: NatPmpProtocol;
  readonly internalPort: number;
  readonly port: number;
  readonly seconds: number;
}

export interface RoundSuccess {
  readonly kind: 'mapped';
  readonly form: MappingForm;
  readonly externalAddress: IpAddress;
  readonly port: number;
}

export type RoundResult = RoundSuccess | { readonly kind: 'failed'; readonly failure: RoundFailure };

/** Asked for in every request, in seconds: Proton VPN grants no more, and what is forgotten is soon free again. */
export const LEASE_SECONDS = 60;
/** Answers to one question, until two in a row agree. */
const MAX_ANSWERS = 3;
/** The external port of the first symmetric request, as Proton VPN's own instructions have it. */
const SYMMETRIC_HINT = 1;

type Stage = 'address' | 'forget' | 'udp' | 'tcp' | 'udp-follows';

export class Round {
  #form: MappingForm;
  readonly #plan: RoundPlan;
  readonly #obsolete: Obsolete[];
  #stage: Stage = 'address';
  #address: IpAddress | undefined;
  #udp = 0;
  #tcp = 0;
  /** Answers to the question that is open, and the last of them. */
  #answers = 0;
  #previous: number | undefined;

  constructor(plan: RoundPlan) {
    this.#plan = plan;
    this.#form = plan.form;
    this.#obsolete = [...plan.obsolete];
  }

  /** Nothing has been changed at the gateway yet. */
  get isFirst(): boolean {
    return this.#stage === 'address';
  }

  /** What to ask now. */
  request(): NatPmpRequest {
    switch (this.#stage) {
      case 'address':
        return { kind: 'external-address' };
      case 'forget':
        return { kind: 'map', ...this.#obsolete[0]!, externalPort: 0, lifetimeSeconds: 0 };
      case 'udp':
        return this.#map('udp', this.#plan.held ?? this.#suggestion());
      case 'tcp':
        return this.#map('tcp', this.#udp);
      case 'udp-follows':
        return this.#map('udp', this.#tcp);
    }
  }

  /** Takes the answer to `request()`. `undefined`: there is more to ask. */
  take(response: NatPmpResponse): RoundResult | undefined {
    if (this.#stage === 'forget') return this.#forgotten();
    if (response.result !== NATPMP_SUCCESS) return this.#refused(response.result);
    if (response.kind === 'map') return this.#takePort(response.externalPort, response.lifetimeSeconds);
    if (response.kind === 'external-address') this.#address = response.address;
    this.#enter(this.#obsolete.length > 0 ? 'forget' : 'udp');
    return undefined;
  }

  /** Whatever the gateway says to it: what it does not know any more is forgotten too (§3.4). */
  #forgotten(): undefined {
    this.#obsolete.shift();
    if (this.#obsolete.length === 0) this.#enter('udp');
  }

  #refused(result: number): RoundResult | undefined {
    const fallsBack = this.#stage === 'udp' && this.#form === 'symmetric' && this.#plan.held === undefined;
    if (!fallsBack) return failed({ kind: 'refused', result });
    this.#form = 'plain';
    this.#enter('udp');
    return undefined;
  }

  #takePort(port: number, seconds: number): RoundResult | undefined {
    if (port === 0 || seconds === 0) return failed({ kind: 'empty' });
    const wanted = this.#stage === 'udp' ? this.#plan.held : this.#stage === 'tcp' ? this.#udp : this.#tcp;
    if (wanted === undefined || port === wanted || port === this.#previous) return this.#believe(port);
    this.#previous = port;
    return ++this.#answers < MAX_ANSWERS ? undefined : failed({ kind: 'unsteady' });
  }

  #believe(port: number): RoundResult | undefined {
    if (this.#stage === 'udp') {
      this.#udp = port;
      this.#enter('tcp');
      return undefined;
    }
    if (this.#stage === 'tcp') this.#tcp = port;
    else this.#udp = port;
    if (this.#udp === this.#tcp) return { kind: 'mapped', form: this.#form, externalAddress: this.#address!, port };
    if (this.#stage === 'udp-follows') return failed({ kind: 'split', udp: this.#udp, tcp: this.#tcp });
    this.#enter('udp-follows');
    return undefined;
  }

  #enter(stage: Stage): void {
    this.#stage = stage;
    this.#answers = 0;
    this.#previous = undefined;
  }

  #suggestion(): number {
    return this.#plan.suggested === 0 && this.#form === 'symmetric' ? SYMMETRIC_HINT : this.#plan.suggested;
  }

  #map(protocol: NatPmpProtocol, externalPort: number): NatPmpRequest {
    const internalPort = internalPortOf(this.#form, this.#plan.internalPort);
    return { kind: 'map', protocol, internalPort, externalPort, lifetimeSeconds: LEASE_SECONDS };
  }
}

/** What a request names as the internal port. */
export function internalPortOf(form: MappingForm, internalPort: number): number {
  return form === 'symmetric' ? 0 : internalPort;
}

function failed(failure: RoundFailure): RoundResult {
  return { kind: 'failed', failure };
}
