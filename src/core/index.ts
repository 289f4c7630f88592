/**
 * `sluice/core`: the protocol without I/O. Every machine takes its time, randomness and cryptography from outside and follows
 * one contract: handle…, handleTimeout, nextTimeout, nextOutput (docs/architecture.md).
 */

export * from './base/address.ts';
export { Burst, TRANSPORT_HEADER_LENGTH } from './base/burst.ts';
export * from './base/crypto.ts';
export { ERRORS, type ErrorCode, SluiceError } from './base/errors.ts';
export { after, earliest, elapsedMs, type Instant, instant } from './base/instant.ts';
export type * from './netstack/messages.ts';
export type { TunnelConfiguration, TunnelEvent, TunnelMachineOptions } from './tunnel/messages.ts';
export { TunnelMachine } from './tunnel/tunnel-machine.ts';
export { VirtualHost } from './tunnel/virtual-host.ts';
export { parseWireGuardConfig, type WireGuardConfig } from './tunnel/wireguard-config.ts';
export { Device, type DeviceOptions, type DeviceOutput, type Peer, type PeerOptions } from './wireguard/device.ts';
