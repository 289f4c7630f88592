/**
 * The seam between the embedder's side (sockets and the public tunnel) and the engine, which is everything between them and the wire.
 * Commands go in, events come out, and what must be known at once is in a mirror; all of it is plain values that can be copied to
 * another thread. The same tunnel runs over an engine on this thread or on a worker.
 */

import type { Endpoint } from '../core/base/address.ts';
import type { Instant } from '../core/base/instant.ts';
import type { Fault, GuardOutput, GuardSettings, Policy } from '../core/guard/guard.ts';
import type { ClientOrder } from '../core/guard/policy.ts';
import type { ProbeRequestFault } from '../core/guard/probe-answer.ts';
import type { ProberEvent, ProberFacts } from '../core/guard/prober-messages.ts';
import type { SocketCommand, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import type { SocketCounts } from '../core/netstack/netstack.ts';
import type { LeaseEvent, LeaseFacts, ServedPort } from '../core/portmap/messages.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { CryptoName } from './crypto/select.ts';
import type { LeaseDescription, ProbeDescription } from './engine-machine.ts';
import type { UdpName } from './udp/select.ts';

/**
 * What sockets know of it. One subscriber. An engine delivers events in order, never from within `post`; what the subscriber throws is
 * not the engine's to handle, so the subscriber does not throw.
 */
export interface EnginePort {
  /**
   * Takes one command, in order. The bytes of a write or a datagram are not looked at after `post` returns: an engine that works
   * later copies them, because their owner may reuse them at once (as node:net allows after the write callback).
   */
  post(command: SocketCommand): void;
  onEvent: (event: SocketEvent) => void;
  /**
   * Whether the bytes of this socket's `tcp-data` are lent from now on: then they may be overwritten when `onEvent` returns. Before, and
   * with an engine that does not know this, they are the subscriber's.
   */
  lend?(socket: SocketId, lent: boolean): void;
}

/** What the tunnel knows of it. */
export interface Engine extends EnginePort {
  /** Takes one command about the tunnel itself, in one order with those of the sockets. */
  control(command: ControlCommand): void;
  /** Told under the same rules as `onEvent`, and in each turn before it. */
  onTunnelEvent: (event: EngineEvent) => void;
  /** Never older than the last event that was delivered. */
  readonly mirror: Mirror;
  /** Resolves when everything posted so far is done, and what came of it was told. */
  settled(): Promise<void>;
  /** Stops at once: no datagram is sent or taken after, and the keys are wiped. */
  close(): Promise<void>;
}

/** What an engine is made of. It has the private keys in it, and is never logged. */
export interface EngineDescription {
  /** The first one and its fallbacks. */
  readonly configurations: readonly WireGuardConfig[];
  /** For the timestamps of handshakes. */
  readonly stateDir?: string;
  readonly crypto?: CryptoName;
  readonly udp?: UdpName;
  readonly guard: GuardSettings;
  readonly lease: LeaseDescription;
  /** Absent: nobody is asked. */
  readonly probe?: ProbeDescription;
  /** Stands until the first handshake. */
  readonly fault?: Fault;
}

export type ControlCommand =
  /** Looks for a server that answers, from now on. */
  | { readonly kind: 'start' }
  | { readonly kind: 'set-enabled'; readonly enabled: boolean }
  /** A person's word that the exits that were seen are right. */
  | { readonly kind: 'accept-exit' }
  /** A probe now; the `done` that answers it has the same number, which the embedder chooses. */
  | { readonly kind: 'demand-probe'; readonly demand: number }
  | { readonly kind: 'probe-answer'; readonly number: number; readonly answer: Uint8Array | ProbeRequestFault }
  /** The socket or look-up of this number, which is opened next, is the probe's. */
  | { readonly kind: 'admit-socket'; readonly socket: SocketId }
  | { readonly kind: 'admit-query'; readonly query: number }
  | { readonly kind: 'set-internal-port'; readonly port: number }
  /** Gives the forwarded port back; `released` follows. */
  | { readonly kind: 'release-port' };

export type EngineEvent =
  | { readonly kind: 'handshake' }
  /** The server is tried, or found, at this address now. */
  | { readonly kind: 'endpoint'; readonly endpoint: Endpoint }
  /** The largest packet that the tunnel carries, which is another one than before. */
  | { readonly kind: 'mtu'; readonly mtu: number }
  | { readonly kind: 'guard'; readonly output: GuardOutput }
  | { readonly kind: 'lease'; readonly event: LeaseEvent }
  | { readonly kind: 'probe'; readonly event: ProbeEvent }
  | { readonly kind: 'clients'; readonly order: ClientOrder };

export type ProbeEvent =
  | Exclude<ProberEvent, { readonly kind: 'done' }>
  /** A probe is over, and with it these demands. */
  | { readonly kind: 'done'; readonly demands: readonly number[] };

/** The engine as it was at `at`, on the clock of both sides. */
export interface Mirror {
  readonly at: Instant;
  readonly policy: Policy;
  /** Which of the description's is in use, or being tried. */
  readonly configuration: number;
  readonly link: LinkFigures;
  readonly sockets: SocketCounts;
  readonly lease: Omit<LeaseFacts, 'externalAddress'>;
  readonly served: readonly ServedPort[];
  readonly probe: ProberFacts | undefined;
}

/** The link to the VPN server. */
export interface LinkFigures {
  readonly mtu: number;
  readonly lastHandshakeAt: Instant | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Of every layer, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** The name of the crypto backend. */
  readonly crypto: string;
}
