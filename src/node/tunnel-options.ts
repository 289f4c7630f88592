/** What a tunnel is opened with, and what it tells. */

import type { GuardReason } from '../core/guard/policy.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { CryptoName } from './crypto/select.ts';
import type { EngineName } from './engine-choice.ts';
import type { KillswitchOptions } from './killswitch.ts';
import type { PortForwardOptions } from './port-forward.ts';
import type { ProbeOptions } from './probe.ts';
import type { ProbeStatus, Reason, TunnelState } from './status.ts';
import type { UdpName } from './udp/select.ts';

export interface TunnelOptions {
  /** What `parseWireGuardConfig` returned. */
  readonly wireguard: WireGuardConfig;
  /** Taken in this order when the server stays silent; `wireguard` is taken again when it is well. Each may have a key of its own. */
  readonly fallback?: readonly WireGuardConfig[];
  /**
   * A folder for what must survive a restart: the last handshake timestamp, a leak that was found, the exits that were learnt, the transfers
   * that were paused. One tunnel for each key and folder. Without it, nothing is kept.
   */
  readonly stateDir?: string;
  /** A port of the exit that leads here: `net` servers and UDP sockets opened with `{ forwarded: true }`. Default none. */
  readonly portForward?: PortForwardOptions;
  readonly killswitch?: KillswitchOptions;
  /** Watches the address that the world sees. */
  readonly probe?: ProbeOptions;
  /** Forces one crypto backend; by default the fastest that passes its self-test. */
  readonly crypto?: CryptoName;
  /**
   * Where packets are carried: `worker`, on a thread of its own, so that the embedder's event loop never does; `inline`, on the thread
   * that opens the tunnel. By default a worker where UDP ports on system calls work (Linux), inline elsewhere. The environment variable
   * SLUICE_ENGINE does the same.
   */
  readonly engine?: EngineName;
  /** Forces one kind of UDP port; by default system calls by FFI where they work (Linux), node:dgram elsewhere. */
  readonly udp?: UdpName;
  /** Closes the tunnel when aborted. */
  readonly signal?: AbortSignal;
}

export interface TunnelEvents {
  state: [{ readonly state: TunnelState; readonly reason: Reason | null }];
  handshake: [{ readonly endpoint: string; readonly count: number }];
  /** The server is tried, or found, at this address now. */
  'endpoint.changed': [{ readonly endpoint: string }];
  /** The path outside was found to carry packets of this size at most, in bytes, which is less or more than before. */
  'mtu.changed': [{ readonly mtu: number }];
  /** Traffic is held back, for one more reason than before; `reasons` are all. */
  'killswitch.engaged': [{ readonly reasons: readonly GuardReason[] }];
  'killswitch.released': [];
  /** A probe of the exit address is over. */
  probe: [ProbeStatus];
  /** The forwarded port is this one now, and was another one, or none. */
  'port.mapped': [{ readonly port: number }];
  'port.lost': [{ readonly reason: Reason }];
  /** The killswitch paused a transfer of an attached client, or has resumed it. */
  'client.paused': [{ readonly client: string; readonly transfer: string }];
  'client.resumed': [{ readonly client: string; readonly transfer: string }];
  /** A client has applied and announced this port; `null`: that none leads to it. */
  'client.port': [{ readonly client: string; readonly port: number | null }];
}
