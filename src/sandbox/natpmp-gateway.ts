/**
 * The NAT-PMP side of the gateway (RFC 6886), one request in, one answer out; the forwarding itself is the translator's. Besides the
 * standard it knows the symmetric form of Proton VPN: a request with internal port 0 is given one port that is the same inside and
 * outside, and answered with internal port 0. Switches make it refuse, fall silent, lie or move ports.
 */

import { formatIp, type IpAddress, sameIp } from '../core/base/address.ts';
import type { Random } from '../core/base/crypto.ts';
import { after, elapsedMs, type Instant } from '../core/base/instant.ts';
import type { Nat } from '../core/nat/nat.ts';
import { choosePort, FIRST_PORT } from '../core/nat/ports.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP } from '../core/wire/ip.ts';
import {
  decodeNatPmpRequest,
  encodeNatPmpResponse,
  encodeUnsupportedOperation,
  NATPMP_NETWORK_FAILURE,
  NATPMP_NOT_AUTHORIZED,
  NATPMP_OUT_OF_RESOURCES,
  NATPMP_SUCCESS,
  NATPMP_UNSUPPORTED_VERSION,
  type NatPmpMapRequest,
  type NatPmpProtocol,
} from '../core/wire/natpmp.ts';

export type NatPmpRefusal = 'not-authorized' | 'network-failure' | 'out-of-resources';

/** How the gateway behaves. Change any of it at any time; it holds for requests from then on. */
export class NatPmpSwitches {
  /** False: nobody listens, and requests are refused by ICMP, as by a server without port forwarding. */
  enabled = true;
  /** Answers nothing. */
  silent = false;
  /** Refuses every request; `true` is `not-authorized`, what a gateway says whose owner switched port forwarding off. */
  refuse: boolean | NatPmpRefusal = false;
  /** `internal-port`: answers name another internal port than asked about. `source`: answers come from another address. */
  lie: 'internal-port' | 'source' | undefined;
  /** Grants and renews leases, but forwards nothing: the port looks open and is dead. */
  dead = false;
  /** Answers come this much later, in milliseconds. */
  delayMs = 0;
  /** Longest lease, whatever is asked for; as Proton VPN has it. */
  maxLeaseSeconds = 60;
  /** Public ports of one client. */
  maxPortsPerClient = 5;
  /** Whether internal port 0 asks for a symmetric port. Otherwise it is refused. */
  symmetric = true;
}

/** One port held by a client. */
export interface NatPmpLease {
  readonly client: IpAddress;
  readonly protocol: NatPmpProtocol;
  /** As the client asked: 0 for a symmetric port. */
  readonly internalPort: number;
  /** Where the client must listen. */
  readonly insidePort: number;
  readonly externalPort: number;
  readonly expiresAt: Instant;
}

const REFUSALS: Record<NatPmpRefusal, number> = {
  'not-authorized': NATPMP_NOT_AUTHORIZED,
  'network-failure': NATPMP_NETWORK_FAILURE,
  'out-of-resources': NATPMP_OUT_OF_RESOURCES,
};
const PROTOCOLS: Record<NatPmpProtocol, number> = { tcp: PROTOCOL_TCP, udp: PROTOCOL_UDP };
const NO_ADDRESS: IpAddress = { family: 4, bytes: new Uint8Array(4) };

export class NatPmpGateway {
  readonly switches: NatPmpSwitches;
  readonly #nat: Nat;
  readonly #random: Random;
  #leases: NatPmpLease[] = [];
  /** Ports that `changePort` took away: nobody is given them again. */
  readonly #retired: Set<number> = new Set();
  /** Clients who may not have ports, by their addresses' text. */
  readonly #ineligible: Set<string> = new Set();
  #startedAt: Instant;

  constructor(nat: Nat, random: Random, switches: NatPmpSwitches, now: Instant) {
    this.#nat = nat;
    this.#random = random;
    this.switches = switches;
    this.#startedAt = now;
  }

  /** The answer to one request of a client, or `undefined` where there is none to give. */
  handleRequest(bytes: Uint8Array, client: IpAddress, now: Instant): Uint8Array | undefined {
    const request = decodeNatPmpRequest(bytes);
    const epochSeconds = this.epochSeconds(now);
    if (this.switches.silent || request === 'natpmp-direction' || request === 'natpmp-truncated') return undefined;
    if (request === 'natpmp-operation') return encodeUnsupportedOperation(bytes);
    if (typeof request === 'string')
      return encodeNatPmpResponse({ kind: 'error', operation: 0, result: NATPMP_UNSUPPORTED_VERSION, epochSeconds });
    const refusal = this.#refusal(client);
    if (request.kind === 'external-address') {
      const address = refusal === NATPMP_SUCCESS ? this.#nat.publicAddress(4) : undefined;
      const result = address ? NATPMP_SUCCESS : refusal || NATPMP_NETWORK_FAILURE;
      return encodeNatPmpResponse({ kind: 'external-address', result, epochSeconds, address: address ?? NO_ADDRESS });
    }
    const outcome = refusal === NATPMP_SUCCESS ? this.#map(request, client, now) : refused(refusal);
    const internalPort = this.switches.lie === 'internal-port' ? request.internalPort ^ 1 : request.internalPort;
    return encodeNatPmpResponse({ kind: 'map', protocol: request.protocol, internalPort, epochSeconds, ...outcome });
  }

