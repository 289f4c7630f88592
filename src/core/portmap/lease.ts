/**
 * The port-forward lease by NAT-PMP (RFC 6886): one external port for TCP and UDP, acquired after the first handshake, renewed well
 * before its end, and given back in the end. A pure machine: it says what to send and takes what comes.
 *
 * A renewal that is lost or strange is repeated while the lease lasts; what has expired is not announced for a moment longer. There
 * is no last try: a gateway that refuses or is silent is asked again for ever, ever more rarely.
 */

import type { IpAddress } from '../base/address.ts';
import type { Random } from '../base/crypto.ts';
import { DropCounter } from '../base/drops.ts';
import { after, earliest, type Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import {
  NATPMP_PORT,
  NATPMP_SUCCESS,
  type NatPmpMapRequest,
  type NatPmpMapResponse,
  type NatPmpRequest,
  type NatPmpResponse,
} from '../wire/natpmp.ts';
import { Epoch } from './epoch.ts';
import { Exchange } from './exchange.ts';
import { Grants } from './grants.ts';
import { HeldPorts } from './held-ports.ts';
import type {
  GatewayAddress,
  LeaseDrop,
  LeaseFacts,
  LeaseOutput,
  LeaseReason,
  PortLease,
  ServedPort,
} from './messages.ts';
import { endOf, type RoundFailure, reasonOf } from './reasons.ts';
import { readReply } from './reply.ts';
import { internalPortOf, type MappingForm, type Obsolete, Round, type RoundSuccess } from './round.ts';
import { leaseTimes, RELEASE_MS, ROUND_MS, renewalRetryMs, retryMs } from './timing.ts';

export interface NatPmpLeaseOptions {
  /** `protonvpn` asks for Proton's symmetric mapping first, and for a plain one if that is refused. */
  readonly provider: 'natpmp' | 'protonvpn';
  readonly gateway: IpAddress;
  /** Where the forwarded port shall lead, with a plain mapping. */
  readonly internalPort: number;
  /** The longest time between renewals, in seconds; default 45. */
  readonly refreshSeconds?: number;
  readonly random: Random;
}

type Phase =
  | { readonly kind: 'off' }
  | { readonly kind: 'waiting'; readonly until: Instant }
  | { readonly kind: 'asking'; readonly round: Round; readonly giveUpAt: Instant; readonly again: boolean }
  | { readonly kind: 'releasing'; readonly left: Obsolete[]; readonly giveUpAt: Instant }
  | { readonly kind: 'released' };

export class NatPmpLease implements PortLease {
  readonly drops: DropCounter<LeaseDrop> = new DropCounter();
  readonly #options: NatPmpLeaseOptions;
  readonly #outputs: Queue<LeaseOutput> = new Queue();
  readonly #grants: Grants = new Grants();
  readonly #ports: HeldPorts = new HeldPorts();
  readonly #epoch: Epoch = new Epoch();
  #phase: Phase = { kind: 'off' };
  #exchange: Exchange | undefined;
  #form: MappingForm;
  #internalPort: number;
  /** The port to ask for again after a loss. */
  #lastPort = 0;
  /** Rounds that failed in a row. */
  #failures = 0;
  #reason: LeaseReason | undefined;
  /** The gateway holds what does not fit together: it is made to forget before it is asked again. */
  #forgetFirst = false;
  #servedText = '';

  constructor(options: NatPmpLeaseOptions) {
    this.#options = options;
    this.#internalPort = options.internalPort;
    this.#form = formOf(options);
  }

  get awaited(): boolean {
    return this.#active && !this.#ports.current && (this.#phase.kind === 'asking' || !this.#reason);
  }

  get asking(): boolean {
    return this.#exchange !== undefined;
  }

  get served(): readonly ServedPort[] {
    return this.#ports.served();
  }

  handleHandshake(now: Instant): void {
    const { kind } = this.#phase;
    if (kind === 'off') this.#begin(now);
    else if (kind === 'asking' || (kind === 'waiting' && this.#reason)) this.#tryAnew(now);
  }

  restart(now: Instant): void {
    if (!this.#active) return;
    if (this.#ports.current) this.#lose(endOf('exit-changed'));
    this.#grants.clear();
    this.#ports.clear();
    this.#epoch.reset();
    this.#form = formOf(this.#options);
    this.#tellServed();
    this.#tryAnew(now);
  }

  setInternalPort(port: number, now: Instant): void {
    if (port === this.#internalPort) return;
    this.#internalPort = port;
    // Where a symmetric port leads does not depend on it.
    if (this.#active && this.#ports.current?.form !== 'symmetric') this.#tryAnew(now);
  }

  release(now: Instant): void {
    if (this.#phase.kind === 'releasing' || this.#phase.kind === 'released') return;
    this.#expire(now);
    const left = this.#grants.inForce(now).map(({ protocol, internalPort }) => ({ protocol, internalPort }));
    if (this.#ports.current) this.#lose(endOf('released'));
    this.#ports.clear();
    this.#tellServed();
    this.#phase = { kind: 'releasing', left, giveUpAt: after(now, RELEASE_MS) };
    this.#releaseNext(now);
  }

  handleDatagram(bytes: Uint8Array, from: GatewayAddress, now: Instant): void {
    this.#expire(now);
    const response = readReply(bytes, from, this.#options.gateway);
    const exchange = this.#exchange;
    if (typeof response === 'string' || !exchange?.isAnsweredBy(response)) {
      this.drops.count(typeof response === 'string' ? response : 'natpmp-unmatched');
      return;
    }
    this.#exchange = undefined;
    if (this.#phase.kind === 'releasing') this.#releaseNext(now);
    else this.#take(response, exchange, now);
  }

  handleTimeout(now: Instant): void {
    this.#expire(now);
    const due = this.#exchange?.handleTimeout(now);
    if (this.#phase.kind === 'waiting' && this.#phase.until <= now) this.#begin(now);
    else if (due === 'resend') this.#send(this.#exchange!);
    else if (due === 'give-up') this.#giveUp(now);
  }

  nextTimeout(): Instant | undefined {
    const deadline = this.#phase.kind === 'waiting' ? this.#phase.until : this.#exchange?.deadline;
    return earliest(deadline, this.#ports.nextTimeout());
  }

  nextOutput(): LeaseOutput | undefined {
    return this.#outputs.shift();
  }

  facts(now: Instant): LeaseFacts {
    const { provider } = this.#options;
    const held = this.#ports.current;
    const why = this.#reason ? { reason: this.#reason } : {};
    if (held)
      return {
        provider,
        state: 'mapped',
        port: held.port,
        protocols: ['tcp', 'udp'],
        externalAddress: held.externalAddress,
        leaseSeconds: held.leaseSeconds,
        renewInSeconds: Math.max(0, Math.round((held.renewAt - now) / 1000)),
        ...why,
      };
    const over = this.#phase.kind === 'releasing' || this.#phase.kind === 'released';
    return { provider, state: over ? 'off' : this.#reason ? 'failed' : 'acquiring', protocols: [], ...why };
  }

  get #active(): boolean {
    return this.#phase.kind === 'waiting' || this.#phase.kind === 'asking';
  }

  #tryAnew(now: Instant): void {
    this.#failures = 0;
    this.#begin(now);
  }

  #begin(now: Instant, again: boolean = false): void {
    const held = this.#ports.current;
    const internalPort = internalPortOf(this.#form, this.#internalPort);
    const obsolete = this.#grants
      .inForce(now)
      .filter((grant) => this.#forgetFirst || grant.internalPort !== internalPort);
    this.#forgetFirst = false;
    if (obsolete.length > 0) this.#ports.doubtful = true;
    const round = new Round({
      form: this.#form,
      internalPort: this.#internalPort,
      held: held?.port,
      suggested: this.#lastPort,
      obsolete,
    });
    this.#phase = { kind: 'asking', round, giveUpAt: after(now, ROUND_MS), again };
    this.#ask(round.request(), now);
  }

  #ask(request: NatPmpRequest, now: Instant): void {
    if (this.#phase.kind !== 'asking' && this.#phase.kind !== 'releasing') return;
    let { giveUpAt } = this.#phase;
    // Each deletion has its share of the time, so that the first one cannot use up all of it.
    if (this.#phase.kind === 'releasing') giveUpAt = after(now, (giveUpAt - now) / (this.#phase.left.length + 1));
    this.#exchange = new Exchange(request, now, giveUpAt);
    this.#send(this.#exchange);
  }

  #send({ bytes }: Exchange): void {
    this.#outputs.push({ kind: 'send', bytes, to: { address: this.#options.gateway, port: NATPMP_PORT } });
  }

  #take(response: NatPmpResponse, { request, startedAt }: Exchange, now: Instant): void {
    if (this.#phase.kind !== 'asking') return;
    const { round, again } = this.#phase;
    if (response.kind !== 'error' && !this.#epoch.observe(response.epochSeconds, now)) {
      this.#grants.clear();
      this.#ports.doubtful = true;
      // What this round had achieved before is lost too (§3.6).
      if (!round.isFirst) {
        if (again) this.#fail({ kind: 'unsteady' }, now);
        else this.#begin(now, true);
        return;
      }
    }
    if (response.kind === 'map' && request.kind === 'map') this.#note(request, response, startedAt);
    const result = round.take(response);
    if (!result) this.#ask(round.request(), now);
    else if (result.kind === 'failed') this.#fail(result.failure, now);
    else this.#succeed(result, now);
  }

  #note(request: NatPmpMapRequest, response: NatPmpMapResponse, askedAt: Instant): void {
    const { protocol, internalPort } = request;
    const { externalPort: port, lifetimeSeconds: seconds } = response;
    if (request.lifetimeSeconds === 0) this.#grants.remove(request);
    else if (response.result === NATPMP_SUCCESS) this.#grants.add({ protocol, internalPort, port, seconds }, askedAt);
  }

  #succeed({ form, port, externalAddress }: RoundSuccess, now: Instant): void {
    const internalPort = internalPortOf(form, this.#internalPort);
    const grants = [this.#grants.of('udp', internalPort)!, this.#grants.of('tcp', internalPort)!];
    const times = leaseTimes(grants, now, this.#options.refreshSeconds);
    if (times.expiresAt <= now) {
      this.#fail({ kind: 'empty' }, now);
      return;
    }
    const insidePort = form === 'symmetric' ? port : this.#internalPort;
    const news = this.#ports.take({ port, insidePort, form, externalAddress, ...times });
    this.#form = form;
    this.#lastPort = port;
    this.#failures = 0;
    this.#reason = undefined;
    this.#phase = { kind: 'waiting', until: times.renewAt };
    if (news) this.#outputs.push({ kind: 'mapped', port, externalAddress, leaseSeconds: times.leaseSeconds });
    this.#tellServed();
  }

  #fail(failure: RoundFailure, now: Instant): void {
    this.#exchange = undefined;
    this.#reason = reasonOf(failure, this.#options.gateway);
    if (this.#ports.current && this.#ports.doubtful) this.#lose(this.#reason);
    this.#failures++;
    if (this.#ports.current) {
      this.#phase = { kind: 'waiting', until: after(now, renewalRetryMs(this.#failures)) };
      return;
    }
    this.#form = formOf(this.#options);
    this.#forgetFirst = failure.kind === 'split';
    this.#phase = { kind: 'waiting', until: after(now, retryMs(this.#failures, this.#options.random)) };
    this.#outputs.push({ kind: 'failed', reason: this.#reason });
  }

  #giveUp(now: Instant): void {
    this.#exchange = undefined;
    if (this.#phase.kind === 'releasing') this.#releaseNext(now);
    else this.#fail({ kind: 'silent' }, now);
  }

  /** Ends what has run out: nothing is announced after its lease, whatever else is due at the same moment. */
  #expire(now: Instant): void {
    if (this.#ports.expire(now)) {
      this.#announceLoss(this.#reason ?? reasonOf({ kind: 'silent' }, this.#options.gateway));
      if (this.#phase.kind === 'asking') this.#fail({ kind: 'silent' }, now);
    }
    this.#tellServed();
  }

  #lose(reason: LeaseReason): void {
    this.#ports.clear();
    this.#announceLoss(reason);
    this.#tellServed();
  }

  #announceLoss(reason: LeaseReason): void {
    this.#failures = 0;
    this.#outputs.push({ kind: 'lost', reason });
  }

  #tellServed(): void {
    const ports = this.#ports.served();
    const text = ports.map(({ port, insidePort }) => `${port}>${insidePort}`).join();
    if (text === this.#servedText) return;
    this.#servedText = text;
    this.#outputs.push({ kind: 'served', ports });
  }

  #releaseNext(now: Instant): void {
    if (this.#phase.kind !== 'releasing') return;
    const next = this.#phase.left.shift();
    if (next && now < this.#phase.giveUpAt) {
      this.#ask({ kind: 'map', ...next, externalPort: 0, lifetimeSeconds: 0 }, now);
      return;
    }
    this.#phase = { kind: 'released' };
    this.#exchange = undefined;
    this.#outputs.push({ kind: 'released' });
  }
}

function formOf({ provider }: NatPmpLeaseOptions): MappingForm {
  return provider === 'protonvpn' ? 'symmetric' : 'plain';
}
