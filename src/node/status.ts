/** The status snapshot: one read-only type for the library, the API, the command line and the dashboard. */

import type { GuardState } from '../core/guard/policy.ts';
import type { KillswitchStatus } from './killswitch.ts';

export type TunnelState = GuardState;

/** Why a state is not a happy one: `message` says what happened, `hint` what to do next. */
export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface StatusSnapshot {
  readonly version: string;
  readonly enabled: boolean;
  readonly state: TunnelState;
  /** When `state` was entered, ISO 8601. */
  readonly since: string;
  readonly reason: Reason | null;
  readonly tunnel: TunnelStatus;
  readonly killswitch: KillswitchStatus;
  readonly probe: ProbeStatus;
  readonly portForward: PortForwardStatus;
  /** Torrent clients that follow the tunnel, in the order in which they came. */
  readonly clients: readonly ClientStatus[];
  readonly sockets: SocketCounts;
}

export interface TunnelStatus {
  /** The one UDP endpoint outside; `null` until its name is resolved. */
  readonly endpoint: string | null;
  readonly addresses: readonly string[];
  readonly dns: readonly string[];
  /** The largest packet that the tunnel carries, in bytes: that of the `.conf`, or less if the line outside was found to carry less. */
  readonly mtu: number;
  /** Handshakes completed since the tunnel was opened. */
  readonly handshakes: number;
  /** `null` until the first handshake. */
  readonly handshakeAgeSeconds: number | null;
  readonly rxBytes: number;
  readonly txBytes: number;
  /** Dropped datagrams and packets by reason; reasons that never occurred are absent. */
  readonly drops: Readonly<Record<string, number>>;
  /** The crypto backend in use: `wasm`, `node` or `noble`. */
  readonly crypto: string;
}

export interface ProbeStatus {
  /** `pending` until the tunnel is up and was probed; `unknown` if a probe failed, which is never `ok` and never a leak. */
  readonly verdict: 'ok' | 'leak' | 'unknown' | 'pending' | 'off';
  /** `null` if the family is not probed: the tunnel has no address in it, or nobody is to be asked. */
  readonly ipv4: ExitStatus | null;
  readonly ipv6: ExitStatus | null;
  /** The end of the latest probe, ISO 8601; `null` before the first. */
  readonly checkedAt: string | null;
  /** 0 while one is running; `null` while the tunnel is down. */
  readonly nextInSeconds: number | null;
}

export interface ExitStatus {
  /** As the probe's servers saw it; `null` if none could tell. */
  readonly observed: string | null;
  /** Addresses and networks that the exit is expected in; empty if nothing is known. */
  readonly expected: readonly string[];
}

export interface PortForwardStatus {
  readonly provider: 'none' | 'natpmp' | 'protonvpn' | 'static';
  readonly state: 'off' | 'acquiring' | 'mapped' | 'failed';
  /** On the exit address; `null` unless mapped. */
  readonly port: number | null;
  readonly protocols: readonly ('tcp' | 'udp')[];
  /** As the gateway granted it; `null` without a lease. */
  readonly leaseSeconds: number | null;
  readonly renewInSeconds: number | null;
  /** Whether somebody outside has got through: another thing than holding a lease. */
  readonly reachable: 'open' | 'closed' | 'unknown';
}

export interface ClientStatus {
  readonly name: string;
  /** `error`: it does not answer, or did not obey; it is told again. */
  readonly state: 'ok' | 'error';
  /** Transfers that the killswitch paused and has not resumed yet. */
  readonly pausedByKillswitch: number;
  /** Whether the client announces the port that is mapped now. */
  readonly portApplied: boolean;
}

export interface SocketCounts {
  readonly tcp: number;
  readonly udp: number;
  readonly listening: number;
}
