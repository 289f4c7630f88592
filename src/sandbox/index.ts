/**
 * `sluice/sandbox`: a VPN provider in a box, with a small internet behind it, for tests and demonstrations. One UDP port on loopback
 * speaks WireGuard to any client; everything else exists in memory. See docs/guides/sandbox.md.
 */

export { clientAddresses, hostAddresses } from './addressing.ts';
export type { SandboxClientOptions, SandboxClientStats, SandboxPort } from './client.ts';
export type { DnsQueryRecord, DnsZone } from './dns-zone.ts';
export type { Faults, LinkCounts } from './faults.ts';
export type { SandboxHost } from './host.ts';
export { type NatPmpRefusal, NatPmpSwitches } from './natpmp-gateway.ts';
export type { SandboxClient, SandboxHostOptions, SandboxOptions, SandboxStats } from './options.ts';
export { Sandbox, type SandboxNatPmp } from './sandbox.ts';
export { SandboxMachine, type SandboxMachineOptions } from './sandbox-machine.ts';
export { SeededRandom } from './seeded-random.ts';
export type { MachineClientOptions } from './wireguard-server.ts';
