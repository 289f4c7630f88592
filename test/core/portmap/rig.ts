/** A lease on a virtual clock with a gateway that does as the test says; everything that happens is noted with its time. */

import { formatIp, type IpAddress, ip } from '../../../src/core/base/address.ts';
import { elapsedMs, type Instant, instant } from '../../../src/core/base/instant.ts';
import { NatPmpLease, type NatPmpLeaseOptions } from '../../../src/core/portmap/lease.ts';
import type { LeaseFacts, LeaseOutput } from '../../../src/core/portmap/messages.ts';
import {
  decodeNatPmpRequest,
  encodeNatPmpResponse,
  type NatPmpMapRequest,
  type NatPmpRequest,
  type NatPmpResponse,
} from '../../../src/core/wire/natpmp.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

export const GATEWAY = ip('10.2.0.1');
export const EXIT = ip('203.0.113.10');
export const INTERNAL = 6881;
export const PORT = 50_000;
const T0 = instant(5_000_000);

/** The answer to one request; bytes as they are, `undefined` for silence. */
export type Answer = NatPmpResponse | Uint8Array | undefined;

/** A gateway by the book, whose every answer a test may change. */
export class Gateway {
  port = PORT;
  address: IpAddress = EXIT;
  seconds = 60;
  /** The epoch when the test began. */
  epoch = 1_000;
  silent = false;
  result = 0;
  /** Replaces the answer to a mapping where it returns one. */
  map: (request: NatPmpMapRequest, count: number) => Partial<Extract<NatPmpResponse, { kind: 'map' }>> | 'silent' =
    () => ({});
  #maps = 0;

  answer(request: NatPmpRequest, sinceMs: number): Answer {
    if (this.silent) return undefined;
    const epochSeconds = Math.floor(this.epoch + sinceMs / 1000);
    const { result } = this;
    if (request.kind === 'external-address')
      return { kind: 'external-address', result, epochSeconds, address: this.address };
    const { protocol, internalPort } = request;
    const gone = result !== 0 || request.lifetimeSeconds === 0;
    const granted = { externalPort: gone ? 0 : this.port, lifetimeSeconds: gone ? 0 : this.seconds };
    const change = request.lifetimeSeconds === 0 ? {} : this.map(request, this.#maps++);
    if (change === 'silent') return undefined;
    return { kind: 'map', protocol, result, epochSeconds, internalPort, ...granted, ...change };
  }
}

export class Rig {
  now: Instant = T0;
  readonly lease: NatPmpLease;
  readonly gateway: Gateway = new Gateway();
  /** `12.5 udp 6881>50000 60`: seconds, protocol, internal and suggested external port, lifetime. */
  readonly sent: string[] = [];
  /** Every other output, likewise. */
  readonly told: string[] = [];
  from = { address: GATEWAY, port: 5351 };

  constructor(options: Partial<NatPmpLeaseOptions> = {}) {
    const given = {
      provider: 'natpmp' as const,
      gateway: GATEWAY,
      internalPort: INTERNAL,
      random: new SeededRandom(3),
    };
    this.lease = new NatPmpLease({ ...given, ...options });
  }

  /** The first handshake has been. */
  start(): this {
    this.lease.handleHandshake(this.now);
    this.settle();
    return this;
  }

  get seconds(): number {
    return elapsedMs(T0, this.now) / 1000;
  }

  get facts(): LeaseFacts {
    return this.lease.facts(this.now);
  }

  /** Lets time pass up to this many seconds after the beginning. */
  until(seconds: number): this {
    const end = instant(T0 + seconds * 1000);
    for (let due = this.lease.nextTimeout(); due !== undefined && due <= end; due = this.lease.nextTimeout()) {
      if (due > this.now) this.now = due;
      this.lease.handleTimeout(this.now);
      this.settle();
      const next = this.lease.nextTimeout();
      if (next !== undefined && next <= this.now) throw new Error('no progress');
    }
    this.now = end;
    return this;
  }

  settle(): void {
    for (let output = this.lease.nextOutput(); output; output = this.lease.nextOutput()) this.#handle(output);
  }

  receive(answer: Exclude<Answer, undefined>, from: { address: IpAddress; port: number } = this.from): void {
    this.lease.handleDatagram(answer instanceof Uint8Array ? answer : encodeNatPmpResponse(answer), from, this.now);
    this.settle();
  }

  /** What was noted since the last call. */
  take(list: string[]): string[] {
    return list.splice(0);
  }

  #handle(output: LeaseOutput): void {
    if (output.kind !== 'send') {
      this.told.push(`${this.seconds} ${textOf(output)}`);
      return;
    }
    const request = decodeNatPmpRequest(output.bytes);
    if (typeof request === 'string') throw new Error(request);
    this.sent.push(`${this.seconds} ${requestText(request)}`);
    const answer = this.gateway.answer(request, elapsedMs(T0, this.now));
    if (answer) this.receive(answer);
  }
}

export function requestText(request: NatPmpRequest): string {
  if (request.kind === 'external-address') return 'address';
  return `${request.protocol} ${request.internalPort}>${request.externalPort} ${request.lifetimeSeconds}`;
}

export function textOf(output: Exclude<LeaseOutput, { kind: 'send' }>): string {
  switch (output.kind) {
    case 'mapped':
      return `mapped ${output.port} at ${output.externalAddress ? formatIp(output.externalAddress) : '?'} for ${output.leaseSeconds}`;
    case 'lost':
    case 'failed':
      return `${output.kind} ${output.reason.code}`;
    case 'served':
      return `served ${output.ports.map(({ port, insidePort }) => `${port}>${insidePort}`).join(' ') || 'nothing'}`;
    case 'released':
      return 'released';
  }
}
