/** What goes into the tunnel's machine when it is made, and what comes out of it beside datagrams and socket events. */

import type { IpAddress } from '../base/address.ts';
import type { Crypto, Random } from '../base/crypto.ts';
import type { GuardOutput, GuardSettings } from '../guard/guard.ts';
import type { ClientOrder } from '../guard/policy.ts';
import type { ProberEvent, ProberSettings } from '../guard/prober-messages.ts';
import type { ReconnectOutput } from '../guard/reconnect.ts';
import type { NetstackLimits } from '../netstack/netstack.ts';
import type { LeaseEvent, PortLease } from '../portmap/messages.ts';
import type { DeviceOutput, PeerOptions } from '../wireguard/device.ts';

/** What one `.conf` says. */
export interface TunnelConfiguration {
  readonly privateKey: Uint8Array;
  readonly peers: readonly PeerOptions[];
  /** This end's addresses inside the tunnel. */
  readonly addresses: readonly IpAddress[];
  readonly dnsServers: readonly IpAddress[];
  readonly mtu: number;
}

export interface TunnelMachineOptions extends TunnelConfiguration {
  /** Taken in this order when the first configuration's server stays silent; the first is taken again when it is well. */
  readonly fallbacks?: readonly TunnelConfiguration[];
  readonly crypto: Crypto;
  readonly random: Random;
  /** See `DeviceOptions.timestamp`; `configuration` counts from 0, the fallbacks from 1. */
  readonly timestamp: (configuration: number) => Uint8Array | undefined;
  /** Begins after the first handshake. */
  readonly lease?: PortLease;
  /** The killswitch: on, with the defaults of the design, unless this says otherwise. */
  readonly guard?: GuardSettings;
  /** Without it, nobody is asked for the exit address. */
  readonly probe?: ProberSettings;
  /** Of the stack: how much memory and how many sockets. */
  readonly limits?: Partial<NetstackLimits>;
}

/** What the device reports beside datagrams (handshakes, expiries, a server that moved), and what lease and guard report. */
export type TunnelEvent =
  | Exclude<DeviceOutput, { readonly kind: 'datagram' }>
  | LeaseTunnelEvent
  | GuardTunnelEvent
  | ReconnectTunnelEvent
  | ProbeTunnelEvent
  | MtuTunnelEvent
  | ClientsTunnelEvent;

/** The path outside carries less than was thought, or more. */
export interface MtuTunnelEvent {
  readonly kind: 'mtu';
  /** The largest packet that the tunnel carries now, in bytes. */
  readonly mtu: number;
}

/** For the shell to carry out: names are its to look up, and sockets its to open. */
export interface ReconnectTunnelEvent {
  readonly kind: 'reconnect';
  readonly output: ReconnectOutput;
}

/** For the shell to carry out: requests are its to make. */
export interface ProbeTunnelEvent {
  readonly kind: 'probe';
  readonly event: ProberEvent;
}

/** What torrent clients shall do from now on. */
export interface ClientsTunnelEvent {
  readonly kind: 'clients';
  readonly order: ClientOrder;
}

export interface GuardTunnelEvent {
  readonly kind: 'guard';
  readonly output: GuardOutput;
}

export interface LeaseTunnelEvent {
  readonly kind: 'port-forward';
  readonly event: LeaseEvent;
}
