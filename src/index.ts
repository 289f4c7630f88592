/** The library: `import { Tunnel, parseWireGuardConfig } from 'sluice'`. */

export { ERRORS, type ErrorCode, SluiceError } from './core/base/errors.ts';
export { VERSION } from './core/base/version.ts';
export {
  parseWireGuardConfig,
  type WireGuardConfig,
  type WireGuardPeerConfig,
} from './core/tunnel/wireguard-config.ts';
export type { ClientDriver, ClientReports } from './node/client-driver.ts';
export type { KillswitchOptions, KillswitchStatus } from './node/killswitch.ts';
export type { PortForwardOptions } from './node/port-forward.ts';
export type { ProbeOptions } from './node/probe.ts';
export type {
  ClientStatus,
  ExitStatus,
  PortForwardStatus,
  ProbeStatus,
  Reason,
  SocketCounts,
  StatusSnapshot,
  TunnelState,
  TunnelStatus,
} from './node/status.ts';
export { Tunnel } from './node/tunnel.ts';
export type { TunnelEvents, TunnelOptions } from './node/tunnel-options.ts';