  /** Seconds since the table of mappings was last empty by accident (§3.6). */
  epochSeconds(now: Instant): number {
    return Math.floor(elapsedMs(this.#startedAt, now) / 1000);
  }

  /** The leases in force. */
  leases(now: Instant): readonly NatPmpLease[] {
    return this.#leases.filter(({ expiresAt }) => expiresAt > now);
  }

  /** Takes every port away, as a provider does who moves customers: renewals are given others. Sessions go on. */
  changePort(now: Instant): void {
    for (const { externalPort } of this.leases(now)) this.#retired.add(externalPort);
    for (const lease of this.#leases) this.#unforward(lease);
    this.#leases = [];
  }

  /** Loses all leases and begins a new epoch, as after a power cut. */
  restart(now: Instant): void {
    this.#leases = [];
    this.#startedAt = now;
  }

  /** From now on refuses one client, whose plan or key has no port forwarding. */
  refuseClient(client: IpAddress): void {
    this.#ineligible.add(formatIp(client));
    this.#remove((lease) => sameIp(lease.client, client));
  }

  /** Forgets one client, who is gone. */
  removeClient(client: IpAddress): void {
    this.#ineligible.delete(formatIp(client));
    this.#remove((lease) => sameIp(lease.client, client));
  }

  #refusal(client: IpAddress): number {
    if (this.#ineligible.has(formatIp(client))) return NATPMP_NOT_AUTHORIZED;
    if (this.switches.refuse === false) return NATPMP_SUCCESS;
    return REFUSALS[this.switches.refuse === true ? 'not-authorized' : this.switches.refuse];
  }

  #map(request: NatPmpMapRequest, client: IpAddress, now: Instant): Outcome {
    const { protocol, internalPort } = request;
    this.#leases = this.#leases.filter(({ expiresAt }) => expiresAt > now);
    if (request.lifetimeSeconds === 0) {
      // Internal port 0: all of this protocol; a mapping that is not there counts as destroyed (§3.4).
      this.#remove(
        (lease) =>
          sameIp(lease.client, client) &&
          lease.protocol === protocol &&
          (internalPort === 0 || lease.internalPort === internalPort),
      );
      return { result: NATPMP_SUCCESS, externalPort: 0, lifetimeSeconds: 0 };
    }
    if (internalPort === 0 && !this.switches.symmetric) return refused(NATPMP_NOT_AUTHORIZED);
    const externalPort = this.#choose(request, client);
    if (externalPort === undefined) return refused(NATPMP_OUT_OF_RESOURCES);
    const lifetimeSeconds = Math.min(request.lifetimeSeconds, this.switches.maxLeaseSeconds);
    const expiresAt = after(now, lifetimeSeconds * 1000);
    const insidePort = internalPort === 0 ? externalPort : internalPort;
    const lease: NatPmpLease = { client, protocol, internalPort, insidePort, externalPort, expiresAt };
    this.#leases = [...this.#leases.filter((other) => !sameRequest(other, lease)), lease];
    if (this.switches.dead) this.#unforward(lease);
    else this.#nat.map({ protocol: PROTOCOLS[protocol], inside: client, insidePort, externalPort, expiresAt }, now);
    return { result: NATPMP_SUCCESS, externalPort, lifetimeSeconds };
  }

  /**
   * The port held already; else that of the other protocol, which is kept for the same client and internal port (§3.3); else the one
   * asked for; else any.
   */
  #choose(request: NatPmpMapRequest, client: IpAddress): number | undefined {
    const { protocol, internalPort } = request;
    const mine = this.#leases.filter((lease) => sameIp(lease.client, client));
    const related = mine.filter((lease) => lease.internalPort === internalPort);
    const held = related.find((lease) => lease.protocol === protocol) ?? related[0];
    if (held) return held.externalPort;
    if (new Set(mine.map((lease) => lease.externalPort)).size >= this.switches.maxPortsPerClient) return undefined;
    const free = (port: number): boolean => this.#isFree(port, internalPort === 0 ? port : internalPort, client);
    return free(request.externalPort) ? request.externalPort : choosePort(this.#random, free);
  }

  /** Free for both protocols, since the companion port is kept for the same client. */
  #isFree(port: number, insidePort: number, client: IpAddress): boolean {
    if (port < FIRST_PORT || this.#retired.has(port)) return false;
    if (this.#leases.some((lease) => lease.externalPort === port)) return false;
    return Object.values(PROTOCOLS).every((protocol) => this.#nat.isFree(protocol, port, client, insidePort));
  }

  #remove(matches: (lease: NatPmpLease) => boolean): void {
    for (const lease of this.#leases.filter(matches)) this.#unforward(lease);
    this.#leases = this.#leases.filter((lease) => !matches(lease));
  }

  #unforward({ client, protocol, insidePort, externalPort, expiresAt }: NatPmpLease): void {
    this.#nat.unmap({ protocol: PROTOCOLS[protocol], inside: client, insidePort, externalPort, expiresAt });
  }
}

interface Outcome {
  readonly result: number;
  readonly externalPort: number;
  readonly lifetimeSeconds: number;
}

function refused(result: number): Outcome {
  return { result, externalPort: 0, lifetimeSeconds: 0 };
}

function sameRequest(a: NatPmpLease, b: NatPmpLease): boolean {
  return sameIp(a.client, b.client) && a.protocol === b.protocol && a.internalPort === b.internalPort;
}
