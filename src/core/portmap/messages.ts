/** What goes into a port-forward lease and comes out of it, whichever provider it is for. */

import type { IpAddress } from '../base/address.ts';
import type { DropCounter } from '../base/drops.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Instant } from '../base/instant.ts';
import type { NatPmpFault, NatPmpProtocol } from '../wire/natpmp.ts';

export type PortForwardProvider = 'none' | 'natpmp' | 'protonvpn' | 'static';

/** `acquiring` until the first mapping or failure; `failed` from a failure until the next mapping, tries in between included. */
export type LeaseState = 'off' | 'acquiring' | 'mapped' | 'failed';

/** Why there is no port, as the status tells it: what happened, and what to do. */
export interface LeaseReason {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** A port of the exit address that the provider forwards, and where it arrives. */
export interface ServedPort {
  readonly port: number;
  /** Where the tunnel's end must listen. */
  readonly insidePort: number;
}

export type LeaseOutput =
  /** To be sent from one UDP socket, whose answers go to `handleDatagram`. */
  | {
      readonly kind: 'send';
      readonly bytes: Uint8Array;
      readonly to: GatewayAddress;
    }
  | LeaseEvent;

export type LeaseEvent =
  /** A port, or another one, or another exit address: never for a mere renewal. Without `leaseSeconds` the port is for good. */
  | {
      readonly kind: 'mapped';
      readonly port: number;
      readonly externalAddress?: IpAddress;
      readonly leaseSeconds?: number;
    }
  /** The port of the last `mapped` is not ours any more. */
  | { readonly kind: 'lost'; readonly reason: LeaseReason }
  /** A whole try has failed while there was no port; another follows by itself. */
  | { readonly kind: 'failed'; readonly reason: LeaseReason }
  /** Everything to listen on has changed: after a change of port, the old one is in the list until its lease has run out. */
  | { readonly kind: 'served'; readonly ports: readonly ServedPort[] }
  /** The answer to `release`: the machine is done. */
  | { readonly kind: 'released' };

/** For the status snapshot. Absent values are unknown or have no meaning now. */
export interface LeaseFacts {
  readonly provider: PortForwardProvider;
  readonly state: LeaseState;
  readonly port?: number;
  readonly protocols: readonly NatPmpProtocol[];
  readonly externalAddress?: IpAddress;
  /** As the gateway granted it. */
  readonly leaseSeconds?: number;
  readonly renewInSeconds?: number;
  /** Of the last failure, until the next mapping. */
  readonly reason?: LeaseReason;
}

/** Why a datagram was not taken: names of drop counters. */
export type LeaseDrop =
  | NatPmpFault
  /** From another address or port than the gateway's. */
  | 'natpmp-source'
  /** No answer to what is asked just now: another operation, another internal port, or nothing is asked. */
  | 'natpmp-unmatched';

/** Where a datagram came from or goes to. */
export interface GatewayAddress {
  readonly address: IpAddress;
  readonly port: number;
}

/** The port-forward lease of one tunnel: one port, the same for TCP and UDP. */
export interface PortLease {
  readonly drops: DropCounter<LeaseDrop>;
  /** Whether an answer is awaited; if not, the socket of `send` may be closed. */
  readonly asking: boolean;
  /** Whether the gateway may yet tell of a port where there is none; a renewal is nothing to wait for. */
  readonly awaited: boolean;
  /** As the last `served` has it. */
  readonly served: readonly ServedPort[];
  /** The tunnel works (again): the first time the lease begins, later a failed one tries again at once. */
  handleHandshake(now: Instant): void;
  /** The exit is another one, and nothing that was granted holds. */
  restart(now: Instant): void;
  /** The port inside the tunnel that the forwarded one shall lead to. */
  setInternalPort(port: number, now: Instant): void;
  /** Gives the port back, within a second; `released` follows, and the machine does nothing more. */
  release(now: Instant): void;
  /** A datagram for the socket of `send`. Never throws on bytes. */
  handleDatagram(bytes: Uint8Array, from: GatewayAddress, now: Instant): void;
  handleTimeout(now: Instant): void;
  nextTimeout(): Instant | undefined;
  nextOutput(): LeaseOutput | undefined;
  facts(now: Instant): LeaseFacts;
}
